//! How bad the weather is: what goes wrong with a request on its way, and how often.

use fastrand::Rng;

/// How often each thing happens, in a thousand; drawn anew for each history, so that some are quiet and some are not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Storm {
    /// The table refuses.
    pub throttled: u64,
    /// The request never arrives.
    pub lost: u64,
    /// The request is done and nobody is told.
    pub answer_lost: u64,
    /// Nobody is told, and the write arrives only after the caller gave up.
    pub late: u64,
    /// The answer is lost and the SDK sends the same request again.
    pub repeated: u64,
    /// A read that need not be consistent is not.
    pub stale: u64,
    /// The node does not answer.
    pub mute: u64,
    /// A request waits while others go on.
    pub delayed: u64,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Refused.
    Throttled,
    /// Never arrived.
    Lost,
    /// Done, not answered.
    AnswerLost,
    /// Done later, not answered.
    Late,
    /// Done, and done again.
    Repeated,
    /// Answered with what was.
    Stale,
}

impl Storm {
    /// Nothing goes wrong and nothing waits.
    pub const CALM: Storm =
        Storm { throttled: 0, lost: 0, answer_lost: 0, late: 0, repeated: 0, stale: 0, mute: 0, delayed: 0 };

    /// The weather of one history.
    pub fn draw(random: &mut Rng) -> Storm {
        let mut rate = |worst: u64| if random.bool() { 0 } else { random.u64(0..=worst) };
        Storm {
            throttled: rate(30),
            lost: rate(30),
            answer_lost: rate(40),
            late: rate(30),
            repeated: rate(60),
            stale: rate(300),
            mute: rate(60),
            delayed: random.u64(0..=700),
        }
    }

    /// What happens to a request.
    pub fn strike(&self, random: &mut Rng, is_write: bool) -> Option<Mishap> {
        let mishaps = [
            (self.throttled, Mishap::Throttled),
            (self.lost, Mishap::Lost),
            (self.answer_lost, Mishap::AnswerLost),
            (if is_write { self.late } else { 0 }, Mishap::Late),
            (if is_write { self.repeated } else { 0 }, Mishap::Repeated),
            (if is_write { 0 } else { self.stale }, Mishap::Stale),
        ];
        let mut drawn = random.u64(0..1_000);
        for (rate, mishap) in mishaps {
            match drawn.checked_sub(rate) {
                Some(rest) => drawn = rest,
                None => return Some(mishap),
            }
        }
        None
    }

    /// Whether something of that rate happens now.
    pub fn happens(rate: u64, random: &mut Rng) -> bool {
        rate > 0 && random.u64(0..1_000) < rate
    }
}
