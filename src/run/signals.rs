//! SIGINT, SIGTERM and SIGHUP while a run is in progress. The ledger makes every way to end safe.

use crate::ui;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio_util::sync::CancellationToken;

/// Listens for signals: the first stops the run in order, a second SIGINT ends it immediately.
pub(super) async fn listen(stop: CancellationToken, heard: Arc<AtomicU8>, resume: String) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    loop {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 15,
        };
        let earlier = heard.swap(number, Ordering::Relaxed);
        if earlier != 0 && number == 2 {
            let resume = ui::visible(&resume);
            ui::err(&format!("ended immediately; `{resume}` continues"));
            std::process::exit(130);
        }
        stop.cancel();
    }
}
