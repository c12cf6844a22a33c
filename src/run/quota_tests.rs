//! Several clients of one target, each with its own connection to a real PostgreSQL, against a server on a real socket.

#[path = "quota_tests/api.rs"]
mod api;
#[path = "quota_tests/place.rs"]
mod place;

use super::*;
use crate::http::{
    Call, CallError, CallErrorKind, CallKind, Client, Path, Quota, Rate, Reply, Settings,
    Unreadable,
};
use api::{Api, Seen, most_within};
use place::{Place, Process};
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

async fn call(client: &Client) -> Result<u16, CallError> {
    let call = Call::get(
        CallKind::Read,
        Path::new("/api/customers").segment("7").unwrap(),
    );
    let parse = |reply: &Reply| Ok::<_, Unreadable>(reply.status);
    client.read(&call, parse).await
}

/// Makes calls from all these processes for this long, `workers` at the same time from each.
async fn calls(processes: &[&Process], workers: u32, time: Duration) {
    let end = Instant::now() + time;
    let mut set = JoinSet::new();
    for process in processes {
        for _ in 0..workers {
            let client = Arc::clone(&process.client);
            set.spawn(async move {
                while Instant::now() < end {
                    // The last calls are cut off at the end, as in a run.
                    let _ = tokio::time::timeout_at(end, call(&client)).await;
                }
            });
        }
    }
    set.join_all().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn per_second(rate: f64) -> impl FnOnce(&mut Settings) {
    move |settings| settings.find_rate = Rate::PerSecond(rate)
}

fn most_in_a_second(slots: &[i64]) -> usize {
    let within = |from: i64| {
        let second = from..from + 1_000_000;
        slots.iter().filter(|at| second.contains(*at)).count()
    };
    slots.iter().map(|from| within(*from)).max().unwrap_or(0)
}

/// How the calls of a few seconds went, by the database's clock and as they arrived.
struct Measured {
    granted: usize,
    granted_mean: f64,
    arrived: usize,
    arrived_mean: f64,
}

fn measure(rate: f64, workers: u32) -> Option<Measured> {
    let (place, api) = (Place::new()?, Api::start(|_, _| Seen::ok()));
    let processes = [(); 3].map(|()| place.process(&api, per_second(rate)));
    let all: Vec<&Process> = processes.iter().collect();
    runtime().block_on(calls(&all, workers, Duration::from_secs(5)));
    let recorded = processes
        .iter()
        .map(|process| process.rate.slots.lock().unwrap().clone());
    let mut slots: Vec<i64> = recorded.flatten().collect();
    slots.sort_unstable();
    let arrivals = api.arrivals();
    // The first and the last half second are left out.
    let mean = |calls: usize| f64::from(u32::try_from(calls).unwrap()) / 4.0 / rate;
    let four_s = slots[0] + 500_000..slots[0] + 4_500_000;
    let begun = arrivals[0] + Duration::from_millis(500);
    let four = begun..begun + Duration::from_secs(4);
    Some(Measured {
        granted: most_in_a_second(&slots),
        granted_mean: mean(slots.iter().filter(|at| four_s.contains(*at)).count()),
        arrived: most_within(&arrivals, Duration::from_secs(1)),
        arrived_mean: mean(arrivals.iter().filter(|at| four.contains(*at)).count()),
    })
}

/// The turns that are given out are always exact. Whether all are requested and used, and when the calls arrive, depends on
/// the machine. So the best of a few attempts counts, and turns that a busy machine has missed are only printed.
#[test]
fn several_processes_together_use_the_rate_without_exceeding_it() {
    for (rate, workers, granted, arrived) in [(20.0, 8, 20, 20), (500.0, 40, 500, 505)] {
        let mut seen = Vec::new();
        loop {
            let Some(now) = measure(rate, workers) else {
                return;
            };
            assert!(now.granted <= granted, "{rate}/s: {}", now.granted);
            println!(
                "{rate}/s: at most {} granted and {} arrived in a second, {:.4} granted and {:.4} used in the mean",
                now.granted, now.arrived, now.granted_mean, now.arrived_mean
            );
            if now.arrived <= arrived && now.granted_mean >= 0.98 && now.arrived_mean >= 0.7 {
                break;
            }
            seen.push((now.arrived, now.granted_mean, now.arrived_mean));
            assert!(seen.len() < 4, "{rate}/s: {seen:?}");
        }
    }
}

#[test]
fn quota_per_address_is_used_but_not_exceeded_by_all_processes() {
    const WINDOW: Duration = Duration::from_secs(3);
    let Some(place) = Place::new() else { return };
    let api = Api::start(|_, _| Seen::ok());
    let from = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        place.process(&api, |settings| {
            settings.find_rate = Rate::PerSecond(300.0);
            settings.quota = Some(Quota {
                calls: 150,
                window: WINDOW,
            });
            settings.egress = vec![address];
        })
    };
    let processes = ["127.0.0.1", "127.0.0.1", "127.0.0.2"].map(from);
    let all: Vec<&Process> = processes.iter().collect();
    runtime().block_on(calls(&all, 8, Duration::from_secs(8)));
    for address in ["127.0.0.1", "127.0.0.2"] {
        let arrivals = api.arrivals_from(address.parse().unwrap());
        let most = most_within(&arrivals, WINDOW);
        assert!((147..=150).contains(&most), "{address}: {most}");
        assert!(arrivals.len() >= 2 * 147, "{address}: {}", arrivals.len());
    }
    // A process that ends gives back the calls that it did not use.
    let counted = || {
        let sql = "SELECT coalesce(sum(calls), 0) FROM idshift.taken WHERE egress = '127.0.0.2'";
        place.psql(sql).parse::<usize>().unwrap()
    };
    drop(processes);
    let made = api.arrivals_from("127.0.0.2".parse().unwrap());
    let last = *made.last().unwrap();
    let recent = made.iter().filter(|at| **at + WINDOW * 2 > last).count();
    assert!(counted() <= recent, "{} of {recent}", counted());
}

#[test]
fn refusal_in_one_process_holds_all_until_one_call_probes() {
    let Some(place) = Place::new() else { return };
    let api = Api::start(|number, _| match number {
        40 => Seen::with(429, "Retry-After: 2\r\n", "{}"),
        _ => Seen::ok(),
    });
    let processes = [(); 3].map(|()| place.process(&api, per_second(50.0)));
    let all: Vec<&Process> = processes.iter().collect();
    runtime().block_on(calls(&all, 4, Duration::from_secs(5)));
    let arrivals = api.arrivals();
    let struck = arrivals[40];
    let since = |from: u64, to: u64| {
        let (from, to) = (
            struck + Duration::from_millis(from),
            struck + Duration::from_millis(to),
        );
        arrivals
            .iter()
            .filter(|at| (from..to).contains(*at))
            .count()
    };
    // The other processes use turns that were given out before, at most a quarter of a second ahead.
    assert_eq!(since(700, 1950), 0);
    let (first, rest) = (since(1950, 2400), since(2400, 5000));
    assert!(first <= 9, "{first}");
    assert!(rest > 20, "{rest}");
    let slow = "SELECT count(*) FROM idshift.pace WHERE slow_gap_us > gap_us";
    assert_eq!(place.psql(slow), "1", "the pace is lower for all");
}

#[test]
fn firewall_block_holds_only_its_address_in_all_processes() {
    let Some(place) = Place::new() else { return };
    let blocked: IpAddr = "127.0.0.1".parse().unwrap();
    let api = Api::start(move |number, from| match number {
        40.. if from == blocked => Seen::with(403, "Content-Type: text/html\r\n", "<html>"),
        _ => Seen::ok(),
    });
    let from = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        place.process(&api, |settings| {
            settings.find_rate = Rate::PerSecond(50.0);
            settings.egress = vec![address];
        })
    };
    let processes = ["127.0.0.1", "127.0.0.1", "127.0.0.2"].map(from);
    let all: Vec<&Process> = processes.iter().collect();
    runtime().block_on(calls(&all, 4, Duration::from_secs(5)));
    let struck = api.arrivals()[39] + Duration::from_millis(800);
    let later = |address: IpAddr| {
        let arrivals = api.arrivals_from(address);
        let held = struck..struck + Duration::from_millis(2500);
        arrivals.iter().filter(|at| held.contains(*at)).count()
    };
    assert_eq!(later(blocked), 0);
    let other = later("127.0.0.2".parse().unwrap());
    assert!(other > 50, "{other}");
}

#[test]
fn lower_of_two_rates_applies_to_both_until_a_new_rate_is_set() {
    let Some(place) = Place::new() else { return };
    let api = Api::start(|_, _| Seen::ok());
    let fast = place.process(&api, per_second(200.0));
    let slow = place.process(&api, per_second(20.0));
    runtime().block_on(async {
        for process in [&slow, &fast] {
            call(&process.client).await.unwrap();
        }
        assert_eq!(fast.client.rate(), Some(20.0));
        assert_eq!(fast.client.lower_rate(), Some((Some(200.0), 20.0)));
        assert_eq!(slow.client.lower_rate(), None);
        slow.client.set_rate(100.0);
        // The other process learns of the new rate with its next answers.
        while fast.client.rate() != Some(100.0) {
            call(&fast.client).await.unwrap();
        }
        call(&slow.client).await.unwrap();
        for process in [&slow, &fast] {
            assert_eq!(process.client.rate(), Some(100.0));
            assert_eq!(process.client.lower_rate(), None);
        }
    });
}

/// Stops or continues the server's processes of this database.
fn signal(place: &Place, signal: &str, pids: &[String]) {
    let done = Command::new("kill")
        .arg(signal)
        .args(pids)
        .status()
        .unwrap();
    assert!(done.success(), "{signal} {}", place.database);
}

fn backends(place: &Place) -> Vec<String> {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND application_name LIKE 'idshift %'",
        place.database
    );
    let pids = place.server.psql("postgres", &sql);
    pids.lines().map(str::to_owned).collect()
}

#[test]
fn no_call_is_made_while_the_database_is_frozen_then_calls_resume() {
    let Some(place) = Place::new() else { return };
    let api = Api::start(|_, _| Seen::ok());
    let process = place.process(&api, per_second(50.0));
    runtime().block_on(async {
        let processes = [&process];
        let working = calls(&processes, 4, Duration::from_secs(4));
        let watching = async {
            api.reached(30).await;
            let pids = backends(&place);
            signal(&place, "-STOP", &pids);
            let stopped = std::time::Instant::now();
            let waited = timeout(Duration::from_millis(1500), std::future::pending::<()>()).await;
            assert!(waited.is_err());
            let before = api.arrivals();
            signal(&place, "-CONT", &pids);
            // Turns that were given out before, and calls under way, end within this time.
            let late = stopped + Duration::from_millis(500);
            assert_eq!(before.iter().filter(|at| **at > late).count(), 0);
            before.len()
        };
        let ((), before) = tokio::join!(working, watching);
        let after = api.arrivals().len();
        assert!(after > before + 10, "{before} {after}");
    });
}

#[test]
fn unavailable_database_fails_the_call_and_stop_cancels_the_wait() {
    let Some(place) = Place::new() else { return };
    let api = Api::start(|_, _| Seen::ok());
    let short = |settings: &mut Settings| settings.give_up_after = Duration::from_millis(1500);
    let gives_up = place.process(&api, short);
    let stopped = place.process(&api, |_| {});
    runtime().block_on(async {
        for process in [&gives_up, &stopped] {
            call(&process.client).await.unwrap();
        }
        let pids = backends(&place);
        signal(&place, "-STOP", &pids);
        let begun = Instant::now();
        let stop = async {
            let waiting = call(&stopped.client);
            let cancel = async {
                let _ = timeout(Duration::from_millis(300), std::future::pending::<()>()).await;
                stopped.stop.cancel();
            };
            tokio::join!(waiting, cancel).0
        };
        let (why, cancelled) = tokio::join!(call(&gives_up.client), stop);
        signal(&place, "-CONT", &pids);
        let why = why.unwrap_err();
        assert_eq!(why.kind, CallErrorKind::GaveUp);
        assert!(
            why.text.contains(
                "the ledger, which controls the rate of all processes, has allowed no call for 1s500ms"
            ),
            "{why:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(cancelled.unwrap_err().kind, CallErrorKind::Cancelled);
    });
    assert_eq!(api.arrivals().len(), 2);
}

#[test]
fn limits_of_a_ledger_replace_those_of_this_machine() {
    let Some(place) = Place::new() else { return };
    let limits = SharedLimits::Ledger(place.rate());
    let (calls, rate) = SharedLimits::for_client(Some(limits), true);
    assert!(calls.is_none() && rate.is_some());
}
