//! `idshift doctor`: is everything set, reachable, authorised, and is the clock right?

use super::Exit;
use super::failure::Failure;
use super::options::DoctorOptions;
use super::prepare::{resolve, values};
use super::session::{base_url, check_host, http_settings, system_settings};
use super::stand_in;
use crate::ledger::RunDir;
use crate::system::System;
use crate::ui;
use serde_json::json;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

struct Finding {
    what: &'static str,
    good: bool,
    words: String,
}

pub(super) fn run(options: &DoctorOptions) -> Result<Exit, Failure> {
    let mut values = values(&options.target, &BTreeMap::new())?;
    let mut resolved = resolve(&mut values, options.inside.secrets(), &options.speech)?;
    // Nobody wants to wait a quarter of an hour for a diagnosis.
    resolved.give_up_after = resolved
        .give_up_after
        .min(std::time::Duration::from_secs(20));
    let _stand_in = stand_in::start(&options.inside, &mut resolved, None)?;
    let mut findings = Vec::new();
    let mut find = |what, result: Result<String, String>| {
        let good = result.is_ok();
        let words = result.unwrap_or_else(|why| why);
        findings.push(Finding { what, good, words });
        good
    };
    let facts = resolved.system.facts();
    find("system", Ok(facts.title.to_owned()));
    let runs = RunDir::prepare(&resolved.runs_dir);
    find(
        "runs",
        runs.map(|()| resolved.runs_dir.display().to_string())
            .map_err(|why| why.to_string()),
    );
    let limits = format!(
        "{}{}",
        resolved.find_rate,
        resolved
            .quota
            .map_or_else(String::new, |quota| format!(", {quota}"))
    );
    find("limits", Ok(limits));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        if std::env::var_os(name).is_some() {
            find("proxy", Ok(format!("calls go through the proxy of {name}")));
        }
    }
    let address = base_url(&resolved).map_err(|failure| failure.message);
    let reachable = address.and_then(|url| {
        check_host(&url)
            .map(|()| url)
            .map_err(|failure| failure.message)
    });
    let known = find("address", reachable);
    if known {
        let asked = ask(&mut resolved);
        find("access", asked);
    }
    let good = findings.iter().all(|finding| finding.good);
    say(options, &findings);
    Ok(if good {
        Exit::Success
    } else {
        Exit::NothingDone
    })
}

/// Asks something that every good token may ask.
fn ask(resolved: &mut crate::config::Resolved) -> Result<String, String> {
    let http = http_settings(resolved, None).map_err(|failure| failure.message)?;
    let settings = system_settings(resolved, 1).map_err(|failure| failure.message)?;
    let (system, _client) =
        System::prepare(resolved.system, http, &settings, CancellationToken::new())
            .map_err(|why| why.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| why.to_string())?;
    runtime
        .block_on(system.check())
        .map_err(|trouble| trouble.message)?;
    Ok(format!(
        "the credentials are accepted; an answer takes {} ms",
        system.latency().as_millis()
    ))
}

fn say(options: &DoctorOptions, findings: &[Finding]) {
    if options.speech.is_json() {
        let list: Vec<_> = findings
            .iter()
            .map(|f| json!({"what": f.what, "good": f.good, "words": f.words}))
            .collect();
        ui::out(&json!({"findings": list}).to_string());
        return;
    }
    for finding in findings {
        let sign = if finding.good { "ok " } else { "BAD" };
        ui::out(&format!(
            "{sign}  {:<8} {}",
            finding.what,
            ui::visible(&finding.words)
        ));
    }
}
