//! What was noted of blocks, as much of it as one run tells: of each block and payment the first item, which holds the
//! largest transfers, and of the others some in turn, from where the last run stopped.

use std::collections::{BTreeMap, HashMap};

use super::{Run, Source, WatchError};
use crate::moment::Timestamp;
use crate::store::{
    BlockHash, BlockState, Cursor, Held, Note, Onward, Part, RestPlace, StoreError, TouchedBlock,
    TouchedTransfer, latest,
};

/// Transfers beside the first items that a run reads from its place on, and as many again from the beginning.
const REST: usize = 10_000;

/// Items of a payment in one block whose names a run takes down although it does not tell them.
const NAMED: usize = 40;

/// A block with what of it a run tells first.
#[derive(Clone, Debug)]
pub(super) struct NotedBlock {
    /// With the first items of its payments; a block that the cursor has not reached is whole.
    pub(super) block: TouchedBlock,
    /// What became of it.
    pub(super) state: BlockState,
    /// Keys of transfers that are told later, or need not be told.
    pub(super) others: Vec<String>,
}

/// Transfers of one payment in one block, told in one go.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What places it among all others.
    pub(super) entry: String,
    /// The block, without what it holds.
    pub(super) block: TouchedBlock,
    /// What is told.
    pub(super) transfers: Vec<TouchedTransfer>,
    /// Whether nobody was told of it before.
    pub(super) untold: bool,
}

/// What is told when everything else was, as far as there is time.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    /// In the order in which they are told.
    pub(super) steps: Vec<Step>,
    /// The first of those for which there is no room in a run.
    pub(super) left: Option<RestPlace>,
    /// Heights of blocks that hold more than there is room for.
    pub(super) left_at: Vec<u64>,
}

/// What was noted, lowest first.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) blocks: Vec<NotedBlock>,
    pub(super) rest: Rest,
    /// Whether that is all; else what is above the last block is not known.
    pub(super) is_whole: bool,
}

/// The last run that noted each transfer, and whether as taken back.
type Versions = HashMap<String, (u64, bool)>;

/// Takes notes as they are read.
struct Reader<'a> {
    cursor: &'a Cursor,
    blocks: Vec<Open>,
    behind: Room,
    before: Room,
}

/// A block while it is read.
struct Open {
    block: TouchedBlock,
    state: BlockState,
    kept: Vec<(u64, TouchedTransfer)>,
    others: Vec<String>,
    /// What is believed, of all that was read.
    runs: Versions,
    named: BTreeMap<String, usize>,
}

/// Steps as far as there is room for them.
#[derive(Default)]
struct Room {
    steps: Vec<(u64, Step)>,
    transfers: usize,
    left: Option<RestPlace>,
    left_at: Vec<u64>,
}

impl Step {
    /// Of some of what a block holds, by where a run stopped.
    pub(super) fn of(block: &TouchedBlock, part: &Part<'_>, place: Option<&RestPlace>) -> Step {
        let empty = TouchedBlock { transfers: Vec::new(), payouts: Vec::new(), ..*block };
        let transfers = part.transfers.iter().map(|transfer| (*transfer).clone()).collect();
        let entry = block.entry_of(&part.name);
        let untold = is_untold(&entry, place);
        Step { entry, block: empty, transfers, untold }
    }
}

impl Rest {
    /// Of all that it was read from.
    pub(super) fn heights(&self) -> impl Iterator<Item = u64> {
        self.steps.iter().map(|step| step.block.height).chain(self.left_at.iter().copied())
    }
}

impl<S: Source> Run<'_, S> {
    /// Reads what was noted of blocks whose place in the chain may change, and of those that hold something uncounted.
    pub(super) async fn read_noted(&self, cursor: &Cursor) -> Result<Noted, WatchError> {
        let from = cursor.lowest_kept().min(cursor.open_from.unwrap_or(u64::MAX));
        let mut reader =
            Reader { cursor, blocks: Vec::new(), behind: Room::default(), before: Room::default() };
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        let is_whole = store.each_noted(chain, from, |note| reader.take(note)).await?;
        Ok(reader.noted(is_whole))
    }

    /// All that was noted of a block.
    pub(super) async fn whole(&self, block: &TouchedBlock) -> Result<TouchedBlock, StoreError> {
        let (store, chain) = (self.watcher.store, &self.watcher.chain.id);
        let mut open = Open::new(block.height, block.hash, block.time);
        for note in store.noted(chain, block.height, block.hash).await? {
            match note.held {
                Held::State(_) => {}
                Held::Payout(payout) => open.block.payouts.push(payout),
                Held::Transfers(transfers) => open.keep(note.run, transfers),
            }
        }
        Ok(open.closed().block)
    }
}

impl Reader<'_> {
    fn take(&mut self, note: Note) -> Onward {
        let Note { height, hash, time, .. } = note;
        if self.blocks.last().is_none_or(|last| (last.block.height, last.block.hash) != (height, hash)) {
            self.blocks.push(Open::new(height, hash, time));
        }
        let Some(open) = self.blocks.last_mut() else { return Onward::Stop };
        let transfers = match note.held {
            Held::State(state) => {
                open.state = state;
                return Onward::Next;
            }
            Held::Payout(payout) => {
                open.block.payouts.push(payout);
                return Onward::Next;
            }
            Held::Transfers(transfers) => transfers,
        };
        let is_ahead = height > self.cursor.height;
        if !is_ahead && self.cursor.hash_at(height).is_some_and(|ours| ours != hash) {
            // It is read whole when it is taken back.
            return Onward::PastPayment;
        }
        let tells = !open.state.is_there() || self.cursor.open_from.is_some_and(|from| height >= from);
        if is_ahead || (tells && is_first(&note.entry)) {
            open.keep(note.run, transfers);
            return Onward::Next;
        }
        open.name(note.run, &transfers);
        let settled = open.state.is_there() && open.state.settled.contains(name(&note.entry));
        if tells && !settled {
            let is_behind = self.cursor.place.as_ref().is_none_or(|place| note.entry >= place.entry);
            let untold = is_untold(&note.entry, self.cursor.place.as_ref());
            let block = TouchedBlock { height, hash, time, transfers: Vec::new(), payouts: Vec::new() };
            let room = if is_behind { &mut self.behind } else { &mut self.before };
            room.take(note.run, Step { entry: note.entry, block, transfers, untold });
            return Onward::Next;
        }
        let code = transfers.first().map(|transfer| transfer.code.clone()).unwrap_or_default();
        let named = open.named.entry(code).or_default();
        *named = named.saturating_add(1);
        // While its block is told of, what follows may be what nobody was told yet.
        if *named > NAMED && !tells { Onward::PastPayment } else { Onward::Next }
    }

    fn noted(self, is_whole: bool) -> Noted {
        let latest: HashMap<(u64, BlockHash), &Versions> =
            self.blocks.iter().map(|open| ((open.block.height, open.block.hash), &open.runs)).collect();
        let mut rest = Rest::default();
        for (room, wraps) in [(self.behind, false), (self.before, true)] {
            rest.left_at.extend(room.left_at);
            if wraps && rest.left.is_some() {
                // There is more behind the place than a run tells: what is before it has its turn later.
                rest.left_at.extend(room.steps.iter().map(|(_, step)| step.block.height));
                continue;
            }
            for (run, mut step) in room.steps {
                let runs = latest.get(&(step.block.height, step.block.hash));
                step.transfers.retain(|transfer| {
                    runs.is_some_and(|runs| runs.get(&transfer.id) == Some(&(run, transfer.replaced)))
                });
                rest.steps.push(step);
            }
            rest.left = room.left;
        }
        Noted { blocks: self.blocks.into_iter().map(Open::closed).collect(), rest, is_whole }
    }
}

impl Open {
    fn new(height: u64, hash: BlockHash, time: Timestamp) -> Open {
        let block = TouchedBlock { height, hash, time, transfers: Vec::new(), payouts: Vec::new() };
        let state = BlockState::default();
        let (kept, others, runs) = (Vec::new(), Vec::new(), HashMap::new());
        Open { block, state, kept, others, runs, named: BTreeMap::new() }
    }

    fn keep(&mut self, run: u64, transfers: Vec<TouchedTransfer>) {
        self.date(run, &transfers);
        self.kept.extend(transfers.into_iter().map(|transfer| (run, transfer)));
    }

    fn name(&mut self, run: u64, transfers: &[TouchedTransfer]) {
        self.date(run, transfers);
        self.others.extend(transfers.iter().map(|transfer| transfer.id.clone()));
    }

    fn date(&mut self, run: u64, transfers: &[TouchedTransfer]) {
        for transfer in transfers {
            let last = self.runs.entry(transfer.id.clone()).or_default();
            *last = (*last).max((run, transfer.replaced));
        }
    }

    fn closed(mut self) -> NotedBlock {
        let runs = &self.runs;
        self.kept.retain(|(run, transfer)| runs.get(&transfer.id) == Some(&(*run, transfer.replaced)));
        self.block.transfers = latest(self.kept);
        NotedBlock { block: self.block, state: self.state, others: self.others }
    }
}

impl Room {
    fn take(&mut self, run: u64, step: Step) {
        self.transfers = self.transfers.saturating_add(step.transfers.len());
        if self.transfers > REST {
            self.left_at.push(step.block.height);
            self.left.get_or_insert(RestPlace { entry: step.entry, untold: step.untold });
        } else {
            self.steps.push((run, step));
        }
    }
}

/// Whether a run stopped before it told of an entry for the first time.
fn is_untold(entry: &str, place: Option<&RestPlace>) -> bool {
    place.is_some_and(|place| place.untold && *entry >= *place.entry)
}

/// The same place, or the first of these blocks if that comes before or must be told sooner.
pub(super) fn untold_from(place: Option<RestPlace>, blocks: &[TouchedBlock]) -> Option<RestPlace> {
    let new = blocks.iter().map(|block| block.entry_of("")).min();
    let new = new.map(|entry| RestPlace { entry, untold: true });
    earlier(place, new)
}

/// Of two places where runs stopped: what nobody was told comes first, and then the lower one.
pub(super) fn earlier(one: Option<RestPlace>, other: Option<RestPlace>) -> Option<RestPlace> {
    one.into_iter().chain(other).min_by_key(|place| (!place.untold, place.entry.clone()))
}

/// What an entry is called beside its block.
pub(super) fn name(entry: &str) -> &str {
    entry.splitn(4, '#').last().unwrap_or_default()
}

/// Whether an item is the first of its payment in its block, or stands alone.
fn is_first(entry: &str) -> bool {
    name(entry).split('#').nth(1).is_none_or(|place| place.parse() == Ok(0_u32))
}

/// Where the next run goes on when this one told none of `left`; `None` when nothing is left.
pub(super) fn place(left: &[Step], behind: Option<RestPlace>) -> Option<RestPlace> {
    let step = |step: &Step| RestPlace { entry: step.entry.clone(), untold: step.untold };
    let untold = left.iter().map(step).chain(behind.clone()).filter(|place| place.untold);
    untold.min_by(|one, other| one.entry.cmp(&other.entry)).or_else(|| left.first().map(step)).or(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEIGHT: u64 = 100;
    const HASH: BlockHash = [7; 16];

    /// The item of that place, of one payment in one block.
    fn note(place: usize) -> Note {
        let transfer = TouchedTransfer {
            code: "AAAAAAAA".into(),
            id: format!("ethereum:{place}"),
            coin: "ETH".into(),
            decimals: 18,
            tx: place.to_string(),
            address: String::new(),
            units: "1".into(),
            coinbase: false,
            inputs: Vec::new(),
            replaced: false,
        };
        let time = Timestamp(1);
        let block =
            TouchedBlock { height: HEIGHT, hash: HASH, time, transfers: Vec::new(), payouts: Vec::new() };
        let entry = block.entry_of(&format!("AAAAAAAA#{place:04}#0"));
        Note { height: HEIGHT, hash: HASH, time, entry, run: 1, held: Held::Transfers(vec![transfer]) }
    }

    /// A cursor above the block, which is open or not.
    fn cursor(open_from: Option<u64>) -> Cursor {
        Cursor { height: HEIGHT + 12, open_from, ..Cursor::default() }
    }

    fn read(cursor: &Cursor, notes: usize, settled: usize) -> Rest {
        let mut reader =
            Reader { cursor, blocks: Vec::new(), behind: Room::default(), before: Room::default() };
        let names = (1..=settled).map(|place| name(&note(place).entry).to_owned()).collect();
        let state = BlockState { settled: names, ..BlockState::default() };
        reader.take(Note { held: Held::State(state), ..note(0) });
        // Where a payment is stepped over, none of its further items of the block is read.
        let mut places = 0..notes;
        while places.next().is_some_and(|place| reader.take(note(place)) == Onward::Next) {}
        reader.noted(true).rest
    }

    #[test]
    fn a19_however_many_items_of_an_open_block_are_settled_the_others_are_told() {
        let open = cursor(Some(HEIGHT));
        let rest = read(&open, 60, 50);
        assert_eq!(rest.steps.len(), 9, "but for the first, which is told beside these");
        assert_eq!(read(&cursor(None), 60, 50).steps.len(), 0, "of a block that is told, nothing is");
    }

    #[test]
    fn a19_what_was_never_told_stays_so_where_there_is_no_room_for_it() {
        let place = |entry: &str, untold| RestPlace { entry: entry.into(), untold };
        let step = |number: usize, untold| {
            let Note { entry, time, .. } = note(number);
            let block =
                TouchedBlock { height: HEIGHT, hash: HASH, time, transfers: Vec::new(), payouts: Vec::new() };
            Step { entry, block, transfers: Vec::new(), untold }
        };
        let behind = |untold| Some(place("zzz", untold));
        assert_eq!(super::place(&[], behind(true)), behind(true));
        assert_eq!(super::place(&[step(2, false)], behind(true)), behind(true));
        assert_eq!(
            super::place(&[step(2, false), step(3, true)], behind(true)),
            Some(place(&note(3).entry, true))
        );
        assert_eq!(super::place(&[step(2, false)], behind(false)), Some(place(&note(2).entry, false)));
    }
}
