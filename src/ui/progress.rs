//! What a person sees while a run is under way: a bar on a terminal, else a plain line now and then.
//!
//! A thread of its own looks at the counts ten times a second; the engine does not notice.

use super::time_left::TimeLeft;
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

/// What a display is told of the calls, for the time that is left.
pub struct Calls {
    /// The most calls, and the window in which they count.
    pub quota: Option<(u64, Duration)>,
    /// How many calls were made so far.
    pub made: Box<dyn Fn() -> u64 + Send>,
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
        calls: Calls,
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
            left: TimeLeft::new(calls.quota),
            calls,
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
    /// Why all calls wait, and until when.
    waiting: Option<(String, Instant)>,
    left: TimeLeft,
    calls: Calls,
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
                let new = self.waiting.as_ref().is_none_or(|(old, _)| *old != why);
                let until = Instant::now() + Duration::from_millis(for_ms);
                let words = waits(&why, until);
                self.waiting = Some((why, until));
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
        let at = self.began.elapsed();
        self.left
            .see(at, self.waiting.is_some(), done, (self.calls.made)());
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

    fn words(&self, done: u64, lines: u64) -> String {
        let pace = self.left.lines_per_second().unwrap_or(0.0);
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
        let held = self.waiting.as_ref().map_or(Duration::ZERO, |(_, until)| {
            until.saturating_duration_since(Instant::now())
        });
        if lines > done
            && let Some(left) = self.left.of(lines - done, held)
        {
            words.push_str(&format!("  left {}", duration(left.as_secs())));
        }
        if let Some((why, until)) = &self.waiting {
            words.push_str(&format!("  [{}]", waits(why, *until)));
        }
        words
    }
}

/// Why all calls wait, and how long from now.
fn waits(why: &str, until: Instant) -> String {
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up: it is not over before it is.
    let seconds = u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    format!("{} for about {}", visible(why), duration(seconds))
}
