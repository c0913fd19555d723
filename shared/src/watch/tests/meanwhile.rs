//! A node during whose answers something else happens once: after a run has read its lists, and before it reads a block.

use std::cell::RefCell;
use std::pin::Pin;

use super::chain::FakeChain;
use super::world::World;
use crate::chain::block::{Header, Mempool, ScannedBlock};
use crate::chain::rpc::RpcError;
use crate::clock::Clock;
use crate::payment::Code;
use crate::watch::{Source, WatchList, Watcher};

/// What happens.
type Turn<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

pub(super) struct Meanwhile<'a> {
    node: &'a FakeChain,
    turn: RefCell<Option<Turn<'a>>>,
}

impl<'a> Meanwhile<'a> {
    pub(super) fn new(node: &'a FakeChain, turn: impl Future<Output = ()> + 'a) -> Meanwhile<'a> {
        Meanwhile { node, turn: RefCell::new(Some(Box::pin(turn))) }
    }

    pub(super) fn watcher<'b>(&'b self, world: &'b World) -> Watcher<'b, Meanwhile<'a>> {
        let clock = Clock::stopped(world.now());
        Watcher { chain: &world.chain, source: self, store: &world.store, clock }
    }
}

impl Source for Meanwhile<'_> {
    async fn tip(&self) -> Result<Header, RpcError> {
        self.node.tip().await
    }

    async fn header(&self, height: u64) -> Result<Option<Header>, RpcError> {
        self.node.header(height).await
    }

    /// Asked once in each run, when the lists are read.
    async fn finalized(&self) -> Result<Option<Header>, RpcError> {
        let turn = self.turn.borrow_mut().take();
        if let Some(turn) = turn {
            turn.await;
        }
        self.node.finalized().await
    }

    async fn scan(&self, height: u64, list: &WatchList) -> Result<ScannedBlock<Code>, RpcError> {
        self.node.scan(height, list).await
    }

    async fn mempool(&self) -> Result<Option<Mempool>, RpcError> {
        self.node.mempool().await
    }
}
