//! What may be typed about the guards of a run.

use crate::run::{Consent, Guards};
use clap::Args;

/// What stops a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Guards")]
pub(in crate::cli) struct GuardArgs {
    /// Stop when more lines than this have failed: 20 or 5% (of at least 100)
    ///
    /// 100% also goes on where writes are all refused alike, half of the first are refused, or no customer is found.
    /// Example: --max-failures 2%
    #[arg(long, value_name = "N|%")]
    max_failures: Option<String>,
    /// Write nothing if more lines than this would change: 20 or 5%
    ///
    /// Example: --max-changes 500
    #[arg(long, value_name = "N|%")]
    max_changes: Option<String>,
    /// Carry out so many units, read them back, and go on only if all are right
    ///
    /// Example: --canary 5
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    canary: Option<u64>,
    /// Carry out growing waves of lines, and verify each before the next begins
    ///
    /// Numbers of lines or shares of the file; the rest follows after the last wave. Example: --waves 5,1%,10%
    #[arg(
        long,
        value_name = "N|%,…",
        hide_short_help = true,
        conflicts_with = "canary"
    )]
    waves: Option<String>,
    /// With --waves: how many lines of a wave may have failed or be wrong [default: 0]
    ///
    /// Example: --wave-failures 1%
    #[arg(long, value_name = "N|%", hide_short_help = true)]
    wave_failures: Option<String>,
    /// Begin nothing after this: a time of day (06:00) or a duration (4h)
    ///
    /// The run then ends with exit code 4, and `resume` continues it. A time of day is local time, in the zone of TZ or
    /// of /etc/localtime; one that has passed today means tomorrow's.
    /// Example: --until 06:00
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Consent to the writes without being asked
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    /// Never ask: without --yes, fail instead; `resume` goes on; where no customer is found, the run stops
    #[arg(long, hide_short_help = true)]
    pub(in crate::cli) no_input: bool,
}

impl GuardArgs {
    /// What stops the run.
    pub(in crate::cli) fn guards(&self) -> Guards {
        Guards {
            max_failures: self.max_failures.clone(),
            max_changes: self.max_changes.clone(),
            canary: self.canary,
            waves: self.waves.clone(),
            wave_failures: self.wave_failures.clone(),
            until: self.until.clone(),
            ends_at: None,
        }
    }

    /// How consent to the writes is obtained.
    pub(in crate::cli) fn consent(&self) -> Consent {
        Consent {
            yes: self.yes,
            no_input: self.no_input,
        }
    }
}
