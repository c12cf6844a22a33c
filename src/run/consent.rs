//! Asks the user before something is written, and refuses writes that need a separate consent.

use super::connect::base_url;
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::Exit;
use super::guards::Guards;
use super::input_plan::InputPlan;
use super::open::OpenRun;
use super::request::Consent;
use crate::config::Resolved;
use crate::ledger::Ledger;
use crate::report::CannotUndo;
use crate::ui;

/// The question before something is written.
pub(crate) struct Question<'a> {
    /// The command and its object: `apply moves.csv`.
    pub(super) what: String,
    /// The numbers of lines and changes.
    pub(super) counts: String,
    pub(super) forecast: Option<Forecast>,
    /// `true`: the actual changes are known, after a look-up; `false`: only the requested ones are known.
    pub(super) looked: bool,
    pub(super) resolved: &'a Resolved,
    pub(super) base_url: &'a str,
    pub(super) profile: Option<&'a str>,
    pub(super) limits: &'a Guards,
    /// Whether service IDs may be set where there are none now.
    pub(super) may_set_services: bool,
}

impl Question<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} at {}",
            self.what,
            self.resolved.system.capabilities().title,
            ui::visible(self.base_url)
        );
        for (name, value) in [
            ("tenant", self.resolved.tenant.as_deref()),
            ("profile", self.profile),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(", {name} {}", ui::visible(value)));
            }
        }
        text.push_str(&format!("\n  {}", self.counts));
        if let Some(forecast) = &self.forecast {
            // Only a look-up shows that a line needs no write, or that a customer cannot be found in bulk.
            let most = if self.looked { "" } else { "about " };
            text.push_str(&format!("\n  {most}{}", forecast.words(self.resolved)));
        }
        let counted = self.forecast.is_some_and(|forecast| forecast.emails > 0);
        if self.resolved.sends_emails() && !counted {
            text.push_str(
                "\n  every contact of each customer that is written may get a welcome e-mail",
            );
        }
        if !self.looked && self.may_set_services {
            text.push_str(
                "\n  a service ID that is set where there was none cannot be undone; `idshift plan` says how many",
            );
        }
        text.push_str(&format!("\n  {}", self.limits.words()));
        text.push_str("\n  to restore what was there before: the `idshift undo` command that is printed at the end");
        text
    }
}

/// Returns the question about a run after all its lines were looked up.
pub(super) fn question_of_plan(what: String, run: &OpenRun) -> Result<String, CommandError> {
    let planned = run.ledger.planned()?.len();
    let mut counts = format!(
        "{} of {} change",
        ui::count(planned),
        ui::lines(run.draft.counts.lines)
    );
    counts.push_str(&planned_words(&run.ledger, &run.resolved)?);
    let question = Question {
        what,
        counts,
        forecast: Forecast::kept(&run.ledger)?,
        resolved: &run.resolved,
        base_url: &base_url(&run.resolved)?,
        profile: run.kept.values.get("profile").map(String::as_str),
        looked: true,
        limits: &run.limits,
        may_set_services: false,
    };
    Ok(question.text())
}

/// Describes which planned changes cannot be undone, and adds the digest of the plan.
pub(super) fn planned_words(ledger: &Ledger, resolved: &Resolved) -> Result<String, CommandError> {
    let mut text = String::new();
    let can_clear = resolved.system.capabilities().can_clear;
    for words in CannotUndo::of_plan(ledger, can_clear)?.words() {
        text.push_str(&format!("\n  {words}"));
    }
    if let Some(digest) = ledger.plan_digest()? {
        text.push_str(&format!("\n  plan digest {digest}"));
    }
    Ok(text)
}

/// Describes in one line what a file asks for.
pub(super) fn counts(draft: &InputPlan) -> String {
    let counts = &draft.counts;
    let mut parts = Vec::new();
    for (number, one, many) in [
        (counts.renames, "new account ID", "new account IDs"),
        (
            counts.clears,
            "account ID to be removed",
            "account IDs to be removed",
        ),
        (
            counts.locations,
            "service ID or profile",
            "service IDs or profiles",
        ),
        (counts.chains, "chain", "chains"),
        (counts.swaps, "swap", "swaps"),
        (counts.cycles, "longer cycle", "longer cycles"),
        (
            counts.duplicates,
            "that repeats another",
            "that repeat another",
        ),
        (
            counts.nothing,
            "that asks for nothing",
            "that ask for nothing",
        ),
        (
            draft.invalid_lines(),
            "left out as invalid",
            "left out as invalid",
        ),
    ] {
        if number > 0 {
            parts.push(ui::one_or_many(number, one, many));
        }
    }
    format!("{}: {}", ui::lines(counts.lines), parts.join(", "))
}

/// Refuses to send e-mails without the operator's consent: a write to Adobe that carries contacts sends them e-mails.
pub(super) fn refuse_emails(resolved: &Resolved, command: &str) -> Result<(), CommandError> {
    let capabilities = resolved.system.capabilities();
    if !resolved.sends_emails() || resolved.accept_welcome_emails {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "{} sends a welcome e-mail to every contact of each customer that is written; {command} writes nothing without your consent",
        capabilities.title
    ))
    .with_help("`idshift plan` says how many would go out; then give --accept-welcome-emails"))
}

/// The message if the user did not answer `yes`.
pub(super) const NOT_CONFIRMED: &str = "not confirmed; nothing was written";

/// Refuses if consent was not given and cannot be asked for.
pub(super) fn must_be_possible(consent: Consent, command: &str) -> Result<(), CommandError> {
    if consent.yes || consent.is_asked() {
        return Ok(());
    }
    let why = if consent.no_input {
        ", because --no-input forbids a question"
    } else {
        " when there is no terminal for the question"
    };
    Err(CommandError::usage(format!("{command} needs --yes{why}")).with_help("nothing was written"))
}

/// Asks the user, unless `--yes` was given. Refuses if there is no terminal, or the answer is not `yes`.
pub(super) fn ask(question: &str, consent: Consent, command: &str) -> Result<(), CommandError> {
    must_be_possible(consent, command)?;
    if consent.yes || ui::confirm(question).unwrap_or(false) {
        return Ok(());
    }
    Err(CommandError::new(Exit::NothingDone, NOT_CONFIRMED))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn consent_question_shows_target_counts_estimate_and_guards() {
        let resolved = Resolved::example(&[
            ("system", "cloudcockpit"),
            ("tenant", "portal.example"),
            ("rate", "6/s"),
            ("quota", "2000/5m"),
        ]);
        let question = Question {
            what: "apply moves.csv".to_owned(),
            counts: "12 lines: 12 new account IDs".to_owned(),
            forecast: Some(Forecast::of_changes((12, 0), 0, (12, 12), &resolved)),
            looked: false,
            resolved: &resolved,
            base_url: "https://api.example.com",
            profile: Some("night"),
            limits: &Guards {
                max_failures: Some(crate::plan::Threshold::Percent(5.0)),
                canary: Some(5),
                ..Guards::default()
            },
            may_set_services: false,
        };
        let text = question.text();
        let begins = "apply moves.csv: CloudCockpit at https://api.example.com, tenant portal.example, profile night\n  \
             12 lines: 12 new account IDs\n  about 13 calls (12 writes) and about 3 s at 6/s and 2000/5m: done at ";
        assert!(text.starts_with(begins), "{text}");
        let end = "\n  guards: stops when more than 5% of the lines fail; verifies the first 5 units before it continues\n  \
             to restore what was there before: the `idshift undo` command that is printed at the end";
        let when = text[begins.len()..].strip_suffix(end).unwrap();
        assert!(when.len() >= "03:14".len() && when.contains(':'), "{text}");
    }
}
