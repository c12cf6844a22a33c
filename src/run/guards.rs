//! The guards of a run: as they are typed, as the ledger keeps them for `resume`, and understood.

use super::clock;
use super::error::CommandError;
use super::exit_code::Exit;
use crate::config::Until;
use crate::plan::Threshold;
use crate::ui;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// What stops a run, as it is kept for `resume`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Guards {
    pub(crate) max_failures: Option<String>,
    pub(crate) max_changes: Option<String>,
    pub(crate) canary: Option<u64>,
    /// `5,1%,10%`.
    pub(crate) waves: Option<String>,
    pub(crate) wave_failures: Option<String>,
    pub(crate) until: Option<String>,
    /// The time that `until` means. It is settled once, so that the run keeps to the time that was shown.
    #[serde(skip)]
    pub(crate) ends_at: Option<Timestamp>,
}

impl Guards {
    /// With the time that `until` means.
    pub(crate) fn resolved(mut self) -> Result<Self, CommandError> {
        self.ends_at = self.parsed()?.ends_at;
        Ok(self)
    }

    /// What was given anew beats what the run was begun with. A time of day comes again; a span from the beginning of
    /// the run has passed.
    pub(crate) fn over(self, earlier: Self) -> Self {
        // A canary is one wave: whichever is given anew replaces both.
        let keeps_waves = self.canary.is_none() && self.waves.is_none();
        Self {
            max_failures: self.max_failures.or(earlier.max_failures),
            max_changes: self.max_changes.or(earlier.max_changes),
            canary: self.canary.or(earlier.canary.filter(|_| keeps_waves)),
            waves: self.waves.or(earlier.waves.filter(|_| keeps_waves)),
            wave_failures: self.wave_failures.or(earlier.wave_failures),
            until: self
                .until
                .or(earlier.until.filter(|until| until.contains(':'))),
            ends_at: self.ends_at,
        }
    }

    /// All guards that were given, for the question before a write; each with the number or time that it means.
    pub(crate) fn words(&self) -> Result<String, CommandError> {
        let parsed = self.parsed()?;
        let mut parts = Vec::new();
        if let Some(most) = &self.max_failures {
            parts.push(format!("stops when more than {most} of the lines fail"));
        }
        if let Some(most) = &self.max_changes {
            parts.push(format!(
                "writes nothing if more than {most} of the lines change"
            ));
        }
        if let Some(units) = self.canary {
            parts.push(format!(
                "verifies the first {} before it continues",
                ui::counted(units, "unit")
            ));
        }
        if let Some(waves) = &self.waves {
            let budget = self.wave_failures.as_ref();
            let but = budget.map_or_else(
                || "all are right".to_owned(),
                |most| format!("no more than {most} are wrong"),
            );
            parts.push(format!(
                "verifies waves of {} lines, and continues only if {but}",
                waves.replace(',', ", ")
            ));
        }
        if let Some(end) = parsed.ends_at {
            parts.push(format!("begins nothing after {}", clock::words(end)));
        }
        Ok(if parts.is_empty() {
            "guards: none given; the built-in stops for repeated failures are on".to_owned()
        } else {
            format!("guards: {}", parts.join("; "))
        })
    }

    /// Refuses to begin where more would change than is allowed.
    pub(crate) fn refuse_changes(&self, changes: u64, lines: u64) -> Result<(), CommandError> {
        match self.parsed()?.max_changes {
            Some(most) if most.is_exceeded(changes, lines) => Err(CommandError::new(
                Exit::Stopped,
                format!(
                    "--max-changes {most}: {changes} of {} would change",
                    ui::lines(lines)
                ),
            )
            .with_help("nothing was written")),
            _ => Ok(()),
        }
    }

    /// The waves; a canary is one wave in which nothing may be wrong.
    fn parsed_waves(&self) -> Result<Vec<Threshold>, CommandError> {
        let refused = |why: &str| Err(CommandError::usage(why.to_owned()));
        let text = match (&self.waves, self.canary) {
            (Some(_), Some(_)) => {
                return refused("give --canary or --waves, not both: a canary is one wave");
            }
            (None, None) if self.wave_failures.is_some() => {
                return refused(
                    "--wave-failures says how many lines of a wave may be wrong: give --waves too",
                );
            }
            (None, None) => return Ok(Vec::new()),
            (Some(waves), None) => waves.clone(),
            (None, Some(units)) => units.to_string(),
        };
        text.split(',')
            .map(|size| {
                Threshold::from_str(size.trim()).map_err(|why| {
                    CommandError::usage(format!("--waves `{text}`: {why}; write it as 5,1%,10%"))
                })
            })
            .collect()
    }

    pub(crate) fn parsed(&self) -> Result<Parsed, CommandError> {
        let share = |flag: &str, text: &Option<String>| {
            text.as_deref()
                .map(Threshold::from_str)
                .transpose()
                .map_err(|why| CommandError::usage(format!("{flag}: {why}")))
        };
        let until = self.until.as_deref().map(Until::from_str).transpose();
        let until = until.map_err(|why| CommandError::usage(format!("--until: {why}")))?;
        let ends_at = match (self.ends_at, until) {
            (None, Some(until)) => Some(until.after(&clock::now()).ok_or_else(|| {
                CommandError::usage("--until: that is later than any date".to_owned())
            })?),
            (known, _) => known,
        };
        Ok(Parsed {
            max_failures: share("--max-failures", &self.max_failures)?,
            max_changes: share("--max-changes", &self.max_changes)?,
            waves: self.parsed_waves()?,
            wave_failures: share("--wave-failures", &self.wave_failures)?,
            ends_at,
        })
    }
}

/// The same, understood.
pub(crate) struct Parsed {
    pub(crate) max_failures: Option<Threshold>,
    pub(crate) max_changes: Option<Threshold>,
    /// How large each wave is.
    waves: Vec<Threshold>,
    /// How many lines of a wave may be wrong.
    pub(crate) wave_failures: Option<Threshold>,
    /// When no unit is begun any more.
    pub(crate) ends_at: Option<Timestamp>,
}

impl Parsed {
    /// How many units each wave has, in a run of this many lines.
    pub(crate) fn wave_units(&self, lines: u64) -> Vec<u64> {
        let units = self.waves.iter().map(|size| size.of(lines).max(1));
        units.collect()
    }

    /// How long units may still be begun.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = |end: Timestamp| end.duration_since(Timestamp::now());
        self.ends_at
            .map(|end| Duration::try_from(left(end)).unwrap_or(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_settled_once_and_shown_with_its_zone() {
        let end: Timestamp = "2027-01-09T05:00:00Z".parse().unwrap();
        let limits = Guards {
            until: Some("06:00".to_owned()),
            ends_at: Some(end),
            max_changes: Some("5%".to_owned()),
            ..Guards::default()
        };
        assert_eq!(limits.parsed().unwrap().ends_at, Some(end));
        let words = limits.words().unwrap();
        let shown = format!("begins nothing after {}", clock::words(end));
        assert!(
            words.contains("more than 5% of the lines change"),
            "{words}"
        );
        assert!(words.ends_with(&shown), "{words}");
        // A span that was given to an earlier process has passed; a time of day comes again.
        let span = Guards {
            until: Some("4h".to_owned()),
            ..Guards::default()
        };
        assert_eq!(Guards::default().over(span).until, None);
        let again = Guards::default().over(limits);
        assert_eq!(again.until.as_deref(), Some("06:00"));
        assert_eq!(again.ends_at, None);
    }
}
