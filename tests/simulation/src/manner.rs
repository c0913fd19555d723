//! How a node behaves during one run of a watcher.

use fastrand::Rng;

use crate::kind::Kind;

/// A tip is boasted of less far above the chain than this.
pub const HIGHEST_BOAST: u64 = 20;

/// How a node behaves during one run of a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// It knows this many blocks less.
    Lags(u64),
    /// It stands on the branch that was the best chain before.
    Former,
    /// It has no blocks by height.
    NoHeaders,
    /// It has the tip and cannot read it.
    NoTipBlock,
    /// The tip's block does not follow from the one before it.
    WrongParent,
    /// It speaks of a tip this much higher than any block there is.
    Boasts(u64),
    /// It was started anew and does not know what waits for a block.
    Restarted,
    /// Its lists of what every other block holds are not whole, which their roots tell.
    Short,
    /// It stands on a branch of its own, far below the best chain's tip.
    Orphan,
    /// It answers so many questions and refuses all others for being too many.
    Paced(u64),
    /// Each of its answers takes so many seconds, and so does the table.
    Slow(u64),
    /// Before it tells of the first block there is time for much else to happen.
    Waits,
}

impl Manner {
    /// How a node behaves this time.
    pub fn draw(random: &mut Rng, kind: Kind) -> Manner {
        match random.u8(0..32) {
            0 | 1 => Manner::Lags(random.u64(1..6)),
            2 | 3 => Manner::Former,
            4 => Manner::NoHeaders,
            5 => Manner::NoTipBlock,
            6 => Manner::WrongParent,
            7 => Manner::Boasts(random.u64(1..HIGHEST_BOAST)),
            8 if kind == Kind::Bitcoin => Manner::Restarted,
            9..=11 => Manner::Short,
            12 | 13 => Manner::Paced(random.u64(1..8)),
            14..=16 => Manner::Slow(random.u64(2..13)),
            _ => Manner::Honest,
        }
    }

    /// Seconds that each request takes while a run asks such a node: it may be the network that is slow.
    pub fn seconds(self) -> u64 {
        if let Manner::Slow(seconds) = self { seconds } else { 0 }
    }
}
