//! Checks the module graph: which module may import which, and that there are no circles. Checks that each third-party
//! crate is used only where it belongs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

mod sources;

use sources::{Import, Sources, rust_files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each top-level module may import. The order matters: a module may import only modules above it, so circles are
/// impossible.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("moment", &[]),
    ("regular_file", &[]),
    ("input", &["domain", "regular_file"]),
    ("plan", &["domain"]),
    ("limits", &[]),
    ("http", &["moment", "regular_file", "limits"]),
    ("call_log", &["regular_file"]),
    ("system", &["domain", "moment", "http"]),
    ("ledger", &["domain", "moment", "regular_file", "limits"]),
    ("engine", &["domain", "moment", "plan", "system", "ledger"]),
    ("report", &["domain", "regular_file", "input", "ledger"]),
    // The targets of fuzzing, which are not part of the program.
    (
        "fuzzing",
        &["domain", "moment", "input", "plan", "http", "system"],
    ),
    ("ui", &["domain", "engine"]),
    ("sandbox", &[]),
    (
        "config",
        &[
            "domain",
            "regular_file",
            "http",
            "system",
            "ledger",
            "engine",
        ],
    ),
    (
        "run",
        &[
            "domain",
            "regular_file",
            "input",
            "plan",
            "limits",
            "http",
            "call_log",
            "system",
            "ledger",
            "engine",
            "report",
            "ui",
            "sandbox",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "domain", "input", "http", "system", "ledger", "report", "ui", "sandbox", "config",
            "run",
        ],
    ),
];

/// Crates that are named in these modules and below them, and nowhere else.
const LOCALISED: &[(&str, &[&str])] = &[
    ("reqwest", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("rustls", &["http", "ledger/postgres"]), // the verified connection to a shared ledger
    ("rustls_platform_verifier", &["http"]),
    ("tokio_postgres", &["ledger/postgres"]),
    ("tokio_postgres_rustls", &["ledger/postgres"]),
    ("governor", &["http"]),
    ("rusqlite", &["ledger/sqlite"]),
    ("indicatif", &["domain", "ui"]), // counts; sizes
    ("anstream", &["ui"]),
    ("anstyle", &["ui"]),
    ("csv", &["input"]),
    ("clap", &["cli"]),
    ("tracing_subscriber", &["call_log"]),
];

#[test]
fn modules_import_only_allowed_modules() {
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for (at, (room, may)) in MAY_IMPORT.iter().enumerate() {
        let above = &MAY_IMPORT[..at];
        let below = may
            .iter()
            .filter(|to| !above.iter().any(|(name, _)| name == *to));
        wrong.extend(below.map(|to| format!("{room} -> {to}: not above it in the table")));
    }
    let mut unused: BTreeSet<(&str, &str)> = MAY_IMPORT
        .iter()
        .flat_map(|(room, may)| may.iter().map(|to| (*room, *to)))
        .collect();
    for Import {
        from,
        line,
        rooms: (room, to),
        ..
    } in sources.imports()
    {
        unused.retain(|(from, to_room)| *from != room || *to_room != to);
        let may = MAY_IMPORT.iter().find(|(name, _)| *name == room);
        if room != to && !room.is_empty() && !may.is_some_and(|(_, may)| may.contains(&to.as_str()))
        {
            wrong.push(format!("{}:{line}: {room} -> {to}", from.display()));
        }
    }
    wrong.extend(
        unused
            .iter()
            .map(|(room, to)| format!("{room} -> {to}: allowed, and not used")),
    );
    let named: BTreeSet<String> = MAY_IMPORT
        .iter()
        .map(|(room, _)| (*room).to_owned())
        .collect();
    let rooms = sources.rooms();
    let unknown = rooms.symmetric_difference(&named);
    wrong.extend(unknown.map(|room| format!("{room}: only in the table, or only in the sources")));
    assert!(
        wrong.is_empty(),
        "the layout and the imports differ:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn third_party_crates_are_used_only_in_their_modules() {
    let crates: Vec<&str> = LOCALISED.iter().map(|(name, _)| *name).collect();
    let mut unused: BTreeSet<(&str, &str)> = LOCALISED
        .iter()
        .flat_map(|(name, places)| places.iter().map(|place| (*name, *place)))
        .collect();
    let mut wrong = Vec::new();
    for found in Sources::read().foreign(&crates) {
        let name = found.name.as_str();
        let module = found.file.strip_prefix("src").unwrap().with_extension("");
        let is_there = |place: &&str| module.starts_with(place);
        unused.retain(|(other, place)| *other != name || !is_there(place));
        let places = LOCALISED.iter().find(|(other, _)| *other == name);
        if !places.is_some_and(|(_, places)| places.iter().any(is_there)) {
            let (file, line) = (found.file.display(), found.line);
            wrong.push(format!("{file}:{line}: {name}"));
        }
    }
    wrong.extend(
        unused
            .iter()
            .map(|(name, place)| format!("{name} in {place}: allowed, and not used")),
    );
    assert!(
        wrong.is_empty(),
        "crates out of their place:\n{}",
        wrong.join("\n")
    );
}

/// Two files that need each other can only be read, understood, moved and tested together.
#[test]
fn source_files_have_no_circular_imports() {
    let mut needs: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for import in Sources::read().imports() {
        needs.entry(import.from).or_default().insert(import.to);
    }
    let circles = circles(&needs);
    assert!(
        circles.is_empty(),
        "files that need each other: {circles:#?}"
    );
}

/// Returns the sets of files that need each other.
fn circles(needs: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> BTreeSet<Vec<String>> {
    let reach = |from: &PathBuf| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            next.extend(
                needs
                    .get(file)
                    .into_iter()
                    .flatten()
                    .filter(|to| seen.insert((*to).clone())),
            );
        }
        seen
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<PathBuf>> =
        needs.keys().map(|file| (file, reach(file))).collect();
    let in_circle = reached
        .iter()
        .filter(|(file, reach)| reach.contains(**file));
    let together = in_circle.map(|(file, reach)| {
        let mutual = |other: &&PathBuf| reached.get(other).is_some_and(|back| back.contains(*file));
        let names = reach.iter().filter(mutual);
        names
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    });
    together.collect()
}

/// The README and Cargo.toml both name the oldest Rust version.
#[test]
fn the_readme_names_the_oldest_rust_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let manifest = read("Cargo.toml");
    let oldest = manifest
        .split("rust-version = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let wanted = format!("\nRust {oldest} or newer.");
    assert!(
        read("README.md").contains(&wanted),
        "README.md does not say `{}`",
        wanted.trim()
    );
}

/// The page of promises and comments name tests as evidence, so these tests must exist.
#[test]
fn tests_named_in_promises_and_comments_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "tests"].map(|folder| rust_files(&root.join(folder)));
    let sources: Vec<String> = sources
        .iter()
        .flatten()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let text = sources.concat();
    let functions: BTreeSet<&str> = text
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let promises = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
    let in_page = promises.split('`').filter(|word| word.contains("::"));
    // In a comment, only the beginning of a test's name is given.
    let comments = text.lines().filter(|line| line.contains("// "));
    let mentioned = comments.flat_map(|line| line.split('`').skip(1).step_by(2));
    let mentioned = mentioned.filter(|word| word.contains("::") && word.ends_with("_*"));
    let is_there = |test: &&str| {
        let name = test.rsplit("::").next().unwrap_or_default();
        match name.strip_suffix('*') {
            Some(beginning) => functions.iter().any(|one| one.starts_with(beginning)),
            // The name may be that of a whole module.
            None => functions.contains(name) || text.contains(&format!("mod {name};")),
        }
    };
    let missing: Vec<&str> = in_page
        .chain(mentioned)
        .filter(|test| !is_there(test))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The fuzz targets are a workspace with its own lock file, which is easily forgotten when a dependency is added.
#[test]
fn fuzz_lock_file_has_the_dependency_versions_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        text.parse::<toml::Table>().unwrap()
    };
    let locked = |name: &str| -> BTreeSet<(String, String)> {
        let packages = read(name)["package"].as_array().unwrap().clone();
        let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
        packages
            .iter()
            .map(|package| (text(package, "name"), text(package, "version")))
            .collect()
    };
    let (program, fuzz) = (locked("Cargo.lock"), locked("fuzz/Cargo.lock"));
    let needed = read("Cargo.toml")["dependencies"]
        .as_table()
        .unwrap()
        .clone();
    let versions_of = |locked: &BTreeSet<(String, String)>, name: &str| -> Vec<String> {
        let of_name = locked.iter().filter(|(other, _)| other == name);
        of_name.map(|(_, version)| version.clone()).collect()
    };
    for name in needed.keys() {
        let (wanted, found) = (versions_of(&program, name), versions_of(&fuzz, name));
        assert!(
            !found.is_empty() && found.iter().all(|version| wanted.contains(version)),
            "fuzz/Cargo.lock has {name} {found:?}, Cargo.lock has {wanted:?}: \
             copy Cargo.lock to fuzz/ and run `cargo metadata --manifest-path fuzz/Cargo.toml`"
        );
    }
}
