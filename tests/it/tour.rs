//! Runs the commands of `docs/tour.md`, and compares the screens with the page and with the picture in the README.
//!
//! `UPDATE_DOCS=1 cargo test --test it tour` rewrites both.

use crate::support::Place;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const COLUMNS: u16 = 106;
const ROWS: u16 = 60;
/// The address on the page in place of the stand-in's.
const ADDRESS: &str = "127.0.0.1:8080";
const QUESTION: &str = "Type yes to continue: ";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name)
}

/// The kind of the next fenced block of the page.
#[derive(Default)]
enum Block {
    /// Commands; or, if it is no `console` block, a block that the test ignores.
    #[default]
    Plain,
    /// A command that is stopped at the end of the page.
    Background,
    /// The content of this file.
    File(String),
    /// Commands; the screen is also drawn into this picture.
    Picture(String),
    /// A command that is killed at this durable step.
    Kill(String),
}

impl Block {
    /// `<!-- file NAME -->`
    fn of(line: &str) -> Option<Self> {
        let words = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        let (kind, rest) = words.split_once(' ').unwrap_or((words, ""));
        Some(match kind {
            "background" => Self::Background,
            "file" => Self::File(rest.to_owned()),
            "picture" => Self::Picture(rest.to_owned()),
            "kill" => Self::Kill(rest.strip_prefix("at ").unwrap().to_owned()),
            _ => panic!("{line}"),
        })
    }
}

/// The folder and the stand-in of the tour.
struct Tour {
    place: Place,
    stand_in: Option<Child>,
    address: String,
    runs: Vec<String>,
}

impl Drop for Tour {
    fn drop(&mut self) {
        if let Some(stand_in) = &mut self.stand_in {
            let _ = stand_in.kill();
            let _ = stand_in.wait();
        }
    }
}

impl Tour {
    /// Returns a command of the page with the run names and addresses of this test.
    fn real(&self, text: &str) -> String {
        let mut text = text.replace(ADDRESS, &self.address);
        for (at, run) in self.runs.iter().enumerate() {
            text = text.replace(&shown_run(at), run);
        }
        text
    }

    /// Returns a bash in the folder of the tour.
    fn bash(&self, words: &str) -> Command {
        let idshift = self.place.command(&[]);
        let folder = Path::new(idshift.get_program()).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-c", words])
            .current_dir(self.place.path())
            .env_clear()
            .env("HOME", self.place.path())
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("TERM", "xterm-256color")
            .env("TZ", "UTC")
            .env("IDSHIFT_TOKEN", "any")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Starts the stand-in on a free port, and shows what it prints.
    fn start(&mut self, typed: &str) -> String {
        let typed = typed.replace("--port 8080", "--port 0");
        let mut stand_in = self.bash(&format!("exec {typed} 2>&1")).spawn().unwrap();
        let mut lines = BufReader::new(stand_in.stdout.take().unwrap()).lines();
        let said: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
        let address = said[0].strip_prefix("http://").unwrap();
        address.clone_into(&mut self.address);
        self.stand_in = Some(stand_in);
        said.join("\r\n").replace(&self.address, ADDRESS)
    }

    /// Runs a command on a terminal, answers its question, and returns what it writes and its exit code.
    fn run(&mut self, typed: &str, killed_at: Option<&str>) -> (String, i32) {
        let command = self.real(typed).replace('\'', "'\\''");
        let script =
            format!("exec script -qec 'stty cols {COLUMNS} rows {ROWS}; {command}' /dev/null");
        let mut bash = self.bash(&script);
        bash.envs(killed_at.map(|step| ("IDSHIFT_CRASH_AT", step)));
        let mut running = bash.spawn().unwrap();
        let (mut input, mut output) = (
            running.stdin.take().unwrap(),
            running.stdout.take().unwrap(),
        );
        let (mut written, mut part, mut is_answered) = (Vec::new(), [0; 4096], false);
        loop {
            let length = output.read(&mut part).unwrap();
            if length == 0 {
                break;
            }
            written.extend_from_slice(&part[..length]);
            if !is_answered && String::from_utf8_lossy(&written).contains(QUESTION) {
                input.write_all(b"yes\n").unwrap();
                is_answered = true;
            }
        }
        drop(input);
        let code = running.wait().unwrap().code().unwrap();
        let mut written = String::from_utf8(written).unwrap();
        if killed_at.is_some() {
            // It varies how much of the progress display was drawn.
            let (before, _) = written.split_once("yes\r\n").unwrap();
            written = format!("{before}yes\r\nKilled\r\n");
        }
        let all = std::fs::read_dir(self.place.path().join("idshift-runs"));
        let all: BTreeSet<String> = all
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let new = all.into_iter().filter(|run| !self.runs.contains(run));
        let new: Vec<String> = new.collect();
        self.runs.extend(new);
        (self.shown(&written), code)
    }

    /// Replaces everything that differs from run to run.
    fn shown(&self, written: &str) -> String {
        let mut text = written.replace(&self.address, ADDRESS);
        for (at, run) in self.runs.iter().enumerate() {
            text = text.replace(run, &shown_run(at));
        }
        for (before, after, instead) in [
            (" at ", " UTC", "22:00"),
            ("(at ", " UTC", "22:00"),
            ("\r\n  time    ", "\r\n", "N s (at 22:00 UTC)"),
            ("plan digest ", "\r\n", "(64 hexadecimal digits)"),
            (" to write; ", " of 6 calls/s", "N"),
        ] {
            text = between(&text, before, after, instead);
        }
        text
    }
}

fn shown_run(at: usize) -> String {
    format!("20261120-220000-run{}", at + 1)
}

/// Replaces each text between these two, if it has at most 64 characters and is within one line.
fn between(text: &str, before: &str, after: &str, instead: &str) -> String {
    let mut parts = text.split(before);
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        shown.push_str(before);
        match part.split_once(after) {
            Some((inner, rest)) if inner.len() <= 64 && !inner.contains('\n') => {
                let _ = write!(shown, "{instead}{after}{rest}");
            }
            _ => shown.push_str(part),
        }
    }
    shown
}

/// Returns the terminal after these bytes.
fn screen(written: &str) -> vt100::Parser {
    let size = |number| NonZeroU16::new(number).unwrap();
    let mut parser = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
    parser.process(written.as_bytes());
    parser
}

/// Returns the rows; rows that the terminal has wrapped are one line.
fn text_of(parser: &vt100::Parser) -> String {
    let mut shown = String::new();
    for (at, row) in (0..).zip(parser.screen().rows(0, COLUMNS)) {
        if parser.screen().row_wrapped(at) {
            shown.push_str(&row);
        } else {
            let _ = writeln!(shown, "{}", row.trim_end());
        }
    }
    // The columns with the ages and durations of runs are as wide as their content, which varies.
    let shown = shown.lines().map(|line| match line.split_once(" ago") {
        Some((before, after)) if line.starts_with("20261120") => {
            let (before, _) = before.rsplit_once("  ").unwrap();
            let (first, rest) = after.trim_start().split_once("  ").unwrap();
            if first.ends_with(" s") {
                format!("{before}  N s ago  N s  {}\n", rest.trim_start())
            } else {
                format!("{before}  N s ago  {}\n", after.trim_start())
            }
        }
        _ => format!("{line}\n"),
    });
    shown.collect::<String>().trim_end().to_owned()
}

/// Returns the screen as a picture: one `tspan` for each part with one colour.
fn picture(title: &str, parser: &vt100::Parser) -> String {
    const WIDTH: u32 = 9;
    const HEIGHT: u32 = 20;
    let screen = parser.screen();
    let rows: Vec<String> = screen.rows(0, COLUMNS).collect();
    let used = rows.iter().rposition(|row| !row.trim().is_empty()).unwrap();
    let (width, height) = (
        u32::from(COLUMNS) * WIDTH + 32,
        u32::try_from(used + 1).unwrap() * HEIGHT + 28,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1b1f24\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"15\" \
         fill=\"#d0d7de\">\n"
    );
    for row in 0..=u16::try_from(used).unwrap() {
        let mut pieces: Vec<(u16, String, (vt100::Color, bool))> = Vec::new();
        for column in 0..COLUMNS {
            let cell = screen.cell(row, column).unwrap();
            let look = (cell.fgcolor(), cell.bold());
            let letter = if cell.has_contents() {
                cell.contents()
            } else {
                " "
            };
            match pieces.last_mut() {
                Some((_, text, last)) if *last == look => text.push_str(letter),
                _ => pieces.push((column, letter.to_owned(), look)),
            }
        }
        for (column, text, (colour, is_bold)) in pieces {
            let text = text.trim_end();
            if text.is_empty() {
                continue;
            }
            let blanks = text.len() - text.trim_start().len();
            let text = text.trim_start();
            let column = u32::from(column) + u32::try_from(blanks).unwrap();
            let (x, y) = (16 + column * WIDTH, 30 + u32::from(row) * HEIGHT);
            let length = u32::try_from(text.chars().count()).unwrap() * WIDTH;
            let colour = match colour {
                vt100::Color::Idx(1) => " fill=\"#ff7b72\"",
                vt100::Color::Idx(2) => " fill=\"#7ee787\"",
                vt100::Color::Idx(3) => " fill=\"#e3b341\"",
                vt100::Color::Idx(6) => " fill=\"#79c0ff\"",
                _ => "",
            };
            let bold = if is_bold { " font-weight=\"bold\"" } else { "" };
            let text = html_escape::encode_text(text).replace("  ", "\u{a0} ");
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"{colour}{bold}>{text}</text>"
            );
        }
    }
    svg + "</g>\n</svg>\n"
}

/// Returns the page with the screens of this run of its commands, and its pictures by name.
fn drawn(page: &str) -> (String, Vec<(String, String)>) {
    let mut tour = Tour {
        place: Place::plume(),
        stand_in: None,
        address: String::new(),
        runs: Vec::new(),
    };
    let (mut new, mut pictures, mut block) = (String::new(), Vec::new(), Block::Plain);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(new, "{line}");
        if let Some(next) = Block::of(line) {
            block = next;
        }
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = std::mem::take(&mut block);
        if kind != "console" {
            let text = body
                .iter()
                .fold(String::new(), |text, line| text + line + "\n");
            if let Block::File(name) = &block {
                tour.place.file(name, &tour.real(&text));
            }
            let _ = writeln!(new, "{text}```");
            continue;
        }
        for typed in body.iter().filter_map(|line| line.strip_prefix("$ ")) {
            let (written, code) = match &block {
                Block::Background => (tour.start(typed), 0),
                Block::Kill(step) => tour.run(typed, Some(step)),
                _ => tour.run(typed, None),
            };
            let parser = screen(&written);
            let shown = text_of(&parser);
            let _ = writeln!(new, "$ {typed}");
            if !shown.is_empty() {
                let _ = writeln!(new, "{shown}");
            }
            if code != 0 && !matches!(block, Block::Kill(_)) {
                let _ = writeln!(new, "[exit code {code}]");
            }
            if let Block::Picture(name) = &block {
                let typed_too = screen(&format!("$ {typed}\r\n{written}"));
                pictures.push((name.clone(), picture(typed, &typed_too)));
            }
        }
        let _ = writeln!(new, "```");
    }
    (new, pictures)
}

#[test]
fn the_tour_and_the_picture_show_what_the_program_prints() {
    let page = std::fs::read_to_string(docs("tour.md")).unwrap();
    let (new, pictures) = drawn(&page);
    assert_eq!(pictures.len(), 1);
    let all = pictures.into_iter().chain([("tour.md".to_owned(), new)]);
    for (name, new) in all {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(docs(&name), &new).unwrap();
        }
        let old = std::fs::read_to_string(docs(&name)).unwrap_or_default();
        let differing = old.lines().zip(new.lines()).find(|(old, new)| old != new);
        assert!(
            old == new,
            "docs/{name} is stale: UPDATE_DOCS=1 cargo test --test it tour\n{differing:#?}"
        );
    }
}
