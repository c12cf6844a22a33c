use crate::support::{Done, Place, customer, finish};
use idshift::sandbox::{Class, Kind, Options};
use std::fmt::Write as _;

/// The lines of each kind; the table shows calls per line.
const LINES: u32 = 200;

const HEADER: &str = "accountId,newAccountId,customerId,locationId,serviceId\n";

/// A kind of line, and the function that makes its n-th line.
type Line = (&'static str, fn(u32) -> String);

const PLUME: [Line; 10] = [
    ("rename", |n| format!("A-{n:06},B-{n:06},,,\n")),
    ("rename and service ID", |n| {
        format!("A-{n:06},B-{n:06},,,S-{n}\n")
    }),
    ("service ID", |n| format!("A-{n:06},,,L-{n},S-{n}\n")),
    ("rename, by customer ID", |n| format!(",B-{n:06},C-{n},,\n")),
    ("already as wished", |n| {
        format!("A-{n:06},A-{n:06},,L-{n},old\n")
    }),
    ("renamed by an earlier run", |n| {
        format!("old-{n:06},A-{n:06},,,\n")
    }),
    ("no customer has this ID", |n| {
        format!("N-{n:06},B-{n:06},,,\n")
    }),
    ("the new ID is taken", |n| {
        format!("A-{n:06},A-{:06},,,\n", n + 1000)
    }),
    ("swap of two", |n| format!("A-{n:06},A-{:06},,,\n", n ^ 1)),
    ("chain", |n| {
        format!(
            "A-{n:06},A-{:06},,,\n",
            if n + 1 < LINES { n + 1 } else { 9999 }
        )
    }),
];

const OTHERS: [Line; 4] = [
    ("rename", |n| format!("A-{n:06},B-{n:06},,,\n")),
    ("already as wished", |n| format!("A-{n:06},A-{n:06},,,\n")),
    ("renamed by an earlier run", |n| {
        format!("old-{n:06},A-{n:06},,,\n")
    }),
    ("no customer has this ID", |n| {
        format!("N-{n:06},B-{n:06},,,\n")
    }),
];

fn run(place: &Place, kind: Kind, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    match kind {
        Kind::Plume => {}
        Kind::Adobe => {
            let names = [
                ("SYSTEM", "adobe"),
                ("API_KEY", "k"),
                ("RESELLER_ID", "R1"),
                ("ACCEPT_WELCOME_EMAILS", "true"),
            ];
            command.envs(names.map(|(name, value)| (format!("IDSHIFT_{name}"), value)));
        }
        Kind::CloudCockpit => {
            let names = [
                ("SYSTEM", "cloudcockpit"),
                ("TENANT", "portal.example"),
                ("RESELLER_ID", "own"),
            ];
            command.envs(names.map(|(name, value)| (format!("IDSHIFT_{name}"), value)));
        }
    }
    finish(command.spawn().unwrap())
}

/// Makes a stand-in with customers, and a file with lines of one kind.
fn place(kind: Kind, line: fn(u32) -> String) -> (Place, String) {
    let place = Place::new(Options {
        kind,
        ..Options::default()
    });
    place.with_world(|mut world| {
        for n in (0..LINES).chain(1000..1000 + LINES) {
            match kind {
                Kind::Plume => world.add_plume(customer(n)),
                Kind::Adobe => world.add_adobe(&format!("C-{n}"), &format!("A-{n:06}"), "R1", 1),
                Kind::CloudCockpit => {
                    world.add_cockpit(
                        &format!("00000000-0000-4000-8000-{n:012}"),
                        "",
                        &format!("A-{n:06}"),
                    );
                }
            }
        }
    });
    let lines: String = (0..LINES).map(line).collect();
    // Only Plume has locations.
    let text = match kind {
        Kind::Plume => format!("{HEADER}{lines}"),
        Kind::Adobe | Kind::CloudCockpit => {
            format!("accountId,newAccountId\n{}", lines.replace(",,,\n", "\n"))
        }
    };
    let file = place.file("lines.csv", &text);
    (place, file)
}

/// Returns `searches + reads + writes` per line, since the log was last cleared.
fn told(place: &Place) -> String {
    let log = place.sandbox.log();
    let per_line = |classes: &[Class]| {
        let calls = log
            .iter()
            .filter(|seen| classes.contains(&seen.class))
            .count();
        let hundredths = (calls * 100).div_ceil(LINES as usize);
        match hundredths % 100 {
            0 => (hundredths / 100).to_string(),
            rest => format!("{}.{rest:02}", hundredths / 100),
        }
    };
    place.sandbox.clear_log();
    format!(
        "{} + {} + {}",
        per_line(&[Class::Search, Class::Bulk]),
        per_line(&[Class::Read]),
        per_line(&[Class::CustomerPatch, Class::LocationPatch])
    )
}

/// Returns the table row of a kind of line: a plan and its apply, an apply, the same apply again.
fn row(kind: Kind, name: &str, lookup: &str, line: fn(u32) -> String) -> String {
    let (looked_at, file) = place(kind, line);
    let plan = run(
        &looked_at,
        kind,
        &["plan", &file, "--lookup", lookup, "--max-failures=100%"],
    );
    assert!(
        matches!(plan.code, 0 | 1),
        "{name}: {}{}",
        plan.out,
        plan.err
    );
    let planned = told(&looked_at);
    let id = looked_at.newest_id();
    run(
        &looked_at,
        kind,
        &[
            "apply",
            "--run",
            &id,
            "--yes",
            "--lookup",
            lookup,
            "--max-failures=100%",
        ],
    );
    let carried_out = told(&looked_at);
    let (applied_at, file) = place(kind, line);
    let apply = [
        "apply",
        &file,
        "--yes",
        "--lookup",
        lookup,
        "--max-failures=100%",
    ];
    run(&applied_at, kind, &apply);
    let applied = told(&applied_at);
    run(&applied_at, kind, &apply);
    let again = told(&applied_at);
    format!("| {name} | {applied} | {again} | {planned} | {carried_out} |\n")
}

fn table() -> String {
    let mut table = String::new();
    let mut section = |title: &str, kind, lookup, lines: &[Line]| {
        writeln!(table, "\n| {title} | `apply` | `apply` again | `plan` | `apply --run` |\n| --- | --- | --- | --- | --- |").unwrap();
        let rows: Vec<String> = std::thread::scope(|scope| {
            let rows: Vec<_> = lines
                .iter()
                .map(|(name, line)| scope.spawn(move || row(kind, name, lookup, *line)))
                .collect();
            rows.into_iter().map(|row| row.join().unwrap()).collect()
        });
        table.push_str(&rows.concat());
    };
    section("Plume, found in bulk", Kind::Plume, "auto", &PLUME);
    section("Plume, searched singly", Kind::Plume, "each", &PLUME);
    section("Adobe VIP Marketplace", Kind::Adobe, "auto", &OTHERS);
    section("CloudCockpit", Kind::CloudCockpit, "auto", &OTHERS);
    table
}

/// `UPDATE_DOCS=1` rewrites the table.
#[test]
fn documented_calls_per_line_match_the_actual_calls() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (before, rest) = document
        .split_once("<!-- calls per line: tests/it/calls.rs -->\n")
        .unwrap();
    let (written, after) = rest.split_once("\n<!-- end -->").unwrap();
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let marker = "<!-- calls per line: tests/it/calls.rs -->";
        std::fs::write(
            path,
            format!("{before}{marker}\n{table}\n<!-- end -->{after}"),
        )
        .unwrap();
    } else {
        assert_eq!(written, table);
    }
}
