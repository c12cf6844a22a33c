use crate::support::{Done, Place, finish};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// A configuration whose secrets come from a file and from a program.
const CONFIG: &str = "runs_dir = \"idshift-runs\"\n\
    [profiles.night]\nsystem = \"plume\"\nbase_url = \"https://plume.example.com\"\ntoken_file = \"secret\"\n\
    [profiles.nightly]\nsystem = \"adobe\"\ntoken_command = [\"touch\", \"was-run\"]\n";

/// Makes a finished run, and a newer plan that was not carried out.
fn with_runs() -> (Place, String, String) {
    let place = Place::plume();
    let file = place.moves(2);
    place.run(&["plan", &file]).expect(0);
    let applied = place.newest_id();
    place.run(&["apply", "--run", &applied, "--yes"]).expect(0);
    // The name of the next run must contain a later second.
    let planned = loop {
        place.run(&["plan", &file]).expect(0);
        let newest = place.newest_id();
        if newest[..15] > applied[..15] {
            break newest;
        }
        std::fs::remove_dir_all(place.newest()).unwrap();
    };
    place.file("idshift.toml", CONFIG);
    (place, applied, planned)
}

/// Returns a shell with the program on its path and no variables except those of the test runner.
fn shell(place: &Place, words: &[&str]) -> Command {
    let idshift = place.command(&[]);
    let folder = Path::new(idshift.get_program()).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(&[]);
    let mut shell = Command::new(words[0]);
    shell
        .args(&words[1..])
        .current_dir(place.path())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("TERM", "dumb")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command.env_clear();
    shell
}

#[expect(clippy::print_stdout, reason = "says that a check was not run")]
fn is_missing(shell: &str) -> bool {
    let is_there = Command::new(shell).args(["-c", "exit"]).status().is_ok();
    if !is_there {
        println!("NOT RUN: {shell} is not installed");
    }
    !is_there
}

/// Returns what fish offers, with descriptions.
fn fish(place: &Place, line: &str) -> Vec<String> {
    let script = format!("idshift completions fish | source; complete --do-complete '{line}'");
    let done = finish(
        shell(place, &["fish", "--no-config", "-c", &script])
            .spawn()
            .unwrap(),
    );
    lines(&done)
}

/// Returns what bash offers.
fn bash(place: &Place, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, before) = (words.len() - 1, words[words.len() - 2]);
    let script = format!(
        "source <(idshift completions bash); COMP_WORDS=({}); COMP_CWORD={last}; \
         _idshift_quoted idshift '{}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words[last],
    );
    let done = finish(
        shell(place, &["bash", "--norc", "-c", &script])
            .spawn()
            .unwrap(),
    );
    lines(&done)
}

fn lines(done: &Done) -> Vec<String> {
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    done.out.lines().map(str::to_owned).collect()
}

/// Returns what an interactive zsh shows, up to these words, when the line is typed and Tab is pressed. The completions
/// are in a folder of `$fpath`, as a package installs them.
fn zsh(place: &Place, line: &str, until: &str) -> String {
    let script = format!(
        "mkdir -p .zsh && idshift completions zsh >.zsh/_idshift\n\
         zmodload zsh/zpty && zpty z 'zsh -f -i'\n\
         zpty -w z 'fpath=(.zsh $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=1000; setopt no_list_ambiguous; PS1=REA; PS1+=DY'\n\
         zpty -r z out '*READY*' || exit 1\n\
         zpty -w -n z $'{line}\\t'\n\
         zpty -r z out '*{until}*' || exit 1\n\
         print -r -- $out; zpty -d z"
    );
    let words = ["timeout", "30", "zsh", "-f", "-c", &script];
    finish(shell(place, &words).spawn().unwrap()).expect(0).out
}

/// Another user may have written the configuration or the file. It must not be able to run a command at the next Tab
/// and Enter.
#[test]
fn bash_completion_inserts_one_word_that_runs_no_command() {
    if is_missing("bash") {
        return;
    }
    let place = Place::plume();
    let names = [
        "$(touch pwned)",
        "`touch pwned`",
        "a b",
        "x;touch pwned",
        "q'u\"o",
        "*",
        "a\\b",
        "x&y",
        "$HOME",
    ];
    let profiles: Vec<String> = names
        .iter()
        .map(|name| format!("[profiles.{}]\n", serde_json::Value::from(*name)))
        .collect();
    place.file("idshift.toml", &profiles.concat());
    place.file("$(touch pwned).csv", "");
    let offered = |line: &str| {
        let offered = bash(&place, line);
        let typed: Vec<String> = offered
            .iter()
            .map(|word| format!("printf '%s\\n' {word}"))
            .collect();
        let typed = typed.join("\n");
        let shell = shell(&place, &["bash", "--norc", "-c", &typed]).spawn();
        lines(&finish(shell.unwrap()))
    };
    let mut found = offered("idshift plan moves.csv --profile ");
    found.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    assert!(offered("idshift check ").contains(&"$(touch pwned).csv".to_owned()));
    assert!(!place.path().join("pwned").exists());
}

#[test]
fn bash_offers_runs_profiles_systems_and_values() {
    let (place, applied, planned) = with_runs();
    let cases: &[(&str, &[&str])] = &[
        ("idshift recon", &["reconcile"]),
        ("idshift resume ", &[&planned, &applied]),
        ("idshift apply --run ", &[&planned]),
        ("idshift plan moves.csv --profile ", &["night", "nightly"]),
        (
            "idshift plan moves.csv --system ",
            &["plume", "adobe", "cloudcockpit"],
        ),
        ("idshift runs show ", &[&planned, &applied]),
        (
            "idshift check moves.csv --accept formula,dec",
            &["formula,decimal_zero", "formula,decoded_twice"],
        ),
        ("idshift check moves.csv --map new", &["newAccountId="]),
        ("idshift map moves.csv --save night", &["night", "nightly"]),
        ("idshift man un", &["undo", "unpause"]),
        ("idshift check mov", &["moves.csv"]),
        ("idshift apply moves.csv --max-f", &["--max-failures"]),
        (
            "idshift plan moves.csv --config other.toml --profile ",
            &["other"],
        ),
        ("idshift report --runs-dir nowhere 2", &[]),
    ];
    place.file("other.toml", "[profiles.other]\nsystem = \"adobe\"\n");
    for (line, expected) in cases {
        let found = bash(&place, line);
        let found: Vec<&str> = found
            .iter()
            .map(String::as_str)
            .filter(|one| !one.is_empty())
            .collect();
        assert_eq!(found, *expected, "{line}");
    }
}

#[test]
fn fish_offers_runs_and_profiles_with_descriptions() {
    if is_missing("fish") {
        return;
    }
    let (place, applied, planned) = with_runs();
    assert_eq!(
        fish(&place, "idshift undo "),
        [
            format!("{planned}\tplan, planned, moves.csv"),
            format!("{applied}\tapply, finished, moves.csv")
        ]
    );
    assert_eq!(
        fish(&place, "idshift plan moves.csv --profile nightl"),
        ["nightly\tadobe"]
    );
    assert_eq!(
        fish(&place, "idshift plan moves.csv --lookup "),
        ["auto", "bulk", "each"]
    );
}

#[test]
fn zsh_offers_systems_and_runs_with_descriptions() {
    if is_missing("zsh") {
        return;
    }
    let (place, applied, planned) = with_runs();
    let shown = zsh(&place, "idshift undo ", "finished, moves.csv");
    let at = |words: &str| {
        shown
            .find(words)
            .unwrap_or_else(|| panic!("{words}: {shown}"))
    };
    assert!(at(&planned) < at(&applied), "{shown}");
    assert!(shown.contains("-- plan, planned, moves.csv"), "{shown}");
    let shown = zsh(&place, "idshift plan moves.csv --system pl", "plume");
    assert!(shown.contains("--system plume"), "{shown}");
}

/// Finds every file below the folder, with its length and the time of its last change. For the index that readers of an
/// SQLite log share, only its existence counts.
fn files(folder: &Path, found: &mut BTreeMap<String, (u64, SystemTime)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let is_shared = path.to_str().unwrap().ends_with("-shm");
        let changed = if is_shared {
            SystemTime::UNIX_EPOCH
        } else {
            meta.modified().unwrap()
        };
        found.insert(path.display().to_string(), (meta.len(), changed));
        if meta.is_dir() {
            files(&path, found);
        }
    }
}

/// Returns what the program answers a shell. Checks that it prints nothing else and changes no file.
fn answered(place: &Place, line: &[&str]) -> Vec<String> {
    let found = || {
        let mut found = BTreeMap::new();
        files(place.path(), &mut found);
        found
    };
    let before = found();
    let mut command = place.command(&[&["--", "idshift"][..], line].concat());
    command.env("_IDSHIFT_COMPLETE", "fish");
    let done = finish(command.spawn().unwrap());
    assert_eq!(before, found(), "{line:?}");
    assert_eq!(done.err, "", "{line:?}");
    done.out.lines().map(str::to_owned).collect()
}

#[test]
fn completion_changes_no_file_reads_no_secret_and_prints_no_error() {
    let place = Place::plume();
    // There are no runs yet, and nothing is created.
    assert!(answered(&place, &["pause", "2"]).is_empty());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    // A killed run leaves SQLite's log beside its ledger.
    let file = place.moves(3);
    let mut killed = place.command(&["apply", &file, "--yes"]);
    killed.env("IDSHIFT_CRASH_AT", "2");
    finish(killed.spawn().unwrap());
    let run = place.newest_id();
    assert!(place.newest().join("ledger.db-wal").exists());
    // A read from a pipe without a writer would never end.
    place.pipe("secret");
    place.file("idshift.toml", CONFIG);
    assert_eq!(
        answered(&place, &["resume", "2"]),
        [format!("{run}\tapply, interrupted, moves.csv")]
    );
    assert_eq!(answered(&place, &["plan", &file, "--profile", ""]).len(), 2);
    for line in [
        &["resume", "--profile", "nightly", "2"][..],
        &["resume", "--profile", "night", "2"],
    ] {
        assert_eq!(answered(&place, line).len(), 1, "{line:?}");
    }
    // An unknown key, a table that is not closed, and a file that is no ledger.
    let mistaken = format!("{CONFIG}\nno_such_key = 1\n[profiles.third]\n[broken");
    place.file("idshift.toml", &mistaken);
    assert_eq!(answered(&place, &["plan", &file, "--profile", ""]).len(), 3);
    std::fs::write(place.newest().join("ledger.db"), "no ledger").unwrap();
    assert_eq!(answered(&place, &["resume", "2"]), [run]);
    assert!(answered(&place, &["pause", "2"]).is_empty());
    place.file("idshift.toml", "\u{0}");
    assert!(answered(&place, &["plan", &file, "--profile", ""]).is_empty());
}
