//! The setting `log`: a level means standard error, for a person; any other value is a file.

use super::{ConfigError, Values};
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;

/// Where calls are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The file, which gets all events; `None`: there is none.
    pub file: Option<PathBuf>,
    /// What is shown on standard error.
    pub shown: LevelFilter,
}

impl Log {
    /// Reads the setting. `-vv` shows calls whatever `log` says, unless `quiet` is set.
    pub fn of(values: &Values) -> Result<Self, ConfigError> {
        let parse = |text: &str| match level(text) {
            _ if text.trim().is_empty() => Err("give a file, or off"),
            Some(shown) => Ok(Self { file: None, shown }),
            None => Ok(Self {
                file: Some(PathBuf::from(text)),
                shown: LevelFilter::OFF,
            }),
        };
        let said = values.parsed("log", parse)?;
        let mut log = said.unwrap_or(Self {
            file: None,
            shown: LevelFilter::OFF,
        });
        let verbose = values.number::<u32>("verbose")?.unwrap_or_default();
        if verbose > 1 && !values.truth("quiet")? {
            log.shown = LevelFilter::DEBUG;
        }
        Ok(log)
    }
}

/// Returns the level that a text names. `trace` means `debug`: no event is more detailed than a call.
fn level(text: &str) -> Option<LevelFilter> {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::DEBUG),
    ];
    let mut levels = levels.into_iter();
    levels
        .find(|(name, _)| text.eq_ignore_ascii_case(name))
        .map(|(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(given: &[(&str, &str)]) -> Log {
        let given = given.iter();
        let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Log::of(&Values::of_run(&given.collect())).unwrap()
    }

    #[test]
    fn log_value_is_a_level_for_the_terminal_or_a_file_path() {
        assert_eq!(log(&[("log", "Debug")]).shown, LevelFilter::DEBUG);
        assert_eq!(log(&[("log", "debug")]).file, None);
        let file = |text| log(&[("log", text)]).file;
        assert_eq!(file("debug.log"), Some(PathBuf::from("debug.log")));
        assert_eq!(file("./info"), Some(PathBuf::from("./info")));
        for given in [vec![], vec![("log", "off")], vec![("verbose", "1")]] {
            let off = log(&given);
            assert_eq!((off.file, off.shown), (None, LevelFilter::OFF), "{given:?}");
        }
    }

    #[test]
    fn double_verbose_also_shows_calls_with_a_log_file_unless_quiet() {
        let both = log(&[("log", "calls.log"), ("verbose", "2")]);
        assert!(both.file.is_some() && both.shown == LevelFilter::DEBUG);
        let quiet = log(&[("verbose", "2"), ("quiet", "true")]);
        assert_eq!(quiet.shown, LevelFilter::OFF);
    }
}
