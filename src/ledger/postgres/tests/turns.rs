//! One pace and one quota for all processes: the functions of the schema, on a real server, in its own time.

use super::super::schema::creation;
use super::*;
use crate::limits::{GrantedTurns, Lane, NoTurns, TurnsAsk, TurnsGrant, TurnsWait};

const SECOND: i64 = 1_000_000;

/// A question of a process that is set to this rate.
fn ask(per_second: f64, wanted: u32) -> TurnsAsk {
    TurnsAsk {
        lane: Lane::Find,
        from: None,
        wanted,
        ahead: Duration::ZERO,
        per_second: Some(per_second),
        gap: Duration::from_secs_f64(1.005 / per_second),
        orders: None,
        late: Duration::from_millis(4),
        quota: None,
        answered: 0,
        slow: 0,
        came_late: 0,
        unused: Vec::new(),
    }
}

fn with_quota(from: &str, quota: (u32, Duration), wanted: u32) -> TurnsAsk {
    TurnsAsk {
        from: from.parse().ok(),
        quota: Some(quota),
        per_second: None,
        gap: Duration::ZERO,
        ..ask(1.0, wanted)
    }
}

fn grant(postgres: &Postgres, ask: TurnsAsk) -> TurnsGrant {
    grant_to(postgres, "one", ask)
}

fn grant_to(postgres: &Postgres, process: &str, ask: TurnsAsk) -> TurnsGrant {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let from = ask.from.map_or_else(String::new, |from| from.to_string());
    runtime
        .block_on(postgres.grant_calls("t", (process, from), ask))
        .unwrap()
}

fn turns(grant: &TurnsGrant) -> GrantedTurns {
    *grant.turns.as_ref().unwrap()
}

fn many(grant: &TurnsGrant) -> u32 {
    turns(grant).many
}

fn none(grant: TurnsGrant) -> NoTurns {
    grant.turns.unwrap_err()
}

/// Returns the time of the last turn of a grant, in microseconds.
fn last_us(grant: &TurnsGrant) -> f64 {
    let first = Duration::from_micros(u64::try_from(turns(grant).first_us).unwrap());
    first.as_secs_f64() * 1e6 + f64::from(many(grant) - 1) * turns(grant).step_us
}

fn made() -> Option<(&'static Server, String, Postgres)> {
    let made = fresh()?;
    made.2.prepare().unwrap();
    Some(made)
}

/// A sum in the statement that waits for the row's lock would be that of before the wait.
#[test]
fn concurrent_requests_never_get_more_calls_than_the_quota() {
    let Some((_, _, postgres)) = made() else {
        return;
    };
    let granted: u32 = std::thread::scope(|scope| {
        // Calls from an address that is not known count for each.
        let askers = ["", "10.0.0.1", "", "10.0.0.1", "", "10.0.0.1"].map(|from| {
            let postgres = &postgres;
            scope.spawn(move || {
                let ask = || with_quota(from, (100, Duration::from_secs(600)), 3);
                (0..10)
                    .map(|_| grant(postgres, ask()).turns.map_or(0, |turns| turns.many))
                    .sum::<u32>()
            })
        });
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });
    assert_eq!(granted, 100);
    let none = none(grant(
        &postgres,
        with_quota("", (100, Duration::from_secs(600)), 1),
    ));
    assert_eq!(none.cause, TurnsWait::Quota);
    assert!((590..=602).contains(&none.wait.as_secs()), "{none:?}");
}

#[test]
fn each_address_has_its_own_quota_and_unused_calls_are_returned() {
    let Some((_, _, postgres)) = made() else {
        return;
    };
    let quota = (10, Duration::from_secs(600));
    let one = grant(&postgres, with_quota("10.0.0.1", quota, 25));
    let two = grant(&postgres, with_quota("10.0.0.2", quota, 25));
    assert_eq!([many(&one), many(&two)], [10, 10]);
    let mut again = with_quota("10.0.0.1", quota, 25);
    again.unused = vec![
        (turns(&one).number.unwrap(), 3),
        (turns(&one).number.unwrap(), 1),
    ];
    assert_eq!(many(&grant(&postgres, again)), 4);
    // Calls that are not completed, and those that arrived late, count anew.
    let mut slow = with_quota("10.0.0.2", quota, 25);
    slow.unused = vec![(turns(&two).number.unwrap(), 6)];
    (slow.slow, slow.came_late) = (2, 1);
    assert_eq!(many(&grant(&postgres, slow)), 3);
}

#[test]
fn turns_of_all_processes_are_consecutive_and_unused_ones_are_lost() {
    let Some((server, database, postgres)) = made() else {
        return;
    };
    let other = Postgres::connect(settings(&server.address(ADMIN, &database))).unwrap();
    let mut last = 0.0;
    for n in 0..6 {
        let asks = if n % 2 == 0 { &postgres } else { &other };
        let given = grant(asks, ask(1000.0, 30));
        assert_eq!(many(&given), 30);
        let first = last_us(&given) - 29.0 * turns(&given).step_us;
        assert!(
            first >= last + turns(&given).step_us - 2.0,
            "{first} {last}"
        );
        last = last_us(&given);
        if n == 3 {
            // Nothing of this grant is used; the next turn is one gap later all the same.
            drop(given);
        }
    }
    // Never further ahead than a quarter of a second, however many wait.
    let given = grant(&postgres, ask(1000.0, 10_000));
    assert!(many(&given) <= 250, "{given:?}");
    let later = none(grant(&postgres, ask(1000.0, 1)));
    assert_eq!(later.cause, TurnsWait::Rate);
    assert!(later.wait < Duration::from_millis(300), "{later:?}");
}

#[test]
fn the_lower_of_two_rates_counts_until_its_process_is_gone() {
    let Some((server, database, postgres)) = made() else {
        return;
    };
    let other = Postgres::connect(settings(&server.address(ADMIN, &database))).unwrap();
    let (here, there) = (postgres.presence(), other.presence());
    let lowest = || grant_to(&postgres, here.name(), ask(100.0, 1)).lowest_per_second;
    assert_eq!(lowest(), Some(100.0));
    let lower = grant_to(&other, there.name(), ask(10.0, 1));
    assert!((turns(&lower).step_us - 100_500.0).abs() < 1.0, "{lower:?}");
    let both = grant_to(&postgres, here.name(), ask(100.0, 1));
    assert_eq!(both.lowest_per_second, Some(10.0));
    assert!(both.turns.map_or(true, |turns| turns.step_us > 100_000.0));
    // The rate counts as long as the lease of its process is renewed, whether the process asks or not.
    let held = format!(
        "UPDATE idshift.process SET held_until = clock_timestamp() WHERE process = '{}'",
        there.name()
    );
    let is_held = "SELECT count(*) FROM idshift.process WHERE held_until > clock_timestamp() + interval '10 s'";
    server.psql(&database, &held);
    while server.psql(&database, is_held) != "2" {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    grant_to(&other, there.name(), ask(10.0, 1));
    assert_eq!(lowest(), Some(10.0));
    // The process ends in order.
    other.leave_turns("t", there.name());
    while lowest() == Some(10.0) {
        std::thread::yield_now();
    }
    assert_eq!(lowest(), Some(100.0));
    // The process is killed: its lease is over.
    grant_to(&other, there.name(), ask(10.0, 1));
    assert_eq!(lowest(), Some(10.0));
    let name = there.name().to_owned();
    drop((there, other));
    server.psql(
        &database,
        &format!("UPDATE idshift.process SET held_until = held_until - interval '20 s' WHERE process = '{name}'"),
    );
    assert_eq!(lowest(), Some(100.0));
}

#[test]
fn manually_set_rate_applies_to_all_running_processes() {
    let Some((_, _, postgres)) = made() else {
        return;
    };
    let before = grant(&postgres, ask(1.0 / 60.0, 1));
    assert_eq!(before.ordered.0, 0);
    postgres.order_rate("t", 100.0, Duration::from_millis(10));
    // This process has not heard of the order, so its own rate does not count.
    let unaware = TurnsAsk {
        orders: Some(0),
        ..ask(1.0 / 60.0, 5)
    };
    let mut given = grant(&postgres, unaware.clone());
    while given.ordered.0 == 0 {
        given = grant(&postgres, unaware.clone());
    }
    assert_eq!(given.ordered, (1, Some(100.0)));
    assert_eq!(given.lowest_per_second, Some(100.0));
    // The next turn was far ahead; now it is one new gap after the last one.
    assert_eq!(many(&given), 5);
    // A process that begins later has its own rate.
    assert_eq!(grant(&postgres, ask(5.0, 1)).lowest_per_second, Some(5.0));
}

#[test]
fn after_a_refusal_one_call_probes_and_the_reduced_rate_climbs() {
    let Some((server, database, postgres)) = made() else {
        return;
    };
    let told = TurnsAsk {
        answered: 80,
        ..ask(100.0, 1)
    };
    grant(&postgres, told);
    postgres.hold_calls("t", Duration::from_secs(5), true, "refused", [0, 0]);
    let held = std::iter::repeat_with(|| grant(&postgres, ask(100.0, 1)))
        .find_map(|given| {
            given
                .turns
                .err()
                .filter(|none| none.cause == TurnsWait::Target)
        })
        .unwrap();
    assert!((4..=5).contains(&held.wait.as_secs()) && held.why == "refused");
    let shift = |what: &str| {
        server.psql(&database, &format!("UPDATE idshift.pace SET {what}"));
    };
    let slow = || -> f64 {
        let sql = "SELECT coalesce(slow_gap_us, 0) FROM idshift.pace";
        server.psql(&database, sql).parse().unwrap()
    };
    // A tenth below what was accepted within the last second, which was less than 80 by now.
    let first = slow();
    assert!((1e6 / 72.0..1e6 / 40.0).contains(&first), "{first}");
    shift("hold_us = hold_us - 6000000");
    let probe = grant(&postgres, ask(100.0, 9));
    assert_eq!(many(&probe), 1);
    let wait = none(grant(&postgres, ask(100.0, 9))).wait;
    assert!((100..500).contains(&wait.as_millis()), "{wait:?}");
    // The pace climbs each second: quickly, then slowly, until it is as it was.
    let mut steps = Vec::new();
    while slow() > 0.0 {
        shift("climb_us = 0, next_us = 0");
        grant(&postgres, ask(100.0, 1));
        steps.push(slow());
    }
    assert!(steps.len() > 20, "{steps:?}");
    let near = (1.005 / 100.0) / 0.85 * 1e6;
    assert!(
        steps[..3].iter().any(|gap| (gap - near).abs() < 2.0),
        "{steps:?}"
    );
}

#[test]
fn without_a_limit_refusal_of_first_call_does_not_keep_rate_low() {
    let Some((server, database, postgres)) = made() else {
        return;
    };
    let unlimited = |answered| TurnsAsk {
        per_second: None,
        gap: Duration::ZERO,
        answered,
        ..ask(1.0, 1)
    };
    grant(&postgres, unlimited(0));
    postgres.hold_calls("t", Duration::from_secs(1), true, "refused", [0, 0]);
    let pace = |sql: &str| server.psql(&database, sql);
    let slow = "SELECT coalesce(round(1e6 / slow_gap_us), 0) FROM idshift.pace";
    while pace(slow) == "0" {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(pace(slow), "10");
    pace("UPDATE idshift.pace SET hold_us = 0, probe = false");
    for _ in 0..3 {
        pace("UPDATE idshift.pace SET climb_us = 0, next_us = 0");
        grant(&postgres, unlimited(1));
    }
    assert_eq!(pace(slow), "17");
}

#[test]
fn without_a_limit_turns_begin_immediately() {
    let Some((_server, _database, postgres)) = made() else {
        return;
    };
    let asked = |quota| {
        let ask = TurnsAsk {
            ahead: Duration::from_secs(1),
            ..with_quota("", (9, Duration::from_secs(1)), 3)
        };
        let grant = grant(&postgres, TurnsAsk { quota, ..ask });
        assert_eq!(many(&grant), 3);
        turns(&grant).first_us - grant.now_us
    };
    assert_eq!(asked(None), 0);
    assert_eq!(asked(Some((9, Duration::from_secs(1)))), SECOND);
}

#[test]
fn hold_without_success_doubles_and_does_not_lower_the_rate_again() {
    let Some((server, database, postgres)) = made() else {
        return;
    };
    let told = TurnsAsk {
        answered: 50,
        ..ask(100.0, 1)
    };
    grant(&postgres, told);
    let row = |column: &str| -> i64 {
        let sql = format!("SELECT {column}::bigint FROM idshift.pace");
        server.psql(&database, &sql).parse().unwrap()
    };
    let mut slow = None;
    for longest in [1, 2, 4, 8] {
        postgres.hold_calls("t", Duration::from_secs(1), true, "refused", [0, 0]);
        // The holds come on other connections.
        while row("held_for_us") < longest * SECOND {
            std::thread::yield_now();
        }
        assert_eq!(row("held_for_us"), longest * SECOND);
        assert_eq!(
            *slow.get_or_insert_with(|| row("slow_gap_us")),
            row("slow_gap_us")
        );
        // Another process heard the same refusal: the hold is known.
        let until = row("hold_us");
        postgres.hold_calls("t", Duration::ZERO, true, "refused again", [0, 0]);
        while server.psql(&database, "SELECT why FROM idshift.pace") != "refused again" {
            std::thread::yield_now();
        }
        // The hold is over, and the pace does not climb yet, however long this test has to wait for the server.
        server.psql(
            &database,
            "UPDATE idshift.pace SET hold_us = hold_us - held_for_us - 100000, next_us = 0, success_us = 0, climb_us = NULL",
        );
        assert!(row("hold_us") < until);
        grant(&postgres, ask(100.0, 1));
    }
}

#[test]
fn firewall_block_holds_only_its_own_address() {
    let Some((_, _, postgres)) = made() else {
        return;
    };
    let from = |address: &str| TurnsAsk {
        from: address.parse().ok(),
        ..ask(1000.0, 1)
    };
    grant(&postgres, from("10.0.0.1"));
    postgres.hold_calls_from("t", "10.0.0.1", Duration::from_secs(5), "blocked");
    let held = std::iter::repeat_with(|| grant(&postgres, from("10.0.0.1")))
        .find_map(|given| given.turns.err())
        .unwrap();
    assert_eq!(
        (held.cause, held.why.as_str()),
        (TurnsWait::Address, "blocked")
    );
    assert!(held.wait > Duration::from_secs(3));
    assert_eq!(many(&grant(&postgres, from("10.0.0.2"))), 1);
}

#[test]
fn setting_back_the_server_clock_delays_calls_by_about_a_second() {
    let Some((server, database, postgres)) = made() else {
        return;
    };
    grant(&postgres, ask(100.0, 1));
    server.psql(
        &database,
        "UPDATE idshift.pace SET next_us = next_us + 3600000000",
    );
    let wait = none(grant(&postgres, ask(100.0, 1))).wait;
    assert!(wait <= Duration::from_millis(1100), "{wait:?}");
}

/// Its rights are those of the SQL that an administrator runs.
#[test]
fn a_role_that_may_only_use_the_tables_gets_calls() {
    let Some((server, database, _)) = fresh() else {
        return;
    };
    let role = format!("asks_{database}");
    server.psql(&database, &format!("CREATE ROLE {role} LOGIN"));
    server.psql(&database, &creation(&role));
    let postgres = Postgres::connect(settings(&server.address(&role, &database))).unwrap();
    let quota = (10, Duration::from_secs(60));
    assert_eq!(many(&grant(&postgres, with_quota("", quota, 3))), 3);
}
