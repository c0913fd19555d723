//! An answer that never comes, and nobody has to wait for that.

use std::cell::Cell;

thread_local! {
    static HANGING: Cell<usize> = const { Cell::new(0) };
}

/// Never ends. As long as somebody waits for it and for nothing else, the end of their patience comes at once.
pub(super) async fn forever() {
    let _waited_for = WaitedFor::new();
    std::future::pending::<()>().await;
}

/// Time jumps to whatever happens next while there is one of these.
struct WaitedFor;

impl WaitedFor {
    fn new() -> WaitedFor {
        if HANGING.replace(HANGING.get() + 1) == 0 {
            tokio::time::pause();
        }
        WaitedFor
    }
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        HANGING.set(HANGING.get() - 1);
        if HANGING.get() == 0 {
            tokio::time::resume();
        }
    }
}
