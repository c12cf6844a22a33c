//! What a person sees while a run is under way: a bar on a terminal, else a plain line now and then.
//!
//! A thread of its own looks at the counts ten times a second; the engine does not notice.

use super::time_left::TimeLeft;
use super::{count, counted, duration, err, visible};
use crate::engine::{Event, Tally};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// A bar on a terminal, else plain lines.
    #[default]
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
            said_why: None,
            stopping: false,
            waits_are_over: false,
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
    bar.set_style(style(false));
    bar
}

/// While calls wait, the reason needs the room.
fn style(waits: bool) -> ProgressStyle {
    let template = if waits {
        "{prefix} {msg}"
    } else {
        "{prefix} {bar:24} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

struct Display {
    title: String,
    tally: Arc<Tally>,
    events: broadcast::Receiver<Event>,
    bar: Option<ProgressBar>,
    began: Instant,
    waiting: Option<Waiting>,
    /// The reason for a wait that was last written above the bar, while that wait lasts.
    said_why: Option<String>,
    /// No new unit is begun any more.
    stopping: bool,
    /// Nor does anything wait any more.
    waits_are_over: bool,
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
                if self.said_why.take().is_none() {
                    return;
                }
                "calls are made again".to_owned()
            }
            Event::Waiting {
                why,
                for_ms,
                outage,
            } => {
                if self.waits_are_over {
                    return;
                }
                let is_said = self.said_why.as_ref() == Some(&why);
                // What is written once stays: it counts nothing down.
                let words = visible(&why).into_owned();
                let until = for_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                self.waiting = Some(Waiting {
                    why: why.clone(),
                    until,
                    outage,
                });
                if is_said || (for_ms.is_some_and(|ms| ms < 1000) && !outage) {
                    return;
                }
                self.said_why = Some(why);
                words
            }
            Event::BulkRefused { why } => {
                format!("customers are searched one by one ({})", visible(&why))
            }
            Event::NoEffect { times, why } => {
                format!(
                    "{times} writes in a row did not take effect and are sent again; the last one: {}",
                    visible(&why)
                )
            }
            Event::WaveVerified { wave, of, lines } => {
                format!("wave {wave} of {of}: {} verified", counted(lines, "line"))
            }
            Event::Stopping {
                why,
                open,
                ends_waits,
            } => {
                self.stopping = true;
                self.waits_are_over = ends_waits;
                if ends_waits {
                    (self.waiting, self.said_why) = (None, None);
                }
                format!(
                    "stopping: {}; {} under way will finish; Ctrl-C again ends immediately",
                    visible(&why),
                    counted(open, "unit"),
                )
            }
        };
        // The bar is drawn again below what is written.
        self.draw();
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
            bar.set_style(style(self.waiting.is_some()));
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

    /// How far the run is; what it waits for stands first, where a narrow terminal still shows it.
    fn words(&self, done: u64, lines: u64) -> String {
        let percent = (done * 100).checked_div(lines).unwrap_or(0);
        let mut words = format!("{}/{} ({percent} %)", count(done), count(lines));
        let waiting = self.waiting.as_ref();
        if let Some(waiting) = waiting {
            words.push_str(&format!("  {}", waiting.words()));
        } else if let Some(pace) = self.left.lines_per_second().filter(|_| !self.stopping) {
            words.push_str(&format!("  {pace:.1} lines/s"));
        }
        // Nothing tells how long an outage lasts, and what is not begun any more is not waited for.
        let has_end = !self.stopping && waiting.is_none_or(|waiting| !waiting.outage);
        let held = waiting.map_or(Duration::ZERO, Waiting::left);
        if has_end
            && lines > done
            && let Some(left) = self.left.of(lines - done, held)
        {
            words.push_str(&format!("  left {}", duration(left.as_secs())));
        }
        if self.stopping {
            words.push_str("  stopping");
        }
        for name in crate::domain::Status::NAMES {
            let number = self.tally.of(name);
            if number > 0 {
                words.push_str(&format!("  {name} {}", count(number)));
            }
        }
        words
    }
}

/// Why all calls wait, and until when.
struct Waiting {
    why: String,
    /// `None`: until a person says so.
    until: Option<Instant>,
    outage: bool,
}

impl Waiting {
    fn left(&self) -> Duration {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.until.map_or(Duration::ZERO, left)
    }

    fn words(&self) -> String {
        let why = visible(&self.why);
        if self.until.is_none() {
            return why.into_owned();
        }
        // Rounded up: it is not over before it is.
        match u64::try_from(self.left().as_millis().div_ceil(1000)).unwrap_or(u64::MAX) {
            0 => format!("calling now: {why}"),
            seconds => format!("next call in {}: {why}", duration(seconds)),
        }
    }
}
