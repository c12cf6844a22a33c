//! The file of metrics: it is written as a whole, stays readable, and replaces no other file.

use crate::support::{Place, finish};
use std::os::unix::fs::PermissionsExt;

/// Returns name, labels and value of each sample, as a parser of the format reads them.
fn samples(text: &str) -> Vec<(String, String, f64)> {
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let read = prometheus_parse::Scrape::parse(lines).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(read.samples.len(), series.count(), "{text}");
    let sample = |sample: prometheus_parse::Sample| {
        let mut labels: Vec<String> = sample
            .labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        labels.sort();
        let prometheus_parse::Value::Gauge(value) = sample.value else {
            panic!("{} is no gauge", sample.metric);
        };
        assert!(read.docs.contains_key(&sample.metric), "{}", sample.metric);
        (sample.metric, labels.join(","), value)
    };
    read.samples.into_iter().map(sample).collect()
}

#[test]
fn metrics_are_written_for_successful_and_failed_runs() {
    let place = Place::plume();
    let file = place.moves(3);
    let metrics = place.path().join("idshift.prom");
    let night = [
        "reconcile",
        &file,
        "--yes",
        "--metrics-file",
        "idshift.prom",
    ];
    place.run(&night).expect(0);
    let read = || samples(&std::fs::read_to_string(&metrics).unwrap());
    let of = |samples: &[(String, String, f64)], name: &str, labels: &str| {
        let mut found = samples
            .iter()
            .filter(|one| one.0 == name && one.1 == labels);
        found.next().map(|one| one.2)
    };
    let good = read();
    assert_eq!(of(&good, "idshift_lines", "status=\"changed\""), Some(3.0));
    assert_eq!(of(&good, "idshift_calls", "kind=\"write\""), Some(3.0));
    assert_eq!(of(&good, "idshift_calls_throttled", ""), Some(0.0));
    assert_eq!(of(&good, "idshift_exit_code", ""), Some(0.0));
    assert!(of(&good, "idshift_duration_seconds", "").unwrap() > 0.0);
    let success = of(&good, "idshift_last_success_timestamp_seconds", "");
    assert!(success.unwrap() > 1e9);
    let mode = std::fs::metadata(&metrics).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    place
        .run(&[
            "reconcile",
            "nosuch.csv",
            "--yes",
            "--metrics-file",
            "idshift.prom",
        ])
        .expect(2);
    let bad = read();
    assert_eq!(of(&bad, "idshift_exit_code", ""), Some(2.0));
    assert_eq!(
        of(&bad, "idshift_last_success_timestamp_seconds", ""),
        success
    );
    // If the file cannot be written, the run's result is the same.
    let done = place.run(&[
        "reconcile",
        &file,
        "--yes",
        "--metrics-file",
        "no/such/folder.prom",
    ]);
    assert!(done.expect(0).err.contains("warning: metrics_file"));
}

/// Metrics are written by renaming a file, which would replace any existing file.
#[test]
fn metrics_replace_only_metrics_files_and_never_stop_a_run() {
    let place = Place::plume();
    let file = place.moves(3);
    let binary: &[u8] = b"\xff\x00";
    std::fs::write(place.path().join("binary"), binary).unwrap();
    place.file("empty.prom", "");
    std::os::unix::fs::symlink("moves.csv", place.path().join("link.prom")).unwrap();
    place.pipe("pipe");
    let before = std::fs::read(place.path().join(&file)).unwrap();
    // A full device, the null device, a pipe without a reader, a folder, and files of other kinds.
    for (path, words) in [
        ("/dev/full", "it is not a regular file"),
        ("/dev/null", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
        (".", "is a directory"),
        ("moves.csv", "a file without metrics of idshift"),
        ("link.prom", "a file without metrics of idshift"),
        ("binary", "a file without metrics of idshift"),
    ] {
        let night = ["reconcile", &file, "--yes", "--metrics-file", path];
        let done = place.run(&night).expect(0);
        let warning = format!("warning: metrics_file {path}: ");
        assert!(done.err.contains(&warning), "{path}: {}", done.err);
        assert!(done.err.contains(words), "{path}: {}", done.err);
    }
    assert_eq!(std::fs::read(place.path().join(&file)).unwrap(), before);
    assert_eq!(std::fs::read(place.path().join("binary")).unwrap(), binary);
    let night = ["reconcile", &file, "--yes", "--metrics-file", "empty.prom"];
    let done = place.run(&night).expect(0);
    assert!(!done.err.contains("metrics_file"), "{}", done.err);
    let suppress = ["reconcile", &file, "--yes", "--suppress", "/dev/zero"];
    let done = place.run(&suppress).expect(2);
    assert!(done.err.contains("longer than 64 MiB"), "{}", done.err);
}

/// An exporter may read the file at any moment.
#[test]
fn metrics_file_is_always_complete_while_a_run_writes_it() {
    let place = Place::plume();
    let file = place.moves(3);
    let night = [
        "reconcile",
        &file,
        "--yes",
        "--metrics-file",
        "idshift.prom",
    ];
    place.run(&night).expect(0);
    let path = place.path().join("idshift.prom");
    let whole = samples(&std::fs::read_to_string(&path).unwrap()).len();
    let mut child = place.command(&night).spawn().unwrap();
    let mut reads = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(samples(&text).len(), whole, "{text}");
        reads += 1;
    }
    finish(child).expect(0);
    assert!(reads > 10, "{reads}");
    let names = std::fs::read_dir(place.path()).unwrap();
    let left = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tmp")
    });
    assert_eq!(left.count(), 0);
}
