//! A token file that cannot be read to its end.

use crate::support::{Place, finish};
use std::os::unix::fs::OpenOptionsExt;

/// The value on Linux.
const O_NONBLOCK: i32 = 0o4000;

/// For example a pipe without data, or a network file system that does not answer.
#[test]
fn blocked_read_of_the_token_file_does_not_delay_a_signal() {
    let place = Place::plume();
    let command = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command
            .env_remove("IDSHIFT_TOKEN")
            .env("IDSHIFT_TOKEN_FILE", "token");
        command
    };
    let file = place.moves(100);
    let faults = ["patch:401:nth=30".parse().unwrap()];
    place.sandbox.set_faults(faults.to_vec());
    place.file("token", "canary-token-1");
    let child = command(&["apply", &file, "--yes", "--rate=40/s"]).spawn();
    let child = child.unwrap();
    while place.patches() < 10 {
        std::thread::yield_now();
    }
    std::fs::remove_file(place.path().join("token")).unwrap();
    place.pipe("token");
    while place.patches() < 30 {
        std::thread::yield_now();
    }
    // The pipe can be opened for writing as soon as the program reads the token. It is kept open, so that the read does
    // not end.
    let mut writing = std::fs::OpenOptions::new();
    writing.write(true).custom_flags(O_NONBLOCK);
    let _writer = loop {
        match writing.open(place.path().join("token")) {
            Ok(writer) => break writer,
            Err(_) => std::thread::yield_now(),
        }
    };
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let begun = std::time::Instant::now();
    let done = finish(child).expect(130);
    assert!(begun.elapsed().as_secs() < 15, "{}", done.err);
    std::fs::remove_file(place.path().join("token")).unwrap();
    place.file("token", "canary-token-1");
    let resume = command(&["resume", "--yes", "--rate=unlimited"]).spawn();
    finish(resume.unwrap()).expect(0);
    place.judge_writes();
    assert_eq!(place.verdicts(), vec!["changed/"; 100]);
}
