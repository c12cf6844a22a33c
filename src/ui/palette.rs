//! The colours of the program, by what they mean. A colour never carries a meaning alone: the text says the same.
//!
//! Text is always painted. The streams ([`super::out`], [`super::err`]) remove the colours if none are wanted, so no
//! other code has to know whether there is a terminal. Text from a file or a server is made harmless
//! ([`super::visible`]) before it is painted.

use anstyle::{AnsiColor, Style};

/// The role of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// The title of the text below.
    Heading,
    /// A good state: `ok`, `changed`, what is new.
    Good,
    /// A bad state: `error`, `failed`, `BAD`, what is replaced.
    Bad,
    /// To be checked: `warning`, what the program waits for.
    Warning,
    /// Worth knowing: `note`.
    Note,
    /// What to do: `help`, `next`.
    Help,
}

impl Tone {
    const fn style(self) -> Style {
        let style = Style::new();
        match self {
            Self::Plain => style,
            Self::Heading => style.bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Note | Self::Help => AnsiColor::Cyan.on_default().bold(),
        }
    }

    /// Returns the text in this colour.
    pub fn paint(self, text: &str) -> String {
        let style = self.style();
        format!("{style}{text}{style:#}")
    }

    /// Returns the colour of the lines that ended with the status of this name.
    pub fn of_status(name: &str) -> Self {
        match name {
            "changed" | "would_change" => Self::Good,
            "failed" | "half_done" | "in_doubt" => Self::Bad,
            "skipped" => Self::Warning,
            _ => Self::Plain,
        }
    }

    /// Returns the colour of the state of a run.
    pub fn of_state(state: &str) -> Self {
        match state {
            "finished" | "planned" => Self::Good,
            "stopped" | "interrupted" => Self::Warning,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_not_coloured_and_colours_are_reset_after_text() {
        assert_eq!(Tone::Plain.paint("text"), "text");
        assert_eq!(Tone::Good.paint("ok"), "\u{1b}[32mok\u{1b}[0m");
        assert_eq!(
            Tone::Bad.paint("error"),
            "\u{1b}[1m\u{1b}[31merror\u{1b}[0m"
        );
    }
}
