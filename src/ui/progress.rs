//! What a person sees while a run is under way: a bar on a terminal, else a plain line now and then.
//!
//! A thread of its own looks at the counts ten times a second; the engine does not notice.

use super::{count, duration, err, visible};
use crate::engine::{Event, Tally};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A bar on a terminal, else plain lines.
    Auto,
    /// A bar.
    Bar,
    /// Plain lines.
    Plain,
    /// Nothing.
    None,
}

/// A display that runs until it is finished.
#[derive(Debug)]
pub struct Progress {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show what happens.
    pub fn start(
        mode: Mode,
        title: &str,
        tally: Arc<Tally>,
        events: broadcast::Receiver<Event>,
    ) -> Self {
        let terminal = std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bar = match mode {
            Mode::None => {
                return Self {
                    stop: None,
                    thread: None,
                };
            }
            Mode::Bar => true,
            Mode::Plain => false,
            Mode::Auto => terminal,
        };
        let (stop, stopped) = mpsc::channel();
        let display = Display {
            title: title.to_owned(),
            tally,
            events,
            bar: bar.then(new_bar),
            began: Instant::now(),
            waiting: None,
            said_at: Instant::now(),
            said_tenth: 0,
        };
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || display.show(&stopped))
            .ok();
        Self {
            stop: Some(stop),
            thread,
        }
    }

    /// Clears the bar.
    pub fn finish(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A display that broke has nothing to tell.
            let _ = thread.join();
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{prefix} {bar:24} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

struct Display {
    title: String,
    tally: Arc<Tally>,
    events: broadcast::Receiver<Event>,
    bar: Option<ProgressBar>,
    began: Instant,
    waiting: Option<String>,
    said_at: Instant,
    said_tenth: u64,
}

impl Display {
    fn show(mut self, stopped: &mpsc::Receiver<()>) {
        loop {
            let over = !matches!(
                stopped.recv_timeout(Duration::from_millis(100)),
                Err(mpsc::RecvTimeoutError::Timeout)
            );
            self.hear();
            self.draw();
            if over {
                break;
            }
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn hear(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.event(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn event(&mut self, event: Event) {
        let words = match event {
            Event::Flowing => {
                self.waiting = None;
                return;
            }
            Event::Waiting { why, for_ms } => {
                let words = format!(
                    "{} for about {}",
                    visible(&why),
                    duration(for_ms.div_ceil(1000))
                );
                let new = self
                    .waiting
                    .as_deref()
                    .is_none_or(|old| !old.starts_with(why.as_str()));
                self.waiting = Some(words.clone());
                if !new || for_ms < 1000 {
                    return;
                }
                words
            }
            Event::BulkRefused { why } => {
                format!("customers are searched one by one ({})", visible(&why))
            }
            Event::CanaryPassed { units } => format!("canary: {units} units are right"),
            Event::Stopping { why, open } => {
                format!(
                    "stopping: {}; {open} units under way finish; Ctrl-C again ends at once",
                    visible(&why)
                )
            }
        };
        match &self.bar {
            Some(bar) => bar.suspend(|| err(&format!("{}: {words}", self.title))),
            None => err(&format!("{}: {words}", self.title)),
        }
    }

    fn draw(&mut self) {
        let (done, lines) = (self.tally.done(), self.tally.lines.load(Ordering::Relaxed));
        if let Some(bar) = &self.bar {
            bar.set_length(lines);
            bar.set_position(done);
            bar.set_prefix(self.title.clone());
            bar.set_message(self.words(done, lines));
            return;
        }
        let tenth = (done * 10).checked_div(lines).unwrap_or(0);
        let late = self.said_at.elapsed() >= Duration::from_secs(30);
        if late || (tenth > self.said_tenth && self.began.elapsed() > Duration::from_secs(2)) {
            self.said_at = Instant::now();
            self.said_tenth = tenth;
            err(&format!("{}  {}", self.title, self.words(done, lines)));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a pace for a display")]
    fn words(&self, done: u64, lines: u64) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let pace = if seconds > 0.5 {
            done as f64 / seconds
        } else {
            0.0
        };
        let percent = (done * 100).checked_div(lines).unwrap_or(0);
        let mut words = format!(
            "{}/{} ({percent} %)  {pace:.1} lines/s",
            count(done),
            count(lines)
        );
        for name in crate::domain::Status::NAMES {
            let number = self.tally.of(name);
            if number > 0 {
                words.push_str(&format!("  {name} {}", count(number)));
            }
        }
        if pace > 0.0 && lines > done {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "seconds left"
            )]
            let left = ((lines - done) as f64 / pace) as u64;
            words.push_str(&format!("  left {}", duration(left)));
        }
        if let Some(waiting) = &self.waiting {
            words.push_str(&format!("  [{waiting}]"));
        }
        words
    }
}
