use crate::support::{Done, Place, begun_by, customer, finish, in_a_namespace};
use std::fmt::Write as _;

/// Makes customers with locations without a service ID, and a file that sets one for each.
pub(crate) fn without_services(customers: u32) -> (Place, String) {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..customers {
            let mut one = customer(n);
            one.locations[0].service_id = None;
            world.add_plume(one);
        }
    });
    let mut text = String::from("accountId,newAccountId,locationId,serviceId\n");
    (0..customers).for_each(|n| writeln!(text, "A-{n:06},B-{n:06},L-{n},S-{n}").unwrap());
    let file = place.file("services.csv", &text);
    (place, file)
}

fn in_zone(place: &Place, zone: &str, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    finish(command.env("TZ", zone).spawn().unwrap())
}

#[test]
fn until_is_interpreted_in_the_time_zone_of_the_process() {
    // Each zone is 5:30 ahead of UTC. An unknown zone would be taken for UTC.
    let zones = ["Asia/Kolkata", ":Asia/Kolkata", "XYZ-5:30", "<+0530>-5:30"];
    std::thread::scope(|scope| {
        for zone in zones {
            scope.spawn(move || is_the_time_in(zone));
        }
    });
}

/// Checks that a run stops at a time of day in a zone that is 5:30 ahead of UTC.
fn is_the_time_in(zone: &str) {
    let place = Place::plume();
    let file = place.moves(60);
    // If this is too soon for a busy machine, the time is tomorrow's, and the run finishes.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5 * 3600 + 1808);
    let until = soon.strftime("%H:%M:%S").to_string();
    let arguments = ["apply", &file, "--yes", "--rate", "4/s", "--until", &until];
    let done = in_zone(&place, zone, &arguments);
    assert_eq!(done.code, 4, "{zone}: {}{}", done.out, done.err);
    assert!(done.out.contains("--until was reached"), "{}", done.out);
}

#[test]
fn plan_shows_the_end_time_with_its_zone() {
    let place = Place::plume();
    let file = place.moves(3);
    let shown = |zone: &str| {
        let out = in_zone(&place, zone, &["plan", &file]).expect(0).out;
        let end = out.split("done at ").nth(1).unwrap().to_owned();
        end.lines().next().unwrap().to_owned()
    };
    assert!(shown("Asia/Tokyo").contains("JST (+09:00)"));
    assert!(shown("Asia/Dubai").contains(" +04:00"));
    assert!(shown("CET-1CEST,M3.5.0,M10.5.0/3").contains("CE"));
    assert!(shown("").contains(" UTC"));
    assert!(shown("UTC").contains(" UTC"));
}

#[test]
fn unknown_time_zone_is_refused_only_by_commands_that_use_a_time() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    for zone in ["Mars/Olympus", "Europe/Berlni", ":nowhere", "/no/such/file"] {
        for arguments in [
            &["plan", &file][..],
            &["apply", &file, "--yes"],
            &["undo", "--yes"],
            &["resume"],
        ] {
            let done = in_zone(&place, zone, arguments).expect(2);
            assert!(done.err.contains("time zone"), "{}", done.err);
            assert!(done.err.contains(zone), "{}", done.err);
        }
        for arguments in [
            &["check", &file][..],
            &["runs"],
            &["report"],
            &["verify"],
            &["doctor"],
        ] {
            in_zone(&place, zone, arguments).expect(0);
        }
    }
    assert_eq!(place.patches(), 3);
}

#[test]
fn time_zone_is_found_without_zoneinfo_and_from_etc_localtime() {
    let place = Place::plume();
    let file = place.moves(1);
    let shown = |zone: Option<&str>, mount: &str| {
        let mut plan = place.command(&["plan", &file]);
        if let Some(zone) = zone {
            plan.env("TZ", zone);
        }
        let mut command = in_a_namespace(&place, &plan, mount)?;
        Some(finish(command.spawn().unwrap()).expect(0).out)
    };
    let hidden = "mount -t tmpfs none /usr/share/zoneinfo";
    let Some(bundled) = shown(Some("Asia/Tokyo"), hidden) else {
        return;
    };
    assert!(bundled.contains("JST (+09:00)"), "{bundled}");
    // A zone that the machine's own database does not have.
    let partial =
        format!("{hidden} && mkdir /usr/share/zoneinfo/Etc && touch /usr/share/zoneinfo/Etc/UTC");
    let bundled = shown(Some(":Asia/Tokyo"), &partial).unwrap();
    assert!(bundled.contains("JST (+09:00)"), "{bundled}");
    // Of this folder only the certificates are needed.
    let etc = |made: &str| {
        format!(
            "rm -rf e && mkdir e && (cp -rL /etc/ssl e/ || true) 2>&- && {made} && mount --bind e /etc"
        )
    };
    let linked = etc("ln -s /usr/share/zoneinfo/Asia/Tokyo e/localtime");
    for mount in [
        linked.clone(),
        format!("{linked} && {hidden}"),
        etc("cp /usr/share/zoneinfo/Asia/Tokyo e/localtime"),
    ] {
        let shown = shown(None, &mount).unwrap();
        assert!(shown.contains("JST (+09:00)"), "{mount}: {shown}");
    }
    let none = shown(None, &etc("true")).unwrap();
    assert!(none.contains(" UTC"), "{none}");
}

#[test]
fn plan_apply_and_undo_count_changes_that_cannot_be_undone() {
    let (place, file) = without_services(5);
    let words = "5 service IDs cannot be undone: there was none before";
    let human = place.run(&["plan", &file]).expect(0);
    assert!(human.out.contains(words), "{}", human.out);
    let plan = place
        .run(&["plan", &file, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(plan["cannot_undo"], 5);
    let run = plan["run"].as_str().unwrap();
    let applied = place
        .run(&["apply", "--run", run, "--yes", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(applied["cannot_undo"], 5);
    assert_eq!(applied["plan_digest"], plan["plan_digest"]);
    let undone = place.run(&["undo", "--yes"]).expect(1);
    assert!(undone.out.contains(words), "{}", undone.out);
    assert!(!undone.out.contains("changed since"), "{}", undone.out);
    // Another undo could do no more.
    assert!(!undone.out.contains("idshift undo"), "{}", undone.out);
    assert_eq!(place.account_of("C-3"), "A-000003");
    let summary = std::fs::read(place.newest().join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["cannot_undo"], 5);
}

#[test]
fn undo_reports_lines_that_were_changed_since() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| world.plume.get_mut("C-1").unwrap().account_id = "Z-1".into());
    let undone = place.run(&["undo", "--yes"]).expect(1);
    assert!(
        undone.out.contains("1 line was changed since"),
        "{}",
        undone.out
    );
}

#[test]
fn line_with_only_its_account_id_written_counts_as_half_done() {
    let (place, file) = without_services(4);
    place.sandbox.set_faults(vec![
        "location-patch:422:about=L-1".parse().unwrap(),
        "location-patch:422:about=L-2".parse().unwrap(),
        "customer-patch:422:about=C-3".parse().unwrap(),
    ]);
    let done = place.run(&["apply", &file, "--yes"]).expect(1);
    assert!(done.out.contains("2  half_done"), "{}", done.out);
    let folder = place.newest();
    let summary = std::fs::read(folder.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["counts"]["half_done"], 2, "{summary:#}");
    assert_eq!(summary["counts"]["failed"], 3);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("half_done"), "{page}");
    let listed = place.run(&["runs"]).expect(0);
    assert!(listed.out.contains("half_done 2"), "{}", listed.out);
    let listed = place.run(&["runs", "--format", "json"]).expect(0).json();
    assert_eq!(listed["runs"][0]["counts"]["half_done"], 2, "{listed:#}");
}

#[test]
fn sandbox_filled_from_a_run_has_the_written_parts_of_failed_lines() {
    let place = Place::plume();
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId,serviceId\nA-1,B-1,S-1\nA-2,B-2,S-2\n",
    );
    let unnamed = |arguments: &[&str]| {
        let mut idshift = place.command(arguments);
        idshift.env_remove("IDSHIFT_BASE_URL");
        crate::support::finish(idshift.spawn().unwrap())
    };
    let fault = "location-patch:422:every=2";
    let of = ["--sandbox", "--sandbox-fault", fault, "--yes"];
    let done = unnamed(&[&["apply", &file][..], &of].concat()).expect(1);
    assert!(done.out.contains("1  half_done"), "{}", done.out);
    unnamed(&["verify", &place.newest_id(), "--sandbox"]).expect(0);
}

#[test]
fn half_done_excludes_lines_with_an_altered_account_id() {
    let (place, _) = without_services(2);
    let file = place.file(
        "services.csv",
        "accountId,newAccountId,serviceId\nA-000000,B-000000,new-service\nA-000001,new-account,S-1\n",
    );
    place.with_world(|mut world| world.stores = Some(|id| id.to_uppercase()));
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/altered"; 2]);
    let summary = std::fs::read(place.newest().join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    // The first line's account ID is as requested, the second line's is not.
    assert_eq!(summary["counts"]["half_done"], 1, "{summary:#}");
}

#[test]
fn forecast_equals_the_number_of_calls_made_by_apply() {
    for lookup in ["each", "bulk", "auto"] {
        let (place, file) = without_services(60);
        if lookup == "auto" {
            let refused = "bulk:422".parse().unwrap();
            place.sandbox.set_faults(vec![refused]);
        }
        let plan = ["plan", &file, "--lookup", lookup, "--format", "json"];
        let plan = place.run(&plan).expect(0).json();
        let run = plan["run"].as_str().unwrap();
        place.sandbox.clear_log();
        place.run(&["apply", "--run", run, "--yes"]).expect(0);
        let made = u64::try_from(place.sandbox.log().len()).unwrap();
        assert_eq!(plan["forecast"]["calls"], made, "{lookup}");
    }
}

#[test]
fn next_command_regenerates_outdated_reports_of_a_killed_run() {
    let place = Place::plume();
    let file = place.moves(20);
    let mut killed = place.command(&["apply", &file, "--yes", "--rate", "20/s"]);
    killed.env("IDSHIFT_CRASH_AT", "20");
    assert_eq!(finish(killed.spawn().unwrap()).code, -1);
    let folder = place.newest();
    assert!(!folder.join("failures.csv").exists());
    // `failures.csv` can be read: it contains the lines that were not done, and no others.
    let failures = format!("idshift-runs/{}/failures.csv", place.newest_id());
    place.run(&["check", &failures]).expect(0);
    let rows = place.rows("failures.csv").len();
    assert!((1..20).contains(&rows), "{rows}");
    // The resume is killed, too: the reports of the first process are then incomplete.
    let mut killed = place.command(&["resume", "--rate", "20/s"]);
    killed.env("IDSHIFT_CRASH_AT", "12");
    assert_eq!(finish(killed.spawn().unwrap()).code, -1);
    place.run(&["runs"]).expect(0);
    assert!(place.rows("failures.csv").len() < rows);
    place.run(&["resume"]).expect(0);
    assert_eq!(place.rows("failures.csv").len(), 0);
    let drawn = || {
        let path = folder.join("summary.json");
        std::fs::metadata(path).unwrap().modified().unwrap()
    };
    let before = drawn();
    place.run(&["runs"]).expect(0);
    place.run(&["verify"]).expect(0);
    assert_eq!(drawn(), before, "what is current is not drawn again");
}

#[test]
fn resume_writes_no_reports_before_it_ends() {
    let place = Place::plume();
    let file = place.moves(20);
    let killed_at = |arguments: &[&str], crash_point: &str| {
        let mut killed = place.command(arguments);
        killed.env("IDSHIFT_CRASH_AT", crash_point);
        assert_eq!(finish(killed.spawn().unwrap()).code, -1);
    };
    killed_at(&["apply", &file, "--yes", "--rate", "20/s"], "20");
    killed_at(&["resume", "--rate", "20/s"], "12");
    let folder = place.newest();
    for name in ["results.csv", "failures.csv", "report.html", "summary.json"] {
        assert!(!folder.join(name).exists(), "{name}");
    }
    place.run(&["resume"]).expect(0);
    let rows = ["results.csv", "failures.csv"].map(|name| place.rows(name).len());
    assert_eq!(rows, [20, 0]);
}

#[test]
fn full_output_device_is_reported_and_the_run_finishes() {
    let place = Place::plume();
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nA-000000,B-000000\nA-9,B-9\n",
    );
    place.with_world(|mut world| world.add_plume(customer(0)));
    for arguments in [
        &["apply", &file, "--yes"][..],
        &["apply", &file, "--yes", "--format", "json"],
        &["--help"],
        &["apply", "--help"],
        &["--version"],
        &["runs", "--format", "json"],
        &["config"],
    ] {
        let idshift = place.command(arguments);
        let mut full = begun_by(&place, &idshift, &["sh"], "exec \"$0\" \"$@\" > /dev/full");
        let done = finish(full.spawn().unwrap()).expect(4);
        assert!(done.err.contains("standard output cannot be written"));
    }
    let runs = place.run(&["runs", "--format", "json"]).expect(0).json();
    for run in runs["runs"].as_array().unwrap() {
        assert_eq!(
            (&run["state"], &run["exit_code"]),
            (&"finished".into(), &1.into())
        );
    }
    place.run(&["resume"]).expect(2);
}

#[test]
fn runs_folder_name_may_look_like_a_uri() {
    let place = Place::plume();
    let file = place.moves(3);
    let runs = ["--runs-dir", "file:runs?mode=memory#x"];
    place
        .run(&[&["apply", &file, "--yes"][..], &runs].concat())
        .expect(0);
    place.run(&[&["verify"][..], &runs].concat()).expect(0);
    place
        .run(&[&["undo", "--yes"][..], &runs].concat())
        .expect(0);
    let listed = place.run(&[&["runs", "--format", "json"][..], &runs].concat());
    assert_eq!(listed.expect(0).json()["runs"].as_array().unwrap().len(), 2);
    assert!(place.path().join(runs[1]).is_dir());
}

#[test]
fn commands_on_a_real_target_require_the_system_setting() {
    let place = Place::plume();
    let file = place.moves(2);
    let unnamed = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        finish(command.env_remove("IDSHIFT_SYSTEM").spawn().unwrap())
    };
    for arguments in [
        &["plan", &file][..],
        &["apply", &file, "--yes"],
        &["reconcile", &file, "--yes"],
        &["doctor"],
    ] {
        let done = unnamed(arguments).expect(2);
        assert!(done.err.contains("the system is missing"), "{}", done.err);
        assert!(done.err.contains("--system plume"), "{}", done.err);
    }
    assert!(place.sandbox.log().is_empty());
    // A run on the sandbox says which system it takes by default.
    let tried = unnamed(&["plan", &file, "--sandbox"]).expect(0);
    assert!(tried.err.contains("the stand-in is Plume"), "{}", tried.err);
    unnamed(&["check", &file]).expect(0);
    // The system may come from an option, from a profile, or from the run.
    unnamed(&["plan", &file, "--system", "plume"]).expect(0);
    place.file("idshift.toml", "[profiles.night]\nsystem = \"plume\"\n");
    unnamed(&["apply", &file, "--yes", "--profile", "night"]).expect(0);
    std::fs::remove_file(place.path().join("idshift.toml")).unwrap();
    place.file("idshift.toml", "[profiles.night]\n");
    unnamed(&["verify"]).expect(0);
    unnamed(&["undo", "--yes"]).expect(0);
}

/// Returns the place where a plural follows the number one.
fn plural_of_one(text: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(found) = text[at..].find("1 ") {
        let begins = at + found;
        at = begins + 2;
        if text[..begins].ends_with(|c: char| c.is_alphanumeric() || ",.-:/".contains(c)) {
            continue;
        }
        let rest = &text[begins..];
        let end = rest
            .find(['\n', ',', ';', ':', '(', ')', '?'])
            .unwrap_or(rest.len());
        let words = &rest[..end];
        let plurals = [
            "lines",
            "units",
            "chains",
            "swaps",
            "cycles",
            "IDs",
            "calls",
            "writes",
            "differences",
            "changes",
            "rows",
            "are",
            "have",
            "were",
            "ask",
            "repeat",
            "e-mails",
            "locations",
        ];
        let mut own = words.split(' ').skip(1).take(4);
        if own.any(|word| plurals.contains(&word)) {
            return Some(words);
        }
    }
    None
}

#[test]
fn messages_use_the_singular_for_one() {
    assert_eq!(plural_of_one("x: 1 lines, 2 swaps"), Some("1 lines"));
    assert_eq!(plural_of_one("x: 11 lines, 1 swap"), None);
    let place = Place::plume();
    place.moves(6);
    let file = place.file("one.csv", "accountId,newAccountId\nA-000000,B-0\n");
    let swap = "accountId,newAccountId\nA-000001,A-000002\nA-000002,A-000001\nA-000003,A-000004\n\
                A-000004,B-4\nA-000005,\nA-000001,A-000002\n,,\n";
    let swap = place.file("swap.csv", swap);
    let invalid = place.file("invalid.csv", "accountId,newAccountId\nA-000000,NULL\n");
    for (arguments, code) in [
        (vec!["check", &file], 0),
        (vec!["check", &swap], 0),
        (vec!["check", &invalid], 2),
        (vec!["plan", &file], 0),
        (vec!["apply", &file, "--yes", "--max-changes", "0"], 4),
        (vec!["apply", &file, "--yes"], 0),
        (vec!["verify"], 0),
        (vec!["reconcile", &file, "--yes"], 0),
        (vec!["apply", &invalid, "--yes"], 2),
        (vec!["undo", "--yes"], 0),
        (vec!["runs"], 0),
    ] {
        let done = place.run(&arguments).expect(code);
        for text in [&done.out, &done.err] {
            assert_eq!(plural_of_one(text), None, "{arguments:?}: {text}");
        }
    }
    place.with_world(|mut world| {
        world.plume.get_mut("C-0").unwrap().account_id = "moved".into();
    });
    let differs = place.run(&["verify", "--", &place.newest_id()]).expect(3);
    assert!(
        differs.out.contains("1 difference in 1 line"),
        "{}",
        differs.out
    );
    let asked = crate::question::on_a_terminal(&place, "no", &["apply", &swap]).expect(2);
    assert_eq!(plural_of_one(&asked.out), None, "{}", asked.out);
    assert!(asked.out.contains("1 chain, 1 swap"), "{}", asked.out);
}

#[test]
fn sandbox_filled_from_a_run_is_reported_by_verify() {
    let place = Place::plume();
    let file = place.moves(2);
    let unnamed = |arguments: &[&str]| {
        let mut idshift = place.command(arguments);
        idshift.env_remove("IDSHIFT_BASE_URL");
        crate::support::finish(idshift.spawn().unwrap())
    };
    unnamed(&["apply", &file, "--sandbox", "--yes"]).expect(0);
    let verified = unnamed(&["verify", "--sandbox"]).expect(0);
    let run = place.newest_id();
    let words = format!("the stand-in is a new one, filled from the record of run {run}");
    assert!(verified.err.contains(&words), "{}", verified.err);
    let words = "on a stand-in that was filled from the record of the run";
    assert!(verified.out.contains(words), "{}", verified.out);
    // A newer run on another stand-in does not affect it.
    unnamed(&["apply", &file, "--sandbox", "--yes"]).expect(0);
    unnamed(&["undo", &run, "--sandbox", "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/"; 2]);
}
