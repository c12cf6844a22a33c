//! The guards of a run: the limits in its settings that stop it.

use super::clock;
use super::error::CommandError;
use super::exit_code::Exit;
use crate::config::{Origin, Until, Values};
use crate::plan::Threshold;
use crate::ui;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// What stops a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guards {
    pub(crate) max_failures: Option<Threshold>,
    pub(crate) max_changes: Option<Threshold>,
    pub(crate) canary: Option<u64>,
    /// How large each wave is.
    pub(crate) waves: Vec<Threshold>,
    /// How many lines of a wave may be wrong; with a canary none may.
    pub(crate) wave_failures: Option<Threshold>,
    /// Time after which no unit is begun. It is computed once, so that the run keeps to the time that was shown.
    pub(crate) ends_at: Option<Timestamp>,
}

impl Guards {
    /// Reads the guards from the settings.
    pub(crate) fn of(values: &Values) -> Result<Self, CommandError> {
        let end = |text: &str| {
            let end = Until::from_str(text)?.after(&clock::now());
            end.ok_or_else(|| "that is later than any date".to_owned())
        };
        let waves = |text: &str| {
            let sizes = text.split(',').map(|size| wave(size.trim()));
            let sizes: Result<Vec<_>, _> = sizes.collect();
            sizes.map_err(|why| format!("`{text}`: {why}; write it as 5,1%,10%"))
        };
        let guards = Self {
            max_failures: values.parsed("max_failures", Threshold::from_str)?,
            max_changes: values.parsed("max_changes", Threshold::from_str)?,
            canary: values.number("canary")?,
            waves: values.parsed("waves", waves)?.unwrap_or_default(),
            wave_failures: values.parsed("wave_failures", Threshold::from_str)?,
            ends_at: values.parsed("until", end)?,
        };
        if guards.canary.is_some() && !guards.waves.is_empty() {
            let words = "give --canary or --waves, not both: a canary is one wave";
            return Err(CommandError::usage(words));
        }
        let is_budget_typed = values.origin("wave_failures") == Origin::CommandLine;
        if guards.waves.is_empty() && is_budget_typed {
            let words =
                "--wave-failures says how many lines of a wave may be wrong: give --waves too";
            return Err(CommandError::usage(words));
        }
        Ok(Self {
            wave_failures: guards.wave_failures.filter(|_| !guards.waves.is_empty()),
            ..guards
        })
    }

    /// Removes `until` of an earlier process if it is a duration: that has passed, but a time of day comes again.
    pub(crate) fn forget_duration(kept: &mut BTreeMap<String, String>) {
        kept.retain(|name, value| name != "until" || value.contains(':'));
    }

    /// Describes all guards that were given, for the question before a write; each with the number or time that it means.
    pub(crate) fn words(&self) -> String {
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
        if !self.waves.is_empty() {
            let sizes: Vec<String> = self.waves.iter().map(Threshold::to_string).collect();
            let but = self.wave_failures.map_or_else(
                || "all are right".to_owned(),
                |most| format!("no more than {most} are wrong"),
            );
            parts.push(format!(
                "verifies waves of {} lines, and continues only if {but}",
                sizes.join(", ")
            ));
        }
        if let Some(end) = self.ends_at {
            parts.push(format!("begins no unit after {}", clock::words(end)));
        }
        if parts.is_empty() {
            "guards: none given; the built-in stops for repeated failures are on".to_owned()
        } else {
            format!("guards: {}", parts.join("; "))
        }
    }

    /// Refuses to begin if more lines would change than allowed.
    pub(crate) fn refuse_changes(&self, changes: u64, lines: u64) -> Result<(), CommandError> {
        match self.max_changes {
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

    /// How many units each wave has, in a run of this many lines. A canary is one wave.
    pub(crate) fn wave_units(&self, lines: u64) -> Vec<u64> {
        let units = self.waves.iter().map(|size| size.of(lines).max(1));
        self.canary.into_iter().chain(units).collect()
    }

    /// Returns `ends_at` in milliseconds since 1970, as it is saved for the other processes on the run.
    pub(crate) fn ends_at_ms(&self) -> Option<i64> {
        self.ends_at.map(Timestamp::as_millisecond)
    }

    /// Returns the same guards with the end that the leading process has saved.
    pub(crate) fn ending_at_ms(self, end: Option<i64>) -> Self {
        Self {
            ends_at: end.and_then(|end| Timestamp::from_millisecond(end).ok()),
            ..self
        }
    }

    /// Returns how long units may still be begun; `None`: there is no limit.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = |end: Timestamp| end.duration_since(Timestamp::now());
        self.ends_at
            .map(|end| Duration::try_from(left(end)).unwrap_or(Duration::ZERO))
    }
}

/// Parses the size of one wave. Refuses a wave without a line.
fn wave(text: &str) -> Result<Threshold, String> {
    match Threshold::from_str(text) {
        Ok(size) if size.of(100) == 0 => Err(format!("`{text}` is not a wave: it has no line")),
        Ok(size) => Ok(size),
        Err(why) => Err(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guards(run: &[(&str, &str)]) -> Guards {
        let kept = run.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Guards::of(&Values::of_run(&kept.collect())).unwrap()
    }

    #[test]
    fn end_time_is_computed_once_and_shown_with_its_time_zone() {
        let guards = guards(&[("until", "06:00"), ("max_changes", "5%")]);
        let words = guards.words();
        let shown = format!(
            "begins no unit after {}",
            clock::words(guards.ends_at.unwrap())
        );
        assert!(
            words.contains("more than 5% of the lines change"),
            "{words}"
        );
        assert!(words.ends_with(&shown), "{words}");
    }

    #[test]
    fn until_as_time_of_day_is_saved_but_as_duration_is_not() {
        for (until, is_kept) in [("06:00", true), ("4h", false)] {
            let mut kept = BTreeMap::from([("until".to_owned(), until.to_owned())]);
            Guards::forget_duration(&mut kept);
            assert_eq!(kept.contains_key("until"), is_kept, "{until}");
        }
    }
}
