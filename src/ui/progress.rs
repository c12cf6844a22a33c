//! What a user or a program sees while a run is in progress: two lines on a terminal, otherwise a plain line now and
//! then, or JSON objects. On SIGUSR1 the state is printed, however progress is shown.
//!
//! A separate thread reads the counts ten times a second; the engine does nothing for that.

use super::snapshot::{End, Snapshot, Wait};
use super::time_left::TimeLeft;
use super::{counted, err, progress_json, progress_text, stream, visible};
use crate::domain::Status;
use crate::engine::{Event, Tally};
use jiff::Timestamp;
use std::io::IsTerminal;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// How often counts are read and lines are drawn.
const FRAME: Duration = Duration::from_millis(100);
/// The time between two JSON objects about progress.
const OBJECT: Duration = Duration::from_secs(1);
/// The maximum time between two plain lines.
const PLAIN_LINE: Duration = Duration::from_secs(30);
/// A run that ends sooner has no plain lines except those of events.
const TOO_SHORT_FOR_PLAIN_LINES: Duration = Duration::from_secs(2);
/// The assumed width of a terminal that does not report its own.
const USUAL_COLUMNS: usize = 80;

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Two lines on a terminal, otherwise plain lines.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// A JSON object a second and one for each event, on standard error.
    Json,
    /// Not at all.
    None,
}

/// What the display shows, and how it reads it.
pub struct Source {
    /// The work in progress: `plan`, `apply`, `verify` …
    pub title: String,
    /// The run's ID.
    pub run: String,
    /// The present maximum number of calls a second.
    pub limit_per_s: Box<dyn Fn() -> Option<f64> + Send>,
    /// The maximum number of calls, and the window in which they count.
    pub quota: Option<(u64, Duration)>,
    /// How many calls were made so far.
    pub made: Box<dyn Fn() -> u64 + Send>,
    /// The local time after this much more time, with its zone.
    pub time_in: Box<dyn Fn(Duration) -> String + Send>,
}

/// The orders to the display's thread.
enum Order {
    PrintState,
    End,
}

/// A display that runs until it is finished or dropped.
#[derive(Debug)]
pub struct Progress {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
    /// Listens for SIGUSR1, until it is dropped.
    _listening: JoinSet<()>,
}

impl Progress {
    /// Begins the display. Must be called in an asynchronous context.
    pub fn start(
        mode: Mode,
        source: Source,
        tally: Arc<Tally>,
        events: broadcast::Receiver<Event>,
    ) -> Self {
        let is_terminal = std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let (orders, inbox) = mpsc::channel();
        let mut listening = JoinSet::new();
        listening.spawn(listen(orders.clone()));
        let display = Display {
            tally,
            events,
            output: Output::of(mode, is_terminal),
            began: Instant::now(),
            waiting: None,
            said_why: None,
            is_stopping: false,
            waits_are_over: false,
            left: TimeLeft::new(source.quota),
            source,
        };
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || display.show(&inbox))
            .ok();
        Self {
            orders,
            thread,
            _listening: listening,
        }
    }

    /// Ends the display and erases what it has drawn.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Without a receiver the thread has ended already.
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            // If the display panicked, there is nothing to do about it here.
            let _ = thread.join();
        }
    }
}

/// Requests the state at each SIGUSR1.
async fn listen(display: mpsc::Sender<Order>) {
    let Ok(mut asked) = signal(SignalKind::user_defined1()) else {
        return;
    };
    while asked.recv().await.is_some() {
        if display.send(Order::PrintState).is_err() {
            return;
        }
    }
}

/// The destination of progress, and what was shown there last.
enum Output {
    Terminal { drawn: Vec<String>, columns: usize },
    Plain { at: Duration, tenth: u64 },
    Json { at: Option<Duration> },
    None,
}

impl Output {
    const fn of(mode: Mode, is_terminal: bool) -> Self {
        match mode {
            Mode::Auto if is_terminal => Self::Terminal {
                drawn: Vec::new(),
                columns: 0,
            },
            Mode::Auto | Mode::Plain => Self::Plain {
                at: Duration::ZERO,
                tenth: 0,
            },
            Mode::Json => Self::Json { at: None },
            Mode::None => Self::None,
        }
    }
}

struct Display {
    source: Source,
    tally: Arc<Tally>,
    events: broadcast::Receiver<Event>,
    output: Output,
    began: Instant,
    waiting: Option<Waiting>,
    /// The reason for a wait that was last written above the display, while that wait lasts.
    said_why: Option<String>,
    /// Whether no further unit is begun.
    is_stopping: bool,
    /// Whether calls no longer wait for anything.
    waits_are_over: bool,
    left: TimeLeft,
}

/// Why all calls wait, and until when.
struct Waiting {
    why: String,
    /// `None`: until a user ends the pause.
    until: Option<Instant>,
    is_outage: bool,
}

impl Display {
    fn show(mut self, inbox: &mpsc::Receiver<Order>) {
        loop {
            let order = inbox.recv_timeout(FRAME);
            self.hear();
            match order {
                Err(mpsc::RecvTimeoutError::Timeout) => self.draw(false),
                Ok(Order::PrintState) => {
                    let state = progress_text::state(&self.now());
                    err(&state);
                }
                Ok(Order::End) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        self.draw(true);
        stream::erase();
    }

    fn hear(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.event(&event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let words = self.take(event);
        match self.output {
            Output::None => {}
            Output::Json { .. } => {
                stream::err_as_is(&progress_json::event(&self.now(), event, Timestamp::now()));
            }
            Output::Terminal { .. } | Output::Plain { .. } => {
                if let Some(words) = words {
                    err(&format!("{}: {words}", self.source.title));
                }
            }
        }
    }

    /// Takes in an event. Returns its text, if it deserves a line that stays on the screen.
    fn take(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Flowing => {
                self.waiting = None;
                self.said_why.take()?;
                Some("calls are sent again".to_owned())
            }
            Event::Waiting {
                why,
                for_ms,
                outage,
            } => self.waits(why, for_ms.map(Duration::from_millis), *outage),
            Event::BulkRefused { why } => Some(format!(
                "customers are searched one by one ({})",
                visible(why)
            )),
            Event::NoEffect { times, why } => Some(format!(
                "{times} writes in a row did not take effect and are sent again; the last one: {}",
                visible(why)
            )),
            Event::WaveVerified { wave, of, lines } => Some(format!(
                "wave {wave} of {of}: {} verified",
                counted(*lines, "line")
            )),
            Event::Stopping {
                why,
                open,
                ends_waits,
            } => {
                self.is_stopping = true;
                self.waits_are_over = *ends_waits;
                if *ends_waits {
                    (self.waiting, self.said_why) = (None, None);
                }
                let finishes = match open {
                    0 => String::new(),
                    _ => format!("{} in progress will finish; ", counted(*open, "unit")),
                };
                let why = visible(why);
                Some(format!(
                    "stopping: {why}; {finishes}Ctrl-C again ends immediately"
                ))
            }
        }
    }

    fn waits(&mut self, why: &str, left: Option<Duration>, is_outage: bool) -> Option<String> {
        if self.waits_are_over {
            return None;
        }
        self.waiting = Some(Waiting {
            why: why.to_owned(),
            until: left.map(|left| Instant::now() + left),
            is_outage,
        });
        let is_said = self.said_why.as_deref() == Some(why);
        let is_short = left.is_some_and(|left| left < Duration::from_secs(1));
        if is_said || (is_short && !is_outage) {
            return None;
        }
        self.said_why = Some(why.to_owned());
        // A line that is written once stays, so it contains no time that counts down.
        Some(visible(why).into_owned())
    }

    fn now(&mut self) -> Snapshot {
        let elsewhere = self.tally.ended_elsewhere.load(Ordering::Relaxed);
        let lines = self.tally.lines.load(Ordering::Relaxed);
        // A line that was opened again, or went to another process, ends a second time.
        let done = (self.tally.done() + elsewhere).min(lines);
        let (elapsed, calls) = (self.began.elapsed(), (self.source.made)());
        self.left.see(elapsed, self.waiting.is_some(), done, calls);
        let wait = self.waiting.as_ref().map(|waiting| Wait {
            why: waiting.why.clone(),
            left: waiting
                .until
                .map(|until| until.saturating_duration_since(Instant::now())),
            is_outage: waiting.is_outage,
        });
        // It is unknown how long an outage or a pause lasts, and a stopping run does not wait for units that are not begun.
        let is_endless = |wait: &Wait| wait.is_outage || wait.left.is_none();
        let has_end = !self.is_stopping && !wait.as_ref().is_some_and(is_endless);
        let held = wait.as_ref().and_then(|wait| wait.left);
        let held = held.unwrap_or(Duration::ZERO);
        let end = Some(lines.saturating_sub(done))
            .filter(|open| has_end && *open > 0)
            .and_then(|open| self.left.of(open, held))
            .map(|left| End {
                left,
                words: (self.source.time_in)(left),
            });
        let counts = Status::NAMES
            .into_iter()
            .map(|name| (name, self.tally.of(name)));
        Snapshot {
            title: self.source.title.clone(),
            run: self.source.run.clone(),
            done,
            elsewhere,
            lines,
            counts: counts.filter(|(_, lines)| *lines > 0).collect(),
            reasons: self.tally.reasons(),
            calls,
            calls_per_s: self.left.calls_per_second(),
            limit_per_s: (self.source.limit_per_s)(),
            wait,
            is_stopping: self.is_stopping,
            end,
            elapsed,
        }
    }

    fn draw(&mut self, is_last: bool) {
        let now = self.now();
        match &mut self.output {
            Output::None => {}
            // The last frame would be erased immediately.
            Output::Terminal { .. } if is_last => {}
            Output::Terminal { drawn, columns } => {
                let width = stream::columns(&std::io::stderr()).unwrap_or(USUAL_COLUMNS);
                let mut lines = progress_text::two_lines(&now, width);
                if !stream::err_has_colour() {
                    lines = lines.map(|line| anstream::adapter::strip_str(&line).to_string());
                }
                if *columns != width || *drawn != lines || !stream::is_drawn() {
                    stream::draw(&lines);
                    (*drawn, *columns) = (lines.to_vec(), width);
                }
            }
            Output::Json { at } => {
                if is_last || at.is_none_or(|at| now.elapsed.saturating_sub(at) >= OBJECT) {
                    *at = Some(now.elapsed);
                    stream::err_as_is(&progress_json::progress(&now, Timestamp::now()));
                }
            }
            Output::Plain { at, tenth } => {
                let reached = now.percent() / 10;
                let is_late = now.elapsed.saturating_sub(*at) >= PLAIN_LINE;
                let goes_on = reached > *tenth && now.elapsed > TOO_SHORT_FOR_PLAIN_LINES;
                if is_late || goes_on {
                    (*at, *tenth) = (now.elapsed, reached);
                    err(&progress_text::plain(&now));
                }
            }
        }
    }
}
