//! Keeps the module graph as the layout says it is: who may import whom, and no circles; and keeps each
//! third-party crate in the one place where it belongs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each top-level module may import. Order matters: a module may only name modules above it,
/// which is what makes a circle impossible to write down.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("input", &["domain"]),
    ("plan", &["domain"]),
    ("http", &[]),
    ("system", &["domain", "http"]),
    ("ledger", &["domain"]),
    ("engine", &["domain", "plan", "system", "ledger"]),
    ("report", &["domain", "input", "ledger"]),
    // What random bytes are thrown at; not part of the program.
    ("fuzzing", &["domain", "input", "plan", "http", "system"]),
    ("ui", &["domain", "engine"]),
    ("sandbox", &[]),
    (
        "config",
        &[
            "domain", "input", "plan", "http", "system", "ledger", "engine",
        ],
    ),
    (
        "run",
        &[
            "domain", "input", "plan", "http", "system", "ledger", "engine", "report", "ui",
            "sandbox", "config",
        ],
    ),
    (
        "cli",
        &[
            "domain", "input", "plan", "http", "system", "ledger", "engine", "report", "ui",
            "sandbox", "config", "run",
        ],
    ),
];

/// Crates that are named in these modules and nowhere else.
const LOCALISED: &[(&str, &[&str])] = &[
    ("reqwest", &["http"]),
    ("hyper", &["http"]),
    ("governor", &["http"]),
    ("oauth2", &["http"]),
    ("rusqlite", &["ledger"]),
    ("indicatif", &["ui"]),
    ("csv", &["input", "report"]),
    ("axum", &["sandbox"]),
    ("clap", &["cli"]),
];

#[test]
fn every_import_is_one_the_layout_allows() {
    let above = MAY_IMPORT.iter().enumerate().flat_map(|(i, (m, may))| {
        may.iter()
            .filter(move |d| !MAY_IMPORT[..i].iter().any(|(n, _)| n == *d))
            .map(move |d| format!("{m} -> {d} (not above it)"))
    });
    let allowed: BTreeMap<_, BTreeSet<_>> = MAY_IMPORT
        .iter()
        .map(|(m, may)| (*m, may.iter().copied().collect()))
        .collect();
    let mut wrong: Vec<String> = above.collect();
    for (module, file, line, code) in code_lines() {
        let Some(may) = allowed.get(module.as_str()) else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        for rest in code.split("crate::").skip(1) {
            let to: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if to != module && !may.contains(to.as_str()) {
                let to = if to.is_empty() {
                    "{…} (one `use` per module)"
                } else {
                    &to
                };
                wrong.push(format!("{}:{line}: {module} -> {to}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports the layout does not allow:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_third_party_crate_stays_in_its_place() {
    let mut wrong = Vec::new();
    for (module, file, line, code) in code_lines() {
        for (name, places) in LOCALISED {
            let named = code.match_indices(&format!("{name}::")).any(|(at, _)| {
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !places.contains(&module.as_str()) {
                wrong.push(format!("{}:{line}: {name} in {module}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "crates out of their place:\n{}",
        wrong.join("\n")
    );
}

/// Every line of code (comments and tests left out) with its module, file and number.
fn code_lines() -> Vec<(String, PathBuf, usize, String)> {
    let mut lines = Vec::new();
    for file in rust_files(Path::new("src")) {
        let part = file
            .components()
            .nth(1)
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let module = part.trim_end_matches(".rs").to_owned();
        if module == "main" || module == "lib" || file.to_string_lossy().contains("test") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for (n, line) in text.lines().enumerate() {
            if line.starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.split("//").next().unwrap_or("").to_owned();
            lines.push((module.clone(), file.clone(), n + 1, code));
        }
    }
    assert!(lines.len() > 1000, "the sources were not found");
    lines
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path)
            } else if path.extension().is_some_and(|x| x == "rs") {
                vec![path]
            } else {
                vec![]
            }
        })
        .collect()
}

/// A promise without a test is none; so the page that pairs them names tests that exist.
#[test]
fn every_test_that_the_promises_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "tests"].map(|folder| rust_files(&root.join(folder)));
    let text: String = sources
        .iter()
        .flatten()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let functions: BTreeSet<&str> = text
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let promises = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
    let tests = promises.split('`').filter(|word| word.contains("::"));
    let is_there = |test: &&str| {
        let name = test.rsplit("::").next().unwrap_or_default();
        match name.strip_suffix('*') {
            Some(beginning) => functions.iter().any(|one| one.starts_with(beginning)),
            // The whole of a module.
            None => functions.contains(name) || text.contains(&format!("mod {name};")),
        }
    };
    let missing: Vec<&str> = tests.filter(|test| !is_there(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
