//! `idshift doctor`: checks settings, network, credentials and clock.

mod finding;
mod ledger;
mod network;

use self::finding::{Finding, Found};
use super::options::{Console, DoctorOptions};
use crate::http::Skew;
use crate::ledger::StateDb;
use crate::run::{
    CommandError, Exit, RunScope, RunsSettings, base_url, check_host, connect, document,
    resolve_system, runtime, staging, start_stand_in, values,
};
use crate::ui;
use serde_json::json;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// `doctor` warns if the clocks differ by more than this, in milliseconds.
const CLOCK_OFF_MS: i64 = 30_000;

pub(super) fn run(options: &DoctorOptions, console: Console) -> Result<Exit, CommandError> {
    let mut values = values(&options.settings.typed, &BTreeMap::new())?;
    if options.ledger_schema {
        return Ok(print_schema(ledger::creation_sql(&values)?, console));
    }
    let sandbox = options.sandbox.request();
    let mut findings = Vec::new();
    let mut find = |what, found: Found| findings.push(Finding { what, found });
    let in_use = values.profile_name.as_deref();
    let in_use = in_use.map_or_else(String::new, |name| format!("; profile {name} is in use"));
    find("config", Found::Good(values.file_words() + &in_use));
    let mut resolved = match resolve_system(&mut values, sandbox.secrets(), console.output) {
        Ok(resolved) => resolved,
        Err(failure) if console.output.json => {
            find("settings", Found::Bad(failure.message));
            say(console, &findings, failure.exit);
            return Ok(failure.exit);
        }
        Err(failure) => {
            say(console, &findings, failure.exit);
            return Err(failure);
        }
    };
    // A diagnosis must not take a quarter of an hour.
    resolved.give_up_after = resolved
        .give_up_after
        .min(std::time::Duration::from_secs(20));
    let _stand_in = start_stand_in(&sandbox, &mut resolved, None)?;
    findings.extend(of_this_machine(&resolved, sandbox.sandbox));
    let of_ledger = ledger::findings(&mut values, &resolved).into_iter();
    findings.extend(of_ledger.map(|found| Finding {
        what: "ledger",
        found,
    }));
    let mut find = |what, found: Found| findings.push(Finding { what, found });
    let address = base_url(&resolved).map_err(|failure| failure.message);
    let reachable = address.and_then(|url| {
        check_host(&url)
            .map(|()| url)
            .map_err(|failure| failure.message)
    });
    let known = reachable.is_ok();
    find("address", reachable.into());
    if known {
        let (access, clock) = match ask(&mut resolved) {
            Ok(asked) => asked,
            Err(why) => (Err(why), None),
        };
        find("access", access.into());
        find("clock", clock.map_or_else(no_clock, compare));
    }
    let good = findings.iter().all(Finding::is_good);
    let exit = if good {
        Exit::Success
    } else {
        Exit::NothingDone
    };
    say(console, &findings, exit);
    Ok(exit)
}

/// Checks the settings and this machine: folders, state database, local addresses, proxies, client certificate.
fn of_this_machine(resolved: &crate::config::Resolved, is_sandbox: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what, found: Found| findings.push(Finding { what, found });
    let capabilities = resolved.system.capabilities();
    find("system", Found::Good(capabilities.title.to_owned()));
    if let Some(tenant) = &resolved.tenant {
        find("tenant", Found::Good(tenant.clone()));
    }
    // Checks only the local folder: the shared database has its own findings, and `doctor` must not change it.
    let runs = RunsSettings::of_resolved(resolved)
        .runs(RunScope::Here)
        .prepare()
        .map_err(|why| why.to_string())
        .and_then(|()| staging(&resolved.runs_dir).map_err(|failure| failure.message));
    find(
        "runs",
        runs.map(|_| resolved.runs_dir.display().to_string()).into(),
    );
    if !is_sandbox {
        let state = StateDb::open()
            .map(|state| state.path().display().to_string())
            .map_err(|why| why.to_string());
        find("state", state.into());
    }
    let limits = format!(
        "{}{}",
        resolved.find_rate,
        resolved
            .quota_words()
            .map_or_else(String::new, |quota| format!(", {quota}"))
    );
    find("limits", Found::Good(limits));
    for found in network::local_addresses(resolved) {
        find("egress", found);
    }
    for found in network::proxies(resolved) {
        find("proxy", found);
    }
    if let Some(found) = network::client_certificate(resolved) {
        find("client", found);
    }
    findings
}

/// Checks the credentials. Also returns how much the clocks differ, which every answer shows, a refusal too.
fn ask(
    resolved: &mut crate::config::Resolved,
) -> Result<(Result<String, String>, Option<Skew>), String> {
    let connected = connect(resolved, None, 1, CancellationToken::new());
    let (system, client) = connected.map_err(|failure| failure.message)?;
    let runtime = runtime().map_err(|failure| failure.message)?;
    let access = match runtime.block_on(system.check()) {
        Ok(()) => Ok(format!(
            "the credentials are accepted; an answer takes {} ms",
            system.latency().as_millis()
        )),
        Err(trouble) => Err(trouble.message),
    };
    Ok((access, client.skew()))
}

fn no_clock() -> Found {
    Found::Odd("no answer named the time, so this machine's clock could not be compared".to_owned())
}

/// Returns whether the clocks agree, and what a wrong clock affects.
fn compare(skew: Skew) -> Found {
    let seconds = |ms: i64| u64::try_from(ms.saturating_abs() / 1000).unwrap_or(0);
    let within = format!(
        "{}.{} s",
        skew.within_ms / 1000,
        skew.within_ms % 1000 / 100
    );
    let side = if skew.ahead_ms < 0 {
        "behind"
    } else {
        "ahead of"
    };
    if skew.at_least_ms() == 0 {
        return Found::Good(format!(
            "the same as the system's clock, as far as an answer shows it (within {within})"
        ));
    }
    let words = format!(
        "{} {side} the system's (within {within})",
        ui::duration(seconds(skew.ahead_ms))
    );
    if skew.at_least_ms() <= CLOCK_OFF_MS {
        return Found::Good(words);
    }
    Found::Odd(format!(
        "{words}: tokens are renewed too early or too late, --until ends a run at the wrong time, and reports show \
         wrong times. Set this machine's clock (NTP)"
    ))
}

fn print_schema(sql: String, console: Console) -> Exit {
    if console.output.json {
        let found = Found::Good(sql);
        say(
            console,
            &[Finding {
                what: "ledger",
                found,
            }],
            Exit::Success,
        );
    } else {
        ui::out_as_is(sql.trim_end());
    }
    Exit::Success
}

fn say(console: Console, findings: &[Finding], exit: Exit) {
    if console.output.json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| {
                json!({"what": f.what, "good": f.is_good(), "warning": f.is_warning(), "words": f.words()})
            })
            .collect();
        ui::out_as_is(&document(exit, json!({"findings": list})));
        return;
    }
    for finding in findings {
        let (tone, sign) = match finding.found {
            Found::Good(_) => (ui::Tone::Good, "ok"),
            Found::Odd(_) => (ui::Tone::Warning, "warn"),
            Found::Bad(_) => (ui::Tone::Bad, "BAD"),
        };
        ui::out(&format!(
            "{}  {:<8} {}",
            tone.paint(&format!("{sign:<4}")),
            finding.what,
            ui::visible(finding.words())
        ));
    }
}
