//! The HTML report of a run: who and when, the forecast beside the result, and the lines.

use crate::support::{Done, Place, finish};

fn run_in(zone: &str, place: &Place, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command.env("TZ", zone);
    finish(command.spawn().unwrap())
}

fn page(place: &Place) -> String {
    std::fs::read_to_string(place.newest().join("report.html")).unwrap()
}

/// Returns the value of a fact on the page.
fn fact(page: &str, name: &str) -> String {
    let after = page.split(&format!("<dt>{name}</dt><dd>")).nth(1);
    let value = after.unwrap_or_else(|| panic!("no {name}: {page}"));
    value.split("</dd>").next().unwrap().to_owned()
}

/// Returns a row of the comparison: the forecast, and the result.
fn compared(page: &str, name: &str) -> Vec<u64> {
    let after = page.split(&format!("<th scope=\"row\">{name}</th>")).nth(1);
    let row = after.unwrap_or_else(|| panic!("no {name}: {page}"));
    let cells = row.split("</tr>").next().unwrap().split("<td>").skip(1);
    cells
        .map(|cell| cell.split('<').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn report_times_keep_the_time_zone_in_which_the_run_began() {
    let place = Place::plume();
    let file = place.moves(3);
    run_in("Asia/Dubai", &place, &["apply", &file, "--yes"]).expect(0);
    let first = page(&place);
    assert!(fact(&first, "Began").ends_with(" +04:00"), "{first}");
    assert!(fact(&first, "Ended").ends_with(" +04:00"), "{first}");
    let (user, host) = fact(&first, "Begun by")
        .split_once(" on ")
        .map(|(user, host)| (user.to_owned(), host.to_owned()))
        .unwrap();
    assert!(!user.is_empty() && !host.is_empty(), "{user} {host}");
    run_in("America/New_York", &place, &["report"]).expect(0);
    assert_eq!(page(&place), first);
}

#[test]
fn report_of_an_applied_plan_shows_forecast_and_result() {
    let place = Place::plume();
    let file = place.moves(7);
    place.run(&["plan", &file]).expect(0);
    let planned = page(&place);
    assert!(planned.contains("<h1>Plan: 7 of 7 lines would change</h1>"));
    assert!(planned.contains("Old → new, line by line"), "{planned}");
    assert_eq!(compared(&planned, "Calls to write"), [7]);
    let run = place.newest_id();
    place.run(&["apply", "--run", &run, "--yes"]).expect(0);
    let done = page(&place);
    assert!(done.contains("<h1>Finished: 7 of 7 lines changed</h1>"));
    // The result does not include the calls of the plan.
    assert_eq!(compared(&done, "Calls to write"), [7, 7]);
    let calls = place.sandbox.log().len();
    let all = compared(&done, "All calls");
    assert!(all[1] < calls as u64, "{all:?} of {calls}");
    fact(&done, "Planned");
}

#[test]
fn report_shows_a_forecast_for_apply_without_plan_and_for_undo() {
    let place = Place::plume();
    let file = place.moves(5);
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--canary",
            "2",
            "--max-failures",
            "20%",
        ])
        .expect(0);
    let done = page(&place);
    assert_eq!(compared(&done, "Calls to write"), [5, 5]);
    assert_eq!(
        fact(&done, "Guards"),
        "verifies the first 2 units before it continues; stops when more than 20% of the lines fail"
    );
    place.run(&["undo", "--yes"]).expect(0);
    let undone = page(&place);
    assert!(
        undone.contains("<h1>Undo finished: 5 of 5 lines changed</h1>"),
        "{undone}"
    );
    assert_eq!(compared(&undone, "Calls to write"), [5, 5]);
    assert_eq!(
        fact(&undone, "Undoes run"),
        format!("<code>{}</code>", runs(&place)[0])
    );
}

fn runs(place: &Place) -> Vec<String> {
    let runs = std::fs::read_dir(place.path().join("idshift-runs")).unwrap();
    let mut runs: Vec<String> = runs
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("20"))
        .collect();
    runs.sort();
    runs
}

#[test]
fn html_report_escapes_markup_in_values() {
    let place = Place::plume();
    place.moves(2);
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\n\"<img src=x onerror=alert(1)>\",B-1\nA-000001,B-000001\n",
    );
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--accept",
            "placeholder,html_entity",
        ])
        .expect(1);
    let page = page(&place);
    assert!(!page.contains("<img"), "{page}");
    assert!(page.contains("&lt;img src=x"), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
}

/// A run that was carried out on one target says nothing of another target, on which there is only a plan.
#[test]
fn report_without_a_run_id_is_refused_for_runs_on_several_targets() {
    let (place, other) = (Place::plume(), Place::plume());
    let file = place.moves(3);
    other.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let applied = place.newest_id();
    place.run(&["plan", &file]).expect(0);
    let mut report = place.command(&["report"]);
    let done = finish(report.env_remove("IDSHIFT_BASE_URL").spawn().unwrap()).expect(0);
    assert!(done.out.contains(&applied), "{}", done.out);
    place
        .run_with(&[("BASE_URL", &other.sandbox.base_url())], &["plan", &file])
        .expect(0);
    let mut report = place.command(&["report"]);
    let done = finish(report.env_remove("IDSHIFT_BASE_URL").spawn().unwrap()).expect(2);
    for words in [&applied, "runs on several targets"] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
}
