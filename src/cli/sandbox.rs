//! `idshift sandbox`: a stand-in of a system on this machine, until Ctrl-C.

use super::options::SandboxOptions;
use crate::report;
use crate::run::{CommandError, Exit, kind, latency, populate_from, runtime};
use crate::sandbox::{Fault, Options, Sandbox};
use crate::system::SystemKind;
use crate::ui;
use std::str::FromStr;

pub(super) fn run(options: &SandboxOptions) -> Result<Exit, CommandError> {
    let system = SystemKind::parse(&options.system).ok_or_else(|| {
        CommandError::usage(format!(
            "`{}` is not plume, adobe or cloudcockpit",
            options.system
        ))
    })?;
    let faults = options.fault.iter().map(|text| {
        Fault::from_str(text).map_err(|why| CommandError::usage(format!("--fault `{text}`: {why}")))
    });
    let sandbox = Sandbox::start(Options {
        kind: kind(system),
        port: options.port,
        latency: latency(options.latency.as_deref())?,
        faults: faults.collect::<Result<_, _>>()?,
        bulk: !options.no_bulk,
        ..Options::default()
    })
    .map_err(|why| CommandError::usage(format!("the sandbox cannot start: {why}")))?;
    {
        let world = sandbox.world();
        let mut world = world
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &options.from {
            Some(file) => populate_from(&mut world, system, file)?,
            None => world.seed(options.customers, options.seed),
        }
    }
    ui::out_as_is(&sandbox.base_url());
    ui::err(&format!(
        "a stand-in of {}; any token is good. Ctrl-C ends it. Try, in another window:\n  {}",
        system.capabilities().title,
        try_it(options, system, &sandbox.base_url())
    ));
    runtime()?.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    });
    Ok(Exit::Success)
}

/// Returns a command that works on this stand-in as it is printed, with all settings that the system needs.
fn try_it(options: &SandboxOptions, system: SystemKind, base_url: &str) -> String {
    let file = options.from.as_deref();
    let file = file.map_or_else(|| "FILE".to_owned(), report::path_word);
    let words = ["idshift", "apply", &file, "--system"].map(str::to_owned);
    let mut words = Vec::from(words);
    let rest = [
        system.capabilities().name,
        "--base-url",
        base_url,
        "--rate",
        "50/s",
    ];
    words.extend(rest.map(str::to_owned));
    let (key, more): (&str, &[&str]) = match system {
        SystemKind::Plume => ("", &[]),
        SystemKind::Adobe => (
            "IDSHIFT_API_KEY=x ",
            &["--reseller", "5556667778", "--accept-welcome-emails"],
        ),
        SystemKind::CloudCockpit => ("", &["--tenant", "sandbox.example", "--reseller", "own"]),
    };
    words.extend(more.iter().map(|word| (*word).to_owned()));
    format!("IDSHIFT_TOKEN=x {key}{}", report::shell(words))
}
