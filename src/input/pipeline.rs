//! Blocks → results, in parallel and in order.
//!
//! Promises: only a few blocks are processed at the same time, so memory use is constant; no result follows an error.

use super::InputError;
use super::block::{Block, Blocks};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// The work on a block, which runs on one of rayon's threads.
pub(super) type Work<T> = Arc<dyn Fn(Block) -> Result<T, InputError> + Send + Sync>;

/// The results of the blocks, in the order of the blocks.
pub(super) struct Pipeline<T> {
    /// `None` after the last block or an error.
    blocks: Option<Blocks>,
    work: Work<T>,
    under_way: VecDeque<Receiver<Result<T, InputError>>>,
    most: usize,
}

impl<T: Send + 'static> Pipeline<T> {
    pub(super) fn new(blocks: Blocks, work: Work<T>) -> Self {
        Self {
            blocks: Some(blocks),
            work,
            under_way: VecDeque::new(),
            most: rayon::current_num_threads() + 2,
        }
    }

    fn begin_some(&mut self) {
        while self.under_way.len() < self.most {
            let Some(blocks) = &mut self.blocks else {
                return;
            };
            let next = blocks.next();
            if !matches!(next, Some(Ok(_))) {
                self.blocks = None;
            }
            let Some(next) = next else {
                return;
            };
            let (answer, result) = sync_channel(1);
            let work = Arc::clone(&self.work);
            // The receiver of the answer may be gone; then the answer is dropped.
            match next {
                Ok(block) => rayon::spawn(move || drop(answer.send(work(block)))),
                Err(error) => drop(answer.send(Err(error))),
            }
            self.under_way.push_back(result);
        }
    }
}

/// Waits for a result without blocking rayon: one of rayon's threads does other work meanwhile.
fn wait<T>(result: &Receiver<T>) -> Option<T> {
    if rayon::current_thread_index().is_none() {
        return result.recv().ok();
    }
    loop {
        match result.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl<T: Send + 'static> Iterator for Pipeline<T> {
    type Item = Result<T, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.begin_some();
        let first = self.under_way.pop_front()?;
        let result = wait(&first).expect("a worker answers, or the process ends with its panic");
        if result.is_err() {
            self.blocks = None;
            self.under_way.clear();
        }
        Some(result)
    }
}
