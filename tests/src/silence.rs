//! A way to the database on which connections die silently, as where a function was frozen too long: nothing comes back any
//! more, and nobody says that it will not.

use std::sync::Arc;

use tokio::io::copy;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of a connection that was there before it was told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// What is sent reaches nobody.
    OfBoth,
    /// What is sent arrives and is done; the answer does not come.
    OfAnswers,
}

/// The way. It is there as long as the runtime that started it.
#[derive(Clone)]
pub struct Way {
    endpoint: String,
    database: watch::Sender<Option<String>>,
    /// How many times connections have died, and how the last time.
    died: watch::Sender<(u32, Silence)>,
}

impl Way {
    /// Starts it. The database starts later and is named then.
    pub async fn start() -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let way = Way {
            endpoint,
            database: watch::Sender::new(None),
            died: watch::Sender::new((0, Silence::OfBoth)),
        };
        let serving = way.clone();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(serving.clone().connect(from));
            }
        });
        way
    }

    /// Where it begins.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where it leads.
    pub fn lead_to(&self, database: &str) {
        let address = database.strip_prefix("http://").unwrap_or(database).to_owned();
        self.database.send_replace(Some(address));
    }

    /// All connections that are there now die; new ones live.
    pub fn die(&self, silence: Silence) {
        self.died.send_modify(|(times, how)| {
            *times = times.saturating_add(1);
            *how = silence;
        });
    }

    async fn connect(self, from: TcpStream) {
        let mut death = self.died.subscribe();
        death.mark_unchanged();
        let database = self.database.subscribe().wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let to = TcpStream::connect(database).await.unwrap();
        let (from_read, from_write) = from.into_split();
        let (to_read, to_write) = to.into_split();
        let questions = pass(from_read, to_write, death.clone(), Silence::OfBoth);
        let answers = pass(to_read, from_write, death, Silence::OfAnswers);
        tokio::join!(questions, answers);
    }
}

/// Passes on what comes, until the connection dies in this direction. Then it is only kept open.
async fn pass(
    mut read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
    mut death: watch::Receiver<(u32, Silence)>,
    direction: Silence,
) {
    let dead = async move {
        while death.changed().await.is_ok() {
            let how = death.borrow_and_update().1;
            // Answers die in either case.
            if direction == Silence::OfAnswers || how == Silence::OfBoth {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = copy(&mut read, &mut write) => {}
        () = dead => {
            let kept = Arc::new((read, write));
            std::future::pending::<()>().await;
            drop(kept);
        }
    }
}
