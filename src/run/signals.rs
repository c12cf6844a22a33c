//! Handles SIGINT, SIGTERM and SIGHUP while a run is in progress and while its end is reported. Every way to end is safe
//! because of the ledger.

use super::connect::runtime;
use super::error::CommandError;
use super::exit_code::Exit;
use crate::ui;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Prevents SIGUSR1 from ending the program: before a pass begins there is no state that it could print.
pub(super) fn survive_state_signal() -> Result<(), CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = runtime()?;
    let _context = runtime.enter();
    // The operating system's default is replaced for as long as the program runs.
    let _ = signal(SignalKind::user_defined1());
    Ok(())
}

/// Listens for signals until it is dropped, in its own thread: also while reports are drawn or files removed.
#[derive(Debug)]
pub(super) struct Listening {
    over: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Begins to listen; returns when no further signal can be missed. `heard` gets each signal's number, 2 or 15.
    fn begin(heard: impl FnMut(u8) + Send + 'static) -> Result<Self, CommandError> {
        let over = CancellationToken::new();
        let until = over.clone();
        let runtime = runtime()?;
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(until.run_until_cancelled(listen(ready, heard)));
        });
        // If the thread cannot listen, it drops the sender, which ends this wait.
        let _ = is_ready.recv();
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }

    /// Listens during a run: the first signal stops the run in order, a second one ends the wait for other processes, and a
    /// second SIGINT ends the process.
    pub(super) fn to_run(
        [stop, stop_waiting]: [CancellationToken; 2],
        heard: Arc<AtomicU8>,
        resume: String,
    ) -> Result<Self, CommandError> {
        Self::begin(move |number| {
            let earlier = heard.swap(number, Ordering::Relaxed);
            if earlier != 0 && number == 2 {
                let resume = ui::visible(&resume);
                ui::err(&format!("ended immediately; `{resume}` continues"));
                std::process::exit(130);
            }
            if earlier != 0 {
                stop_waiting.cancel();
            }
            stop.cancel();
        })
    }

    /// Listens while a worker waits for runs: a signal ends the process, even if a query to the ledger has no answer.
    /// `works`: the worker has a run, and ends after it.
    pub(super) fn to_wait(
        works: Arc<AtomicBool>,
        heard: Arc<AtomicU8>,
    ) -> Result<Self, CommandError> {
        Self::begin(move |number| {
            heard.store(number, Ordering::Relaxed);
            if !works.load(Ordering::Relaxed) {
                std::process::exit(told_to_stop(number) as i32);
            }
        })
    }

    /// Listens after a run, when the exit code is known: the first signal ends the reports, a second one ends the process.
    pub(super) fn after_run(stop: CancellationToken, exit_code: u8) -> Result<Self, CommandError> {
        Self::begin(move |_| {
            if stop.is_cancelled() {
                std::process::exit(exit_code.into());
            }
            stop.cancel();
        })
    }
}

/// Returns how a worker ends that was told to stop: for a service, that is not a failure.
pub(super) const fn told_to_stop(number: u8) -> Exit {
    match number {
        2 => Exit::Interrupted,
        _ => Exit::Success,
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.over.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic was printed already.
            let _ = thread.join();
        }
    }
}

async fn listen(ready: mpsc::Sender<()>, mut heard: impl FnMut(u8)) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    let _ = ready.send(());
    loop {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 15,
        };
        // The pager gets Ctrl-C, too, and ends a search or a wait for more text, so the program ignores it.
        if number != 2 || !ui::is_paged() {
            heard(number);
        }
    }
}
