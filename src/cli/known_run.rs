//! A run that exists: found, opened, its file read again, and the settings that it was begun with.

use super::draft::{self, Draft};
use super::failure::Failure;
use super::limits::Limits;
use super::options::{Guards, Inside, Speech, Target};
use super::prepare::{Kept, resolve, runs_dir, values};
use super::stand_in::{self, StandIn};
use crate::config::{Origin, Resolved, Values};
use crate::ledger::{Header, Ledger, RunDir, State};
use crate::report::Commands;
use crate::ui;

/// What a run is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing is written, so that looking elsewhere does no harm.
    Look,
    Write,
}

/// A run, opened.
pub(super) struct KnownRun {
    pub(super) dir: RunDir,
    pub(super) ledger: Ledger,
    /// With what was given anew.
    pub(super) kept: Kept,
    pub(super) resolved: Resolved,
    pub(super) draft: Draft,
    pub(super) stand_in: Option<StandIn>,
}

impl KnownRun {
    /// What stops it: as given anew, else as it was begun with.
    pub(super) fn limits(&self, anew: &Guards) -> Result<Limits, Failure> {
        Ok(Limits::of(anew)?.over(self.kept.limits.clone()))
    }

    /// What a person types to go on from it.
    pub(super) fn commands(&self) -> Commands {
        Commands::of(self.dir.path(), self.ledger.header())
    }

    /// Keeps what was given anew for whoever goes on with the run after this.
    pub(super) fn keep(&mut self, limits: &Limits) -> Result<(), Failure> {
        self.kept.limits = limits.clone();
        self.kept.keep(&self.ledger)
    }
}

/// Finds a run by the beginning of its ID, or the newest that fits.
pub(super) fn open(
    run: Option<&str>,
    wanted: &str,
    fits: impl Fn(&Ledger) -> bool,
    purpose: Purpose,
    target: &Target,
    inside: &Inside,
    speech: &Speech,
) -> Result<KnownRun, Failure> {
    let runs_dir = runs_dir(&target.place)?;
    let dir = RunDir::find(&runs_dir, run, wanted, |dir| {
        match Ledger::glance(dir) {
            Ok(ledger) => fits(&ledger),
            // It may be the one that is meant. An older one in its place would be a guess.
            Err(_) => dir.has_begun(),
        }
    })?;
    let ledger = Ledger::open(&dir)?;
    let kept = Kept::of(&ledger)?;
    let mut run_values = kept.values.clone();
    run_values.insert("system".to_owned(), ledger.header().system.clone());
    run_values.insert("base_url".to_owned(), ledger.header().base_url.clone());
    run_values.remove("runs_dir");
    let mut values = values(target, &run_values)?;
    let mut resolved = resolve(&mut values, inside.secrets(), speech)?;
    resolved.runs_dir = runs_dir;
    same_target(&values, &resolved, ledger.header(), inside, purpose)?;
    if target.place.profile.is_some() && purpose == Purpose::Write {
        same_as_profile(&values, ledger.header())?;
    }
    if inside.sandbox && !kept.typed.always.iter().any(|word| word == "--sandbox") {
        let (run, address) = (&ledger.header().run, ui::visible(&ledger.header().base_url));
        let words = format!("run {run} works on `{address}`, and not on a stand-in");
        return Err(Failure::usage(words).with_help("leave --sandbox out"));
    }
    same_input(&dir, &ledger)?;
    let rules = kept.rules(&resolved)?;
    let facts = resolved.system.facts();
    let name = &ledger.header().input_name;
    let draft = draft::read(
        &dir.input(),
        name,
        &kept.reading()?,
        &rules,
        facts.unique_accounts,
    )?;
    let stand_in = stand_in::start_as_left(inside, &mut resolved, &draft, &ledger)?;
    Ok(KnownRun {
        dir,
        ledger,
        kept: Kept {
            values: values.to_keep(),
            ..kept
        },
        resolved,
        draft,
        stand_in,
    })
}

/// Whether a run was more than a look, and was begun at all. The newest of these is meant where no run is named, so that
/// nobody is surprised by an older one.
pub(super) fn was_carried_out(ledger: &Ledger) -> bool {
    let begun = ledger
        .progress()
        .is_ok_and(|progress| progress.state != State::Created);
    (begun && ledger.header().command != "plan") || ledger.has_writes().unwrap_or(false)
}

/// A variable that is set for other work must not carry a run to another system. What is typed may.
fn same_target(
    values: &Values,
    resolved: &Resolved,
    header: &Header,
    inside: &Inside,
    purpose: Purpose,
) -> Result<(), Failure> {
    if inside.sandbox {
        return Ok(());
    }
    let system = resolved.system.to_string();
    for (name, said, begun) in [
        ("system", system.as_str(), header.system.as_str()),
        (
            "base_url",
            said(resolved.base_url.as_ref()),
            &header.base_url,
        ),
        ("tenant", said(resolved.tenant.as_ref()), &header.tenant),
    ] {
        if let Origin::Environment(variable) = values.origin(name)
            && said != begun
        {
            let (said, begun) = (ui::visible(said), ui::visible(begun));
            let flag = format!("--{}", name.replace('_', "-"));
            let words = format!(
                "run {} works on `{begun}`, but {variable} says `{said}`",
                header.run
            );
            if purpose == Purpose::Look {
                ui::err(&format!("warning: {words}"));
                continue;
            }
            return Err(Failure::usage(words).with_help(format!(
                "unset {variable}, or say `{flag} {said}` where you mean it"
            )));
        }
    }
    Ok(())
}

/// A run keeps to its own target. Whoever names a profile with another one means that.
fn same_as_profile(values: &Values, header: &Header) -> Result<(), Failure> {
    for (name, begun) in [("base_url", &header.base_url), ("tenant", &header.tenant)] {
        let Some(said) = values.of_profile(name) else {
            continue;
        };
        // Of the address there are several spellings.
        let spelled = crate::http::check_base_url(said, true);
        let is_same = said == begun || spelled.is_ok_and(|spelled| spelled == *begun);
        // Whatever counts more than the profile has been compared already.
        if is_same
            || matches!(
                values.origin(name),
                Origin::CommandLine | Origin::Environment(_)
            )
        {
            continue;
        }
        let (said, begun) = (ui::visible(said), ui::visible(begun));
        let profile = values.profile_name.as_deref().unwrap_or_default();
        let words = format!(
            "run {} works on `{begun}`, but the profile `{profile}` says `{said}`",
            header.run
        );
        return Err(Failure::usage(words).with_help(
            "leave --profile out to go on where the run works; another target wants a run of its own",
        ));
    }
    Ok(())
}

fn said(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

/// The run's copy must be what the ledger speaks of.
fn same_input(dir: &RunDir, ledger: &Ledger) -> Result<(), Failure> {
    let path = dir.input();
    let found = crate::input::digest(&path)
        .map_err(|why| Failure::usage(format!("{}: cannot be read: {why}", path.display())))?;
    if found == ledger.header().input_sha256 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} was altered: it is not the file that the run was begun with",
        path.display()
    ))
    .with_help("put it back as it was, or begin a new run with the original file"))
}
