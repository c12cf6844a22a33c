//! Describes for a person why a system cannot be used, and what to do about it.

use crate::system::{Fatal, SystemKind};

/// Describes an outage for a person.
pub(super) fn outage(fatal: Fatal, words: &str, system: SystemKind) -> String {
    let title = system.capabilities().title;
    match fatal {
        Fatal::TokenRefused => format!("{title} refuses the credentials ({words})"),
        Fatal::GaveUp => format!("{title}: {words}"),
        Fatal::TakesNoWrites => format!("{title} takes no writes ({words})"),
        Fatal::BulkRefused => {
            format!("{title} does not allow bulk look-ups ({words})")
        }
        Fatal::Tls
        | Fatal::WrongAddress
        | Fatal::RefusedAlike
        | Fatal::Setting
        | Fatal::Unsafe
        | Fatal::Cancelled => words.to_owned(),
    }
}

/// Returns what a person must do, and the options with which the run then continues; empty: only wait.
pub(super) fn remedy(fatal: Fatal) -> (&'static str, &'static [&'static str]) {
    match fatal {
        Fatal::TokenRefused => ("correct the credentials, then ", &[]),
        Fatal::Tls | Fatal::WrongAddress | Fatal::RefusedAlike => ("correct that, then ", &[]),
        // Without this option, the run would keep the setting that it was begun with.
        Fatal::BulkRefused => ("look customers up singly: ", &["--lookup", "auto"]),
        Fatal::Setting => ("correct the setting, then ", &[]),
        Fatal::GaveUp | Fatal::TakesNoWrites | Fatal::Unsafe | Fatal::Cancelled => ("", &[]),
    }
}
