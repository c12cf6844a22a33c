use crate::support::{Done, Place, finish};
use std::fs;

const WORDS: &str = "it is not a regular file";

fn is_named(done: &Done, name: &str) {
    let what = format!("{name}: {}{}", done.out, done.err);
    assert!(
        done.err.contains(name) && done.err.contains(WORDS),
        "{what}"
    );
}

#[test]
fn pipe_in_place_of_a_call_log_is_named_without_waiting() {
    let place = Place::plume();
    let file = place.moves(2);
    let apply = ["apply", &file, "--yes", "--log", "calls.log"];
    place.run(&apply).expect(0);
    // An older file of the log, and the log itself.
    for name in ["calls.log.1", "calls.log"] {
        let _ = fs::remove_file(place.path().join(name));
        place.pipe(name);
        let log = place.run(&["log", "--line", "2"]).expect(0);
        let what = format!("{}{}", log.out, log.err);
        assert!(what.contains(WORDS) && what.contains("calls.log"), "{what}");
        let named = place.run(&["log", "--line", "2", "--log", "calls.log"]);
        is_named(&named.expect(2), "calls.log");
        fs::remove_file(place.path().join(name)).unwrap();
    }
}

#[test]
fn pipe_in_place_of_the_configuration_is_named_without_waiting() {
    let place = Place::plume();
    let file = place.moves(2);
    for name in ["idshift.toml", "other.toml"] {
        place.pipe(name);
        let save = [
            "map",
            &file,
            "--save",
            "p",
            "--map",
            "newAccountId=newAccountId",
        ];
        for command in [&["config"][..], &["runs"], &save] {
            let config = ["--config", name];
            let config = if name == "idshift.toml" {
                &[][..]
            } else {
                &config
            };
            let done = place.run(&[command, config].concat());
            is_named(&done.expect(2), name);
        }
        fs::remove_file(place.path().join(name)).unwrap();
    }
    // No file is read.
    place.file("idshift.toml", "no_such_key = 1\n");
    place.run(&["runs"]).expect(2);
    place.run(&["runs", "--config", "/dev/null"]).expect(0);
}

#[test]
fn pipe_in_place_of_a_certificate_or_key_is_named_without_waiting() {
    let place = Place::plume();
    let file = place.moves(2);
    place.pipe("pipe");
    is_named(
        &place.run(&["plan", &file, "--ca-cert", "pipe"]).expect(2),
        "pipe",
    );
    let profile = "[profiles.p]\nclient_cert = \"pipe\"\nclient_key = \"pipe\"\n";
    place.file("idshift.toml", profile);
    is_named(
        &place.run(&["plan", &file, "--profile", "p"]).expect(2),
        "pipe",
    );
}

/// A service may write a token into a pipe again and again, so the first read of the token waits, too, but not for ever.
#[test]
fn read_of_a_token_pipe_is_given_up_after_ten_seconds() {
    let place = Place::plume();
    let file = place.moves(2);
    place.pipe("token");
    let mut plan = place.command(&["plan", &file]);
    plan.env_remove("IDSHIFT_TOKEN");
    plan.env("IDSHIFT_TOKEN_FILE", "token");
    let refused = finish(plan.spawn().unwrap()).expect(2);
    let words = "the token file token could not be read within 10 s";
    assert!(refused.err.contains(words), "{}", refused.err);
}
