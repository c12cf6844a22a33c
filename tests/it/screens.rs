use crate::support::{Place, customer};

/// The parts that differ in each run: IDs, times, addresses, folders, durations.
const VARYING: [(&str, &str); 10] = [
    (r"\d{8}-\d{6}-[a-z0-9]{4}", "[RUN]"),
    (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", "[TIME]"),
    (r"at \d{2}:\d{2} UTC", "at [TIME]"),
    (r"http://127\.0\.0\.1:\d+ *", "[ADDRESS] "),
    (r"(/[A-Za-z0-9._-]+)+/\.tmp\w+", "[FOLDER]"),
    (r"begun by     .*", "begun by     [WHO]"),
    (r"\d+ s ago *", "[AGE] "),
    (r"within \d+\.\d s", "within [DURATION]"),
    (r"(less than |about )?\b\d+ m?s\b *", "[DURATION] "),
    (r"[\d.,]+ calls/s", "[RATE]"),
];

/// Makes a run with one failed line, and a customer that was changed afterwards.
fn place() -> (Place, String) {
    let place = Place::plume();
    place.moves(4);
    place.with_world(|mut world| world.add_plume(customer(9)));
    let rows = "A-000000,B-000000\nA-000001,B-000001\nX-1,Y-1\n";
    let file = place.file("lines.csv", &format!("accountId,newAccountId\n{rows}"));
    (place, file)
}

#[test]
fn command_output_matches_the_snapshots() {
    let (place, file) = place();
    let _filters = {
        let mut settings = insta::Settings::clone_current();
        settings.set_filters(VARYING.to_vec());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind_to_scope()
    };
    let screen = |name: &str, arguments: &[&str], code: i32| {
        let done = place.run(arguments).expect(code);
        insta::assert_snapshot!(
            name,
            format!("{}--- standard error\n{}", done.out, done.err)
        );
    };
    screen("check", &["check", &file], 0);
    screen("plan", &["plan", &file], 1);
    screen("apply", &["apply", &file, "--yes"], 1);
    screen("verify", &["verify"], 0);
    place.with_world(|mut world| {
        world.plume.get_mut("C-1").unwrap().account_id = "ELSEWHERE".into();
    });
    screen("verify_of_what_others_changed", &["verify"], 3);
    screen("undo", &["undo", "--yes"], 1);
    screen("runs", &["runs"], 0);
    let run = place.newest_id();
    screen("runs_show", &["runs", "show", &run], 0);
    screen("status", &["status", &run], 0);
    screen("report", &["report", &run], 0);
    screen("doctor", &["doctor"], 0);
    screen("config", &["config"], 0);
    screen(
        "prune",
        &["runs", "prune", "--older-than", "1d", "--dry-run"],
        0,
    );
    screen("a_missing_file", &["apply", "missing.csv", "--yes"], 2);
    screen("nothing_to_resume", &["resume"], 2);
}
