//! Progress as text: two lines that fit a terminal, one plain line for a log, and the state for a signal.

use super::snapshot::{Snapshot, Wait};
use super::{Tone, count, counted, duration, per_second, visible};
use crate::engine::Reason;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The bar has at most and at least this many cells; with less room there is none.
const WIDEST_BAR: usize = 24;
const NARROWEST_BAR: usize = 4;
/// The number of columns for the message of the first failed line; with less room only the line's number is shown.
const LONGEST_DETAIL: usize = 48;
const SHORTEST_DETAIL: usize = 12;
/// Between two pieces of information.
const BETWEEN: &str = " · ";
/// The label of this process's numbers, shown only if other processes work on the run too.
const THIS: &str = "this process: ";

/// Pieces of text, each with its colour.
#[derive(Debug, Default, Clone)]
struct Pieces(Vec<(Tone, String)>);

impl Pieces {
    fn push(&mut self, tone: Tone, text: impl Into<String>) {
        self.0.push((tone, text.into()));
    }

    /// Adds pieces after a separator.
    fn add(&mut self, mut more: Self) {
        if !self.0.is_empty() && !more.0.is_empty() {
            self.push(Tone::Plain, BETWEEN);
        }
        self.0.append(&mut more.0);
    }

    fn with(&self, more: Self) -> Self {
        let mut all = self.clone();
        all.add(more);
        all
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    /// The text in colour, cut to this many columns.
    fn cut(&self, width: usize) -> String {
        let mut text = String::new();
        let (mut used, is_cut) = (0, self.width() > width);
        for (tone, piece) in &self.0 {
            let room = width - used;
            if is_cut && piece.width() >= room {
                text.push_str(&tone.paint(&cut(piece, room)));
                break;
            }
            used += piece.width();
            text.push_str(&tone.paint(piece));
        }
        text
    }

    fn plain(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }
}

impl From<(Tone, String)> for Pieces {
    fn from(piece: (Tone, String)) -> Self {
        Self(vec![piece])
    }
}

/// Cuts a text to `width - 1` columns, and adds `…`.
fn cut(text: &str, width: usize) -> String {
    let Some(room) = width.checked_sub(1) else {
        return String::new();
    };
    let (mut short, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// Draws the display for a terminal of this width: how far the run is, and the results of its lines or what it waits
/// for. The last column stays free, because some terminals go to the next line when it is written.
pub(super) fn two_lines(now: &Snapshot, columns: usize) -> [String; 2] {
    let width = columns.saturating_sub(1);
    [first(now, width), second(now, width)]
}

/// One line for a log.
pub(super) fn plain(now: &Snapshot) -> String {
    let mut line = head(now);
    line.add(first_pace(now));
    line.add(end(now));
    line.add(wait(now));
    line.add(own(now, usize::MAX));
    line.plain()
}

/// Returns the state that is printed after a signal.
pub(super) fn state(now: &Snapshot) -> String {
    let mut line = Pieces::default();
    line.add((Tone::Plain, counted(now.calls, "call")).into());
    line.add(pace(now));
    let waits = match &now.wait {
        None => "not waiting".to_owned(),
        Some(_) => wait(now).plain(),
    };
    let end = match end(now).plain() {
        none if none.is_empty() => "the end time is not known yet".to_owned(),
        end => end,
    };
    let (all, this) = if is_shared(now) {
        ("all processes: ", THIS)
    } else {
        ("", "")
    };
    format!(
        "{}\n  {all}{} of {} lines ({} %) in {}\n  {this}{}\n  {this}{}\n  {waits}\n  {end}",
        Tone::Heading.paint(&format!("{} {}", now.title, visible(&now.run))),
        count(now.done),
        count(now.lines),
        now.percent(),
        duration(now.elapsed.as_secs()),
        counts(now, usize::MAX).plain(),
        line.plain(),
    )
}

/// Draws the first line. What is least needed is left out first: the bar, the rate, the end.
fn first(now: &Snapshot, width: usize) -> String {
    let head_alone = head(now);
    let full = head_alone.with(first_pace(now)).with(end(now));
    let candidates = [full, head_alone.with(end(now)), head_alone.clone()];
    let fits = candidates.iter().find(|line| line.width() <= width);
    let Some(line) = fits else {
        return head_alone.cut(width);
    };
    // There is a space before the bar.
    let room = (width - line.width()).saturating_sub(1).min(WIDEST_BAR);
    let mut line = line.clone();
    if room >= NARROWEST_BAR {
        // After the title.
        line.0.splice(1..1, bar(now, room).0);
    }
    line.cut(width)
}

/// Whether other processes work on the run too: then the first line shows all processes together, the second this one.
fn is_shared(now: &Snapshot) -> bool {
    now.elsewhere > 0
}

/// `apply 379/20,000 2 %`.
fn head(now: &Snapshot) -> Pieces {
    let mut head = Pieces::from((Tone::Heading, now.title.clone()));
    let all = if is_shared(now) { " all processes" } else { "" };
    head.push(
        Tone::Plain,
        format!(
            "{all} {}/{} {} %",
            count(now.done),
            count(now.lines),
            now.percent()
        ),
    );
    head
}

/// ` ███░`.
fn bar(now: &Snapshot, cells: usize) -> Pieces {
    let all = u64::try_from(cells).unwrap_or(0);
    let full = (now.done * all).checked_div(now.lines).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(cells).min(cells);
    let mut bar = Pieces::default();
    bar.push(Tone::Plain, " ");
    bar.push(Tone::Good, "█".repeat(full));
    bar.push(Tone::Plain, "░".repeat(cells - full));
    bar
}

/// `19.8 of 20 calls/s`; empty while all calls wait.
fn pace(now: &Snapshot) -> Pieces {
    let Some(rate) = now.calls_per_s.filter(|_| now.wait.is_none()) else {
        return Pieces::default();
    };
    let limit = now
        .limit_per_s
        .map(|limit| format!(" of {}", per_second(limit)));
    let limit = limit.unwrap_or_default();
    (Tone::Plain, format!("{}{limit} calls/s", per_second(rate))).into()
}

/// Returns the rate for the first line; empty if other processes work on the run too: each process knows only its own calls.
fn first_pace(now: &Snapshot) -> Pieces {
    if is_shared(now) {
        Pieces::default()
    } else {
        pace(now)
    }
}

fn end(now: &Snapshot) -> Pieces {
    if now.is_stopping {
        return (Tone::Warning, "stopping".to_owned()).into();
    }
    match &now.end {
        None => Pieces::default(),
        Some(end) => (Tone::Plain, format!("ends {}", end.words)).into(),
    }
}

/// Draws the second line: the results of the lines, or what the run waits for; both if there is room.
fn second(now: &Snapshot, width: usize) -> String {
    if now.wait.is_none() {
        return own(now, width).cut(width);
    }
    let wait = wait(now);
    let room = width.saturating_sub(wait.width() + BETWEEN.width());
    let both = wait.with(own(now, room));
    if both.width() <= width {
        both.cut(width)
    } else {
        wait.cut(width)
    }
}

fn wait(now: &Snapshot) -> Pieces {
    now.wait
        .as_ref()
        .map_or_else(Pieces::default, |wait| (Tone::Warning, wait.words()).into())
}

impl Wait {
    /// The time comes first, so that it stays when the reason is cut.
    fn words(&self) -> String {
        let why = visible(&self.why);
        let Some(left) = self.left else {
            return why.into_owned();
        };
        // Rounded up, so that the wait does not seem to be over too early.
        match u64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u64::MAX) {
            0 => format!("calling now: {why}"),
            seconds => format!("next call in {}: {why}", duration(seconds)),
        }
    }
}

/// Returns the counts of this process. If there are other processes, labels them, and adds the rate if there is room.
fn own(now: &Snapshot, width: usize) -> Pieces {
    if !is_shared(now) {
        return counts(now, width);
    }
    let named = |mut pieces: Pieces| {
        pieces.0.insert(0, (Tone::Plain, THIS.to_owned()));
        pieces
    };
    let counts = named(counts(now, width.saturating_sub(THIS.width())));
    let both = counts.with(pace(now));
    if both.width() <= width { both } else { counts }
}

/// `changed 121 · failed 258: ambiguous 251 (line 2: has 3 locations), not_found 7`.
fn counts(now: &Snapshot, width: usize) -> Pieces {
    if now.counts.is_empty() {
        return (Tone::Plain, "no line is finished yet".to_owned()).into();
    }
    let bare = counts_with(now, "");
    let Some(reason) = failed_reasons(now).next() else {
        return bare;
    };
    let line = format!(" (line {})", reason.first_line);
    // `: ` takes two columns.
    let room = width.saturating_sub(bare.width() + line.width() + 2);
    if room >= SHORTEST_DETAIL {
        let short = short(reason, room.min(LONGEST_DETAIL));
        counts_with(now, &format!(" (line {}: {short})", reason.first_line))
    } else if bare.width() + line.width() <= width {
        counts_with(now, &line)
    } else {
        bare
    }
}

fn failed_reasons(now: &Snapshot) -> impl Iterator<Item = &Reason> {
    let reasons = now.reasons.iter();
    reasons.filter(|reason| reason.status.name() == "failed")
}

/// Returns the counts, with `first` after the most frequent reason.
fn counts_with(now: &Snapshot, first: &str) -> Pieces {
    let mut all = Pieces::default();
    for (name, lines) in &now.counts {
        let mut one = Pieces::default();
        one.push(Tone::of_status(name), format!("{name} {}", count(*lines)));
        if *name == "failed" {
            let reasons = failed_reasons(now).enumerate().map(|(at, reason)| {
                let first = if at == 0 { first } else { "" };
                format!("{} {}{first}", reason.status.reason(), count(reason.lines))
            });
            let reasons: Vec<String> = reasons.collect();
            if !reasons.is_empty() {
                one.push(Tone::Plain, format!(": {}", reasons.join(", ")));
            }
        }
        all.add(one);
    }
    all
}

/// Returns the first statement of a message, without the customer that it begins with: the line tells the customer.
fn short(reason: &Reason, room: usize) -> String {
    let message = visible(&reason.message).replace('\n', " ");
    let ends = [": ", "; "].iter().filter_map(|end| message.find(end));
    let statement = &message[..ends.min().unwrap_or(message.len())];
    let behind_customer = statement
        .strip_prefix("customer `")
        .and_then(|rest| rest.split_once("` "));
    let statement = behind_customer.map_or(statement, |(_, rest)| rest);
    if statement.width() <= room {
        statement.to_owned()
    } else {
        cut(statement, room)
    }
}
