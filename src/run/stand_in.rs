//! `--sandbox`: a stand-in for the system, inside this process.

use super::error::CommandError;
use super::input_plan::InputPlan;
use super::request::SandboxRequest;
use crate::config::Resolved;
use crate::domain::{Change, Status};
use crate::http::{SecretString, Span, Token};
use crate::ledger::Ledger;
use crate::sandbox::{Fault, Options, Sandbox, World};
use crate::system::SystemKind;
use crate::ui;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// A running stand-in; it ends when this is dropped.
pub(crate) struct StandIn {
    sandbox: Sandbox,
}

impl StandIn {
    /// Warns about requested faults that met no call: the user assumes that they were tried.
    pub(super) fn tell_idle_faults(&self) {
        for fault in self.sandbox.idle_faults() {
            ui::warning(&format!(
                "the fault `{fault}` never occurred: no call matched it"
            ));
        }
    }
}

/// Starts a stand-in with the customers of a file, if one is requested.
pub(crate) fn start(
    request: &SandboxRequest,
    resolved: &mut Resolved,
    draft: Option<&InputPlan>,
) -> Result<Option<StandIn>, CommandError> {
    if !request.sandbox {
        return Ok(None);
    }
    let sandbox = begin(request, resolved)?;
    if let Some(draft) = draft {
        let world = sandbox.world();
        let mut world = lock(&world);
        populate(&mut world, resolved, draft, &BTreeMap::new())?;
    }
    Ok(Some(StandIn { sandbox }))
}

/// Starts a stand-in in the state in which a run has left the system, if one is requested.
pub(super) fn start_as_left(
    request: &SandboxRequest,
    resolved: &mut Resolved,
    draft: &InputPlan,
    ledger: &Ledger,
) -> Result<Option<StandIn>, CommandError> {
    if !request.sandbox {
        return Ok(None);
    }
    let sandbox = begin(request, resolved)?;
    let mut left = BTreeMap::new();
    for outcome in ledger.outcomes() {
        let outcome = outcome?;
        // A line that failed may have been carried out in part.
        let differs = outcome.account.before != outcome.account.after
            || outcome.service.before != outcome.service.after
            || outcome.profile.before != outcome.profile.after;
        let is_partly_written = differs && outcome.status.is_open_or_failed();
        if is_partly_written || matches!(outcome.status, Status::Changed | Status::Unchanged(_)) {
            left.insert(outcome.line, outcome);
        }
    }
    let world = sandbox.world();
    populate(&mut lock(&world), resolved, draft, &left)?;
    drop(world);
    Ok(Some(StandIn { sandbox }))
}

fn lock(world: &std::sync::Mutex<World>) -> std::sync::MutexGuard<'_, World> {
    world
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn begin(request: &SandboxRequest, resolved: &mut Resolved) -> Result<Sandbox, CommandError> {
    let faults = request.faults.iter().map(|text| {
        Fault::from_str(text)
            .map_err(|why| CommandError::usage(format!("--sandbox-fault `{text}`: {why}")))
    });
    let options = Options {
        kind: kind(resolved.system),
        latency: latency(request.latency.as_deref())?,
        faults: faults.collect::<Result<_, _>>()?,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options)
        .map_err(|why| CommandError::usage(format!("the sandbox cannot start: {why}")))?;
    resolved.base_url = Some(sandbox.base_url());
    // The configured addresses may be those of another machine.
    resolved.egress.clear();
    resolved.token = Some(Token::given("sandbox".to_owned()));
    match resolved.system {
        SystemKind::Plume => {}
        SystemKind::Adobe => {
            resolved.api_key = Some(SecretString::from("sandbox".to_owned()));
            resolved
                .reseller
                .get_or_insert_with(|| "5556667778".to_owned());
        }
        SystemKind::CloudCockpit => {
            resolved
                .tenant
                .get_or_insert_with(|| "sandbox.example".to_owned());
        }
    }
    let bystanders = request.customers;
    add_bystanders(&mut lock(&sandbox.world()), resolved, bystanders);
    Ok(sandbox)
}

/// Adds customers that are not in the file; a file is unlikely to contain their IDs by chance.
fn add_bystanders(world: &mut World, resolved: &Resolved, customers: u32) {
    let reseller = resolved.reseller.as_deref();
    let reseller = reseller.filter(|_| resolved.system == SystemKind::Adobe);
    for n in 1..=customers {
        let id = match resolved.system {
            SystemKind::CloudCockpit => format!("00000000-0000-4000-9000-{n:012}"),
            SystemKind::Adobe => format!("S{n:09}"),
            SystemKind::Plume => format!("sandbox-{n}"),
        };
        world.add_customer(&id, &format!("SANDBOX-{n:06}"), reseller);
        if resolved.system.capabilities().has_locations {
            world.add_location(&id, &format!("sandbox-location-{n}"), None, None);
        }
    }
}

pub(crate) fn kind(system: SystemKind) -> crate::sandbox::Kind {
    match system {
        SystemKind::Plume => crate::sandbox::Kind::Plume,
        SystemKind::Adobe => crate::sandbox::Kind::Adobe,
        SystemKind::CloudCockpit => crate::sandbox::Kind::CloudCockpit,
    }
}

pub(crate) fn latency(text: Option<&str>) -> Result<Duration, CommandError> {
    let span = text.map(Span::from_str).transpose();
    Ok(span
        .map_err(|why| CommandError::usage(why.to_string()))?
        .map_or(Duration::ZERO, |span| span.0))
}

/// A customer that an earlier line has added.
struct Seen {
    id: String,
    /// The location that a line means if it names none: the customer's only one, unless others are named.
    location: String,
}

/// Makes a customer for every account that the file names.
fn populate(
    world: &mut World,
    resolved: &Resolved,
    draft: &InputPlan,
    left: &BTreeMap<u32, crate::domain::Outcome>,
) -> Result<(), CommandError> {
    let mut seen = BTreeMap::new();
    for batch in draft.table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let reseller = resolved.reseller.as_deref();
            add(
                world,
                resolved.system,
                reseller,
                &change,
                left.get(&change.line),
                &mut seen,
            );
        }
    }
    Ok(())
}

fn add(
    world: &mut World,
    system: SystemKind,
    listed: Option<&str>,
    change: &Change,
    left: Option<&crate::domain::Outcome>,
    seen: &mut BTreeMap<String, Seen>,
) {
    let key = match (&change.account, &change.customer) {
        (Some(account), _) => format!(
            "{account}\n{}",
            change
                .reseller
                .as_ref()
                .map_or(String::new(), ToString::to_string)
        ),
        (None, Some(customer)) => customer.to_string(),
        (None, None) => return,
    };
    let id = left
        .and_then(|outcome| outcome.customer.as_ref().map(ToString::to_string))
        .or_else(|| change.customer.as_ref().map(ToString::to_string))
        .unwrap_or_else(|| match system {
            SystemKind::CloudCockpit => format!("00000000-0000-4000-8000-{:012}", change.line),
            SystemKind::Adobe => format!("P{:09}", change.line),
            SystemKind::Plume => format!("customer-{}", change.line),
        });
    let account = match left {
        Some(outcome) => outcome.account.after.as_ref().map(ToString::to_string),
        None => change.account.as_ref().map(ToString::to_string),
    };
    let account = account.unwrap_or_else(|| format!("account-{}", change.line));
    let location = change
        .location
        .as_ref()
        .map_or_else(|| format!("location-{}", change.line), ToString::to_string);
    let (service, profile) = match left.filter(|outcome| outcome.location.is_some()) {
        Some(outcome) => (
            outcome.service.after.as_ref().map(ToString::to_string),
            outcome.profile.after.map(|profile| profile.to_string()),
        ),
        None => (
            change
                .service
                .as_ref()
                .map(|_| format!("old-service-{}", change.line)),
            None,
        ),
    };
    if let Some(known) = seen.get(&key) {
        if change.location.is_some() {
            world.add_location(&known.id, &location, service.as_deref(), profile.as_deref());
        } else if change.asks_location() {
            let (service, profile) = (service.as_deref(), profile.as_deref());
            world.complete_location(&known.id, &known.location, service, profile);
        }
    } else {
        let reseller = change
            .reseller
            .as_ref()
            .and_then(|r| r.id())
            .map(|id| id.as_str().to_owned());
        let reseller = reseller.or_else(|| {
            listed
                .map(str::to_owned)
                .filter(|_| system == SystemKind::Adobe)
        });
        world.add_customer(&id, &account, reseller.as_deref());
        if system.capabilities().has_locations {
            world.add_location(&id, &location, service.as_deref(), profile.as_deref());
        }
        seen.insert(key, Seen { id, location });
    }
}

/// Fills a world with the customers of a file, for `idshift sandbox --from`.
pub(crate) fn populate_from(
    world: &mut World,
    system: SystemKind,
    file: &std::path::Path,
) -> Result<(), CommandError> {
    let mut rules = super::input_plan::rules(system.capabilities());
    rules.reseller = Some(crate::domain::Reseller::Own);
    let table = crate::input::Table::open(
        file,
        &file.display().to_string(),
        &crate::input::Settings::default(),
        &rules,
    )?;
    let mut seen = BTreeMap::new();
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            add(world, system, None, &change, None, &mut seen);
        }
    }
    Ok(())
}
