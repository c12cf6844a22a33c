//! The tools that idshift is compared with: finds and installs them.

use std::path::PathBuf;
use std::process::Command;

/// Returns the folder of the tools, below the build folder, so that `cargo clean` removes them.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    target.join("compare-tools")
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn must(command: &mut Command) {
    println!("{command:?}");
    if !command.status().is_ok_and(|status| status.success()) {
        println!("… failed; the tool is left out");
    }
}

/// Installs the missing tools.
pub(crate) fn install() {
    for package in ["aiohttp", "duckdb"] {
        if python_with(package).is_none() {
            must(
                Command::new("python3")
                    .args(["-m", "venv"])
                    .arg(folder().join("python")),
            );
            must(
                Command::new(folder().join("python/bin/pip")).args(["install", "--quiet", package]),
            );
        }
    }
    if qsv().is_none() {
        if !runs("cmake", "--version") {
            must(Command::new("apt-get").args(["install", "--yes", "--quiet", "cmake"]));
        }
        must(
            Command::new("cargo")
                // Versions 15 and 16 do not build from the registry; this one does, and needs cmake.
                .args([
                    "install",
                    "qsv",
                    "--version",
                    "4.0.0",
                    "--locked",
                    "--bin",
                    "qsvlite",
                    "-F",
                    "lite",
                    "--root",
                ])
                .arg(folder()),
        );
    }
    if wrk().is_none() {
        must(Command::new("apt-get").args(["install", "--yes", "--quiet", "wrk"]));
    }
}

/// Returns a Python that has this package.
pub(crate) fn python_with(package: &str) -> Option<String> {
    let own = folder().join("python/bin/python");
    let has_it = |python: &str| {
        Command::new(python)
            .args(["-c", &format!("import {package}")])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    ["python3".to_owned(), own.to_str()?.to_owned()]
        .into_iter()
        .find(|python| has_it(python))
}

pub(crate) fn qsv() -> Option<String> {
    let own = folder().join("bin/qsvlite");
    ["qsv", "qsvlite", own.to_str()?]
        .into_iter()
        .find(|program| runs(program, "--version"))
        .map(str::to_owned)
}

pub(crate) fn wrk() -> Option<String> {
    // wrk has no option with which it exits successfully, so its output is checked.
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .starts_with("wrk ")
        .then(|| "wrk".to_owned())
}
