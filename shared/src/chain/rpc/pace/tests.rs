//! The pace that a node teaches, by a clock that the test moves.

use super::*;

const METHOD: &str = "eth_getLogs";

/// A node's limit in a test: so many questions in each second, or the end of the second is waited for.
struct Second {
    allows: usize,
    began: Instant,
    asked: usize,
}

impl Second {
    fn answers(&mut self, at: Instant) -> bool {
        if at.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            (self.began, self.asked) = (at, 0);
        }
        self.asked += 1;
        self.asked <= self.allows
    }
}

/// Asks one question after the other as fast as allowed, for so many seconds; tells how many were answered, how many were
/// refused, and how many of those in the last half.
fn ask_for(known: &mut Known, allows: usize, seconds: u64) -> (usize, usize, usize) {
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let mut second = Second { allows, began, asked: 0 };
    let (mut answered, mut refused, mut late) = (0, 0, 0);
    let mut now = began;
    loop {
        let at = known.slot(now, 1).unwrap();
        if at >= end {
            return (answered, refused, late);
        }
        now = at + Duration::from_millis(1);
        if second.answers(at) {
            answered += 1;
            known.answered(now, METHOD, 1);
        } else {
            refused += 1;
            late += usize::from(at > began + Duration::from_secs(seconds / 2));
            assert!(known.refused(now, known.lowered, (METHOD, 1), Wish::default()));
        }
    }
}

#[tokio::test]
async fn a11_the_pace_of_a_node_is_learned_from_its_refusals_and_kept() {
    for allows in [1, 5, 15, 100] {
        let mut known = Known::new(FIRST_PAUSE);
        let (answered, refused, late) = ask_for(&mut known, allows, 30);
        assert!(answered >= allows * 30 * 6 / 10, "{allows} a second: {answered} answered");
        assert!(refused <= 8, "{allows} a second: {refused} refused");
        assert_eq!(late, 0, "{allows} a second");
        assert!(known.at_once < AT_ONCE);
    }
}

#[tokio::test]
async fn a11_questions_that_are_refused_together_lower_the_pace_once() {
    let (mut known, now) = (Known::new(FIRST_PAUSE), Instant::now());
    for _ in 0..5 {
        known.answered(now, METHOD, 1);
    }
    for _ in 0..3 {
        assert!(known.refused(now, 0, (METHOD, 1), Wish::default()));
    }
    assert_eq!((known.gap, known.at_once), (Duration::from_millis(220), AT_ONCE / 2));
    assert_eq!(known.slot(now, 1).unwrap(), now + FIRST_PAUSE);
    assert_eq!(known.slot(now, 1).unwrap(), now + FIRST_PAUSE + Duration::from_millis(220));
}

#[tokio::test]
async fn a11_a_node_is_left_alone_for_as_long_as_it_says_but_not_for_ever() {
    let (mut known, now) = (Known::new(FIRST_PAUSE), Instant::now());
    let wish = |seconds| Wish { wait: Some(Duration::from_secs(seconds)), per_second: Some(4) };
    known.refused(now, 0, (METHOD, 1), wish(20));
    assert_eq!(known.slot(now, 1).unwrap(), now + Duration::from_secs(20));
    assert_eq!(known.gap, Duration::from_millis(275), "a tenth less than it allows");
    known.refused(now, 1, (METHOD, 1), wish(86_400));
    assert_eq!(known.slot(now, 1).unwrap_err(), LONGEST_PAUSE);
    assert!(known.slot(now + Duration::from_secs(40), 1).is_ok());
}

#[tokio::test]
async fn a11_after_a_minute_without_refusals_the_pace_rises_again() {
    let (mut known, now) = (Known::new(FIRST_PAUSE), Instant::now());
    known.refused(now, 0, (METHOD, 500), Wish::default());
    assert_eq!((known.gap, known.batch), (Duration::from_millis(250), 250));
    let mut more = known.answered(now + Duration::from_secs(59), METHOD, 1);
    assert_eq!((more, known.gap), (0, Duration::from_millis(250)));
    let mut later = now;
    for _ in 0..20 {
        later += RELAXED_AFTER;
        more += known.answered(later, METHOD, 1);
    }
    assert_eq!((known.gap, known.at_once, known.surplus), (Duration::ZERO, AT_ONCE, 0));
    assert_eq!(more, 0, "the four turns to be given up were kept");
}

#[tokio::test]
async fn a11_a_kind_of_question_that_is_always_refused_slows_no_other() {
    let (mut known, mut now) = (Known::new(FIRST_PAUSE), Instant::now());
    let mut worth_it = 0;
    for _ in 0..20 {
        now += Duration::from_secs(2);
        known.answered(now, "eth_getBlockByNumber", 1);
        worth_it += usize::from(known.refused(now, known.lowered, (METHOD, 1), Wish::default()));
    }
    assert_eq!(worth_it, 5);
    assert!(known.gap < FIRST_PAUSE * WIDEST_GAP);
    known.answered(now, METHOD, 1);
    assert!(known.refused(now, known.lowered, (METHOD, 1), Wish::default()), "an answer gives hope again");
}

#[tokio::test]
async fn a11_fewer_turns_are_given_at_once_after_a_refusal() {
    let pace = Pace::new(Duration::from_millis(1));
    let mut turns = Vec::new();
    for _ in 0..AT_ONCE {
        turns.push(pace.turn(1).await.unwrap());
    }
    for turn in turns {
        turn.refused(METHOD, (1, 0), Wish::default());
    }
    assert_eq!((pace.at_once(), pace.turns.available_permits()), (AT_ONCE / 2, AT_ONCE / 2));
}
