//! The processes of one function and the calls that wait for them.
//! A process is started when a call finds none idle, kept for the next call, and replaced when it dies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::process::Child;
use tokio::sync::oneshot;

use super::call::{Call, InvokeError, ProcessNumber, Running, Task, request_id};
use super::process::Launch;
use crate::stop::Stop;
use crate::template::Function;

/// Processes of one function at most: a new AWS account has ten executions in all.
const PROCESSES: usize = 10;

/// How long a process may take to ask for its first call: Lambda's limit, tripled for debug builds on busy machines.
const INIT_LIMIT: Duration = Duration::from_secs(30);

/// How long a call waits for a process to be free.
const QUEUE_LIMIT: Duration = Duration::from_mins(1);

/// One function's processes and calls.
pub(super) struct Pool {
    launch: Launch,
    processes: usize,
    timeout: Duration,
    stop: Stop,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// The last is the one used last, and used next.
    idle: Vec<Idle>,
    processes: BTreeMap<ProcessNumber, Process>,
    last_number: ProcessNumber,
}

/// A process that waits for a call.
struct Idle {
    number: ProcessNumber,
    hand_over: oneshot::Sender<Task>,
}

struct Process {
    /// Whether it has asked for a call, so that its start is over.
    started: bool,
    init_error: Option<String>,
    running: Option<Running>,
    kill: Option<oneshot::Sender<()>>,
}

impl Pool {
    pub(super) fn new(launch: Launch, function: &Function, stop: Stop) -> Arc<Pool> {
        let reserved = function.concurrency.and_then(|limit| usize::try_from(limit).ok());
        let processes = reserved.unwrap_or(PROCESSES).clamp(1, PROCESSES);
        Arc::new(Pool { launch, processes, timeout: function.timeout, stop, state: Mutex::default() })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn function(&self) -> &str {
        &self.launch.function
    }

    /// Calls the function. The call goes on to its end even if nobody waits for it any more.
    pub(super) async fn invoke(self: &Arc<Pool>, payload: Bytes) -> Result<Bytes, InvokeError> {
        let call = tokio::spawn(Arc::clone(self).call(payload));
        call.await.unwrap_or(Err(InvokeError::Stopped))
    }

    async fn call(self: Arc<Pool>, payload: Bytes) -> Result<Bytes, InvokeError> {
        let (taken, on_taken) = oneshot::channel();
        let (reply, mut on_reply) = oneshot::channel();
        self.enqueue(Call { id: request_id(), payload, taken, reply });
        let number = tokio::select! {
            biased;
            Ok(number) = on_taken => number,
            early = &mut on_reply => return early.unwrap_or(Err(InvokeError::Stopped)),
            () = tokio::time::sleep(QUEUE_LIMIT) => return Err(InvokeError::Busy),
        };
        let in_time = tokio::time::timeout(self.timeout, on_reply).await;
        in_time.map_or_else(
            |_| {
                self.kill(number);
                Err(InvokeError::TimedOut(self.timeout))
            },
            |reply| reply.unwrap_or(Err(InvokeError::Stopped)),
        )
    }

    fn enqueue(self: &Arc<Pool>, call: Call) {
        let mut state = self.state();
        if self.stop.is_requested() {
            return call.fail(InvokeError::Stopped);
        }
        state.waiting.push_back(call);
        state.hand_out();
        self.start_processes(&mut state);
    }

    /// Starts a process for every waiting call that no other will take soon, within the limit.
    fn start_processes(self: &Arc<Pool>, state: &mut State) {
        while state.soon_idle() < state.waiting.len() && state.processes.len() < self.processes {
            let number = state.last_number.saturating_add(1);
            state.last_number = number;
            match self.launch.start(number) {
                Ok(child) => {
                    let (kill, killed) = oneshot::channel();
                    let process =
                        Process { started: false, init_error: None, running: None, kill: Some(kill) };
                    state.processes.insert(number, process);
                    self.stop.spawn_to_end(Arc::clone(self).watch(number, child, killed));
                }
                Err(error) => state.waiting.drain(..).for_each(|call| call.fail(error.clone())),
            }
        }
    }

    /// Stays with a process until it has ended, by itself or by us.
    async fn watch(self: Arc<Pool>, number: ProcessNumber, mut child: Child, killed: oneshot::Receiver<()>) {
        let stuck = async {
            tokio::time::sleep(INIT_LIMIT).await;
            if self.state().processes.get(&number).is_some_and(|process| process.started) {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            _ = killed => None,
            () = stuck => None,
            () = self.stop.requested() => None,
        };
        let how = match ended {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => child.kill().await.map_or_else(|error| error.to_string(), |()| "it was ended".into()),
        };
        self.ended(number, &how);
    }

    fn ended(self: &Arc<Pool>, number: ProcessNumber, how: &str) {
        self.launch
            .log
            .line(&format!("{} {number}", self.function()), &format!("(the process ended: {how})"));
        let mut state = self.state();
        state.idle.retain(|idle| idle.number != number);
        let Some(process) = state.processes.remove(&number) else { return };
        if let Some(running) = process.running {
            running.finish(Err(InvokeError::Died));
        } else if !process.started {
            // It would fail again: one call learns why instead of waiting for ever.
            let why = process.init_error.unwrap_or_else(|| how.to_owned());
            if let Some(call) = state.waiting.pop_front() {
                call.fail(InvokeError::Init(why));
            }
        }
        if self.stop.is_requested() {
            state.waiting.drain(..).for_each(|call| call.fail(InvokeError::Stopped));
        } else {
            self.start_processes(&mut state);
        }
    }

    /// A process asks for its next call. `None` if it is not one of ours, or is about to be ended.
    pub(super) fn ask(&self, number: ProcessNumber) -> Option<oneshot::Receiver<Task>> {
        let mut state = self.state();
        let process = state.processes.get_mut(&number).filter(|process| process.kill.is_some())?;
        process.started = true;
        let (hand_over, task) = oneshot::channel();
        state.idle.push(Idle { number, hand_over });
        state.hand_out();
        Some(task)
    }

    /// A process answers the call it had taken. Returns whether it had.
    pub(super) fn answer(&self, number: ProcessNumber, id: &str, reply: Result<Bytes, InvokeError>) -> bool {
        let mut state = self.state();
        let Some(process) = state.processes.get_mut(&number) else { return false };
        match process.running.take_if(|running| running.id == id) {
            Some(running) => running.finish(reply),
            None => return false,
        }
        true
    }

    /// A process says why it cannot start; it will end now.
    pub(super) fn init_failed(&self, number: ProcessNumber, why: String) {
        if let Some(process) = self.state().processes.get_mut(&number) {
            process.init_error = Some(why);
        }
    }

    fn kill(&self, number: ProcessNumber) {
        let kill = self.state().processes.get_mut(&number).and_then(|process| process.kill.take());
        // Nobody receives it if the process ended by itself meanwhile, which is as good.
        kill.map(|kill| kill.send(()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Processes that are about to ask for a call: they start, or have just answered one.
    fn soon_idle(&self) -> usize {
        let free = self.processes.values().filter(|process| process.running.is_none()).count();
        free.saturating_sub(self.idle.len())
    }

    /// Gives waiting calls to idle processes until there are no more of either.
    fn hand_out(&mut self) {
        // A caller that gave up waiting is not worth a process.
        self.waiting.retain(|call| !call.taken.is_closed());
        while !self.waiting.is_empty() {
            let Some(idle) = self.idle.pop() else { return };
            // Its connection may have closed, and then the call is for the next one.
            if idle.hand_over.is_closed() {
                continue;
            }
            let Some(process) = self.processes.get_mut(&idle.number) else { continue };
            let Some(call) = self.waiting.pop_front() else { return };
            let task = Task { id: call.id.clone(), payload: call.payload };
            process.running = Some(Running { id: call.id, reply: call.reply });
            if idle.hand_over.send(task).is_err() || call.taken.send(idle.number).is_err() {
                tracing::debug!(process = idle.number, "a call was handed over and nobody is there for it");
            }
        }
    }
}

impl Call {
    fn fail(self, error: InvokeError) {
        if self.reply.send(Err(error)).is_err() {
            tracing::debug!(id = self.id, "nobody waits for a failed call");
        }
    }
}

impl Running {
    fn finish(self, reply: Result<Bytes, InvokeError>) {
        if self.reply.send(reply).is_err() {
            tracing::debug!(id = self.id, "nobody waits for a reply");
        }
    }
}
