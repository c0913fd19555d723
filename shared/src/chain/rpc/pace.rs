//! How fast a node is asked: as fast as its answers come, until it says that this is too much (R38).
//!
//! A node that turns questions away is left alone for as long as it says, or for a while that grows, and is then asked as
//! slowly as it lately answered, fewer questions at once. That is kept for the rest of the run and longer; after a minute
//! without a refusal it is asked a little faster again.

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::limit::Wish;

/// Questions under way at once: more than a watcher has.
pub(super) const AT_ONCE: usize = 8;

/// How long a node that does not say is left alone after a refusal; twice as long after each further one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// But no longer than this, nor shorter.
const LONGEST_OWN_PAUSE: Duration = Duration::from_secs(8);

/// What a node may ask for: a run is over by then, and the next one may try.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A question waits so long for the end of a pause, and in all: more would be the whole run.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Questions are never further apart than so many first pauses, however often a node refuses.
const WIDEST_GAP: u32 = 2;

/// The first refusal puts them no further apart than this part of a first pause: few answers may have come before it for
/// other reasons.
const FIRST_GAP_PART: u32 = 4;

/// What is faster than this is not worth keeping to.
const NARROWEST_GAP: Duration = Duration::from_millis(4);

/// The time in which answers are counted to learn the node's pace: limits are so many questions a second.
const MEASURED: Duration = Duration::from_secs(1);

/// Without a refusal for so long, the pace rises again.
const RELAXED_AFTER: Duration = Duration::from_mins(1);

/// A kind of question that was refused so often in a row, while the node answered others, is not a matter of pace.
const HOPELESS: u32 = 6;

/// The pace at which one node is asked, by everybody who asks it in this process.
#[derive(Debug)]
pub(super) struct Pace {
    known: Mutex<Known>,
    turns: Semaphore,
}

/// Leave to ask, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
    /// How often the pace had been lowered when the question was asked.
    lowered: u64,
}

/// What is known of a node's patience.
#[derive(Debug)]
struct Known {
    /// Between the beginnings of two questions.
    gap: Duration,
    /// When the next one may begin.
    next: Option<Instant>,
    /// The node wants to be left alone until then.
    paused_until: Option<Instant>,
    /// The pause after the next refusal, if the node does not say.
    pause: Duration,
    first_pause: Duration,
    /// Questions under way at once.
    at_once: usize,
    /// Turns to be given up when they end, to come down to that.
    surplus: usize,
    /// Questions in one request.
    batch: usize,
    /// How often the pace was lowered: refusals of questions that were asked before tell nothing new.
    lowered: u64,
    /// When it was last changed.
    changed_at: Option<Instant>,
    /// The answers of the last second, several to a batch.
    answers: VecDeque<(Instant, usize)>,
    /// Kinds of questions that were refused since they were last answered.
    refused: BTreeMap<&'static str, Refused>,
}

#[derive(Debug, Default)]
struct Refused {
    times: u32,
    /// Whether the node answered other questions meanwhile.
    others_answered: bool,
}

impl Pace {
    /// A pace that nothing slows yet.
    pub(super) fn new(first_pause: Duration) -> Pace {
        Pace { known: Mutex::new(Known::new(first_pause)), turns: Semaphore::new(AT_ONCE) }
    }

    /// Waits until so many questions may be asked in one request; fails with how long the node wants to be left alone if
    /// that is too long to wait.
    pub(super) async fn turn(&self, questions: usize) -> Result<Turn<'_>, Duration> {
        let permit = self.turns.acquire().await.ok();
        loop {
            let at = self.known().slot(Instant::now(), questions)?;
            sleep_until(at).await;
            let known = self.known();
            // A pause that began meanwhile makes every slot that was given out worthless.
            if known.paused_until.is_none_or(|until| until <= at) {
                let lowered = known.lowered;
                return Ok(Turn { pace: self, permit, lowered });
            }
        }
    }

    /// How many questions should be under way at once.
    pub(super) fn at_once(&self) -> usize {
        self.known().at_once
    }

    /// How many questions should go into one request.
    pub(super) fn batch(&self) -> usize {
        self.known().batch
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what a faster pace allows.
    fn add_turns(&self, more: usize) {
        self.turns.add_permits(more);
    }
}

impl Turn<'_> {
    /// The node answered, so many questions of that kind.
    pub(super) fn answered(self, method: &'static str, questions: usize) {
        let more = self.pace.known().answered(Instant::now(), method, questions);
        self.pace.add_turns(more);
    }

    /// The node refused, because it was asked too much: all but so many of those that were asked in the request. Whether
    /// asking again is worth it.
    pub(super) fn refused(self, method: &'static str, (asked, answered): (usize, usize), wish: Wish) -> bool {
        let (mut known, now) = (self.pace.known(), Instant::now());
        let more = if answered > 0 { known.answered(now, method, answered) } else { 0 };
        let is_worth_it = known.refused(now, self.lowered, (method, asked), wish);
        drop(known);
        self.pace.add_turns(more);
        is_worth_it
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.pace.known();
        if let Some(surplus) = known.surplus.checked_sub(1) {
            known.surplus = surplus;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

impl Known {
    fn new(first_pause: Duration) -> Known {
        Known {
            gap: Duration::ZERO,
            next: None,
            paused_until: None,
            pause: first_pause,
            first_pause,
            at_once: AT_ONCE,
            surplus: 0,
            batch: usize::MAX,
            lowered: 0,
            changed_at: None,
            answers: VecDeque::new(),
            refused: BTreeMap::new(),
        }
    }

    /// When so many questions may be asked, which are then taken to be.
    fn slot(&mut self, now: Instant, questions: usize) -> Result<Instant, Duration> {
        let paused_until = self.paused_until.filter(|until| *until > now);
        if let Some(until) = paused_until {
            let left = until.saturating_duration_since(now);
            if left > LONGEST_WAIT {
                return Err(left);
            }
        }
        let at = now.max(self.next.unwrap_or(now)).max(paused_until.unwrap_or(now));
        let questions = u32::try_from(questions).unwrap_or(u32::MAX);
        self.next = at.checked_add(self.gap.saturating_mul(questions));
        Ok(at)
    }

    /// How many more may be asked at once from now on.
    fn answered(&mut self, now: Instant, method: &'static str, questions: usize) -> usize {
        self.refused.remove(method);
        for refused in self.refused.values_mut() {
            refused.others_answered = true;
        }
        self.pause = self.first_pause;
        self.forget_answers(now);
        self.answers.push_back((now, questions));
        self.relax(now)
    }

    /// Lowers the pace, once for all questions that were under way together.
    fn refused(
        &mut self,
        now: Instant,
        lowered_then: u64,
        (method, questions): (&'static str, usize),
        wish: Wish,
    ) -> bool {
        let refused = self.refused.entry(method).or_default();
        refused.times = refused.times.saturating_add(1);
        if refused.times >= HOPELESS && refused.others_answered {
            return false;
        }
        let is_news = lowered_then == self.lowered;
        if is_news || wish.wait.is_some() {
            let pause =
                wish.wait.unwrap_or(self.pause).max(self.first_pause.min(self.pause)).min(LONGEST_PAUSE);
            self.paused_until = self.paused_until.max(now.checked_add(pause));
        }
        if is_news {
            self.lowered = self.lowered.saturating_add(1);
            self.changed_at = Some(now);
            self.pause = self.pause.saturating_mul(2).min(LONGEST_OWN_PAUSE);
            self.lower(now, questions, wish.per_second);
        }
        true
    }

    fn lower(&mut self, now: Instant, questions: usize, per_second: Option<u32>) {
        self.forget_answers(now);
        let answers: usize = self.answers.iter().map(|(_, questions)| questions).sum();
        let answers = u32::try_from(answers).unwrap_or(u32::MAX);
        // What was answered in a second is the limit, and a tenth less is below it.
        let spread = |questions: u32| MEASURED.saturating_mul(11).checked_div(questions.saturating_mul(10));
        let first = self.first_pause.checked_div(FIRST_GAP_PART).unwrap_or_default();
        let learned = spread(answers).unwrap_or(first).min(self.gap.saturating_mul(2).max(first));
        let slower = self.gap.saturating_mul(5).checked_div(4).unwrap_or(self.gap);
        let told = per_second.and_then(spread).unwrap_or_default();
        let widest = self.first_pause.saturating_mul(WIDEST_GAP);
        self.gap = learned.max(slower).max(told).max(NARROWEST_GAP).min(widest);
        let fewer = self.at_once.div_ceil(2);
        self.surplus = self.surplus.saturating_add(self.at_once.saturating_sub(fewer));
        self.at_once = fewer;
        if questions > 1 {
            self.batch = questions.div_ceil(2);
        }
    }

    /// Raises the pace a little when no refusal came for a while; says how many more may be asked at once.
    fn relax(&mut self, now: Instant) -> usize {
        let is_time = self.changed_at.is_some_and(|at| now.saturating_duration_since(at) >= RELAXED_AFTER);
        if !is_time {
            return 0;
        }
        self.changed_at = Some(now);
        self.gap = self.gap.saturating_mul(3).checked_div(4).unwrap_or_default();
        if self.gap < NARROWEST_GAP {
            self.gap = Duration::ZERO;
        }
        self.batch = self.batch.saturating_mul(2);
        if self.at_once >= AT_ONCE {
            return 0;
        }
        self.at_once = self.at_once.saturating_add(1);
        // A turn that was to be given up is simply kept.
        match self.surplus.checked_sub(1) {
            Some(surplus) => {
                self.surplus = surplus;
                0
            }
            None => 1,
        }
    }

    fn forget_answers(&mut self, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) > MEASURED;
        while self.answers.front().is_some_and(|(at, _)| is_old(*at)) {
            self.answers.pop_front();
        }
    }
}
