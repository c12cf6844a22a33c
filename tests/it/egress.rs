//! Calls from several local addresses: each has its own quota, all share one rate, and a block of one address does not
//! block all.

use crate::support::{Done, Place, begun_by, finish};
use idshift::sandbox::{Options, Seen};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const BOTH: &str = "127.0.0.1,127.0.0.2";

fn apply(place: &Place, egress: &str, arguments: &[&str]) -> Done {
    let all = [&["apply", "moves.csv", "--yes"], arguments].concat();
    place.run_with(&[("EGRESS", egress)], &all)
}

/// Returns when the calls of each address arrived, in order.
fn by_address(log: &[Seen]) -> BTreeMap<IpAddr, Vec<Duration>> {
    let mut calls: BTreeMap<IpAddr, Vec<Duration>> = BTreeMap::new();
    for seen in log {
        calls.entry(seen.peer.unwrap()).or_default().push(seen.at);
    }
    for times in calls.values_mut() {
        times.sort_unstable();
    }
    calls
}

/// Returns the most calls in any window of this length.
fn most_within(times: &[Duration], window: Duration) -> usize {
    let within = |(at, first): (usize, &Duration)| {
        let later = times[at..].iter();
        later.take_while(|time| **time < *first + window).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

#[test]
fn each_address_has_a_quota_of_its_own_and_uses_it() {
    let (quota, window) = (60, Duration::from_secs(3));
    let place = Place::new(Options {
        firewall: Some((quota, window)),
        ..Options::default()
    });
    place.moves(500);
    apply(&place, BOTH, &["--quota=60/3s"]).expect(0);
    place.judge_writes();
    let log = place.sandbox.log();
    assert!(log.iter().all(|seen| seen.status != 403), "blocked");
    let calls = by_address(&log);
    assert_eq!(calls.len(), 2);
    let begun = log.iter().map(|seen| seen.at).min().unwrap();
    for (address, times) in calls {
        let most = most_within(&times, window);
        assert!(most <= quota as usize, "{address}: {most}");
        // The fourth use of the quota is possible three windows after the first.
        let until = begun + window * 3 + window * 9 / 10;
        let used = times.iter().filter(|time| **time < until).count();
        assert!(used * 100 >= 4 * quota as usize * 98, "{address}: {used}");
    }
}

#[test]
fn the_rate_is_for_all_addresses_together() {
    let place = Place::plume();
    place.moves(150);
    apply(&place, BOTH, &["--rate=40/s", "--quota=1000/1m"]).expect(0);
    let log = place.sandbox.log();
    let calls = by_address(&log);
    let mut all: Vec<Duration> = calls.values().flatten().copied().collect();
    all.sort_unstable();
    let most = most_within(&all, Duration::from_secs(1));
    assert!(most <= 41, "{most}");
    let shares: Vec<usize> = calls.values().map(Vec::len).collect();
    assert!(shares.len() == 2 && shares.iter().all(|calls| calls * 3 > all.len()));
}

#[test]
fn blocked_address_does_not_delay_the_other_address() {
    let place = Place::plume();
    place.moves(200);
    let faults = ["any:firewall:from=127.0.0.2".parse().unwrap()];
    place.sandbox.set_faults(faults.to_vec());
    apply(&place, BOTH, &["--rate=50/s"]).expect(0);
    place.judge_writes();
    assert_eq!(place.verdicts(), vec!["changed/"; 200]);
    let mut calls = by_address(&place.sandbox.log()).into_values();
    let (good, blocked) = (calls.next().unwrap(), calls.next().unwrap());
    // After the block began, the address gets at most one call for each that was under way, and then one for each time
    // that it is tried.
    assert!((1..10).contains(&blocked.len()), "{blocked:?}");
    let pause = good.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max();
    assert!(pause < Some(Duration::from_secs(3)), "{pause:?}");
}

#[test]
fn an_address_is_used_again_once_its_block_is_over() {
    let place = Place::new(Options {
        // The firewall allows 30 calls in eight seconds for each address, and the program does not know that.
        firewall: Some((30, Duration::from_secs(8))),
        ..Options::default()
    });
    place.moves(110);
    apply(&place, BOTH, &["--rate=20/s"]).expect(0);
    place.judge_writes();
    assert_eq!(place.verdicts(), vec!["changed/"; 110]);
    let log = place.sandbox.log();
    for address in ["127.0.0.1", "127.0.0.2"] {
        let address: Option<IpAddr> = address.parse().ok();
        let good = log.iter();
        let good = good.filter(|seen| seen.peer == address && seen.status != 403);
        assert!(good.count() > 30, "{address:?}");
    }
    let refused = log.iter().filter(|seen| seen.status == 403).count();
    assert!(refused < 30, "{refused}");
}

/// The program runs in its own network name space, in which the test can remove addresses.
#[test]
fn run_continues_if_one_address_is_removed() {
    let place = Place::plume();
    place.moves(240);
    let arguments =
        "apply moves.csv --yes --json --sandbox --rate 60/s --egress 10.9.9.1 --egress 10.9.9.2";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut idshift = place.command(&arguments);
    idshift.env_remove("IDSHIFT_BASE_URL");
    let addresses =
        "ip link set lo up && ip addr add 10.9.9.1/32 dev lo && ip addr add 10.9.9.2/32 dev lo";
    let shell = ["unshare", "-rn", "sh"];
    let may = begun_by(&place, &idshift, &shell, addresses).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("NOT RUN: no name spaces, or no `ip`");
        return;
    }
    let script = format!(
        "{addresses} && (sleep 1.5; ip addr del 10.9.9.2/32 dev lo) & wait_for=$!; sleep 0.3; \"$0\" \"$@\"; code=$?; wait $wait_for; exit $code"
    );
    let mut shell = begun_by(&place, &idshift, &shell, &script);
    let done = finish(shell.spawn().unwrap()).expect(0);
    let summary = done.json();
    assert_eq!(summary["counts"]["changed"], 240);
    // Calls under way were repeated, and one each time that the address was tried.
    let repeated = summary["calls"]["retried"].as_u64().unwrap();
    assert!(repeated < 20, "{repeated}");
}

#[test]
fn retry_after_holds_calls_from_all_addresses() {
    let place = Place::plume();
    place.moves(60);
    let faults = ["patch:429=2:nth=20".parse().unwrap()];
    place.sandbox.set_faults(faults.to_vec());
    apply(&place, BOTH, &["--rate=100/s"]).expect(0);
    place.judge_writes();
    let log = place.sandbox.log();
    let held = log.iter().find(|seen| seen.status == 429).unwrap().at;
    // Calls that were already under way are answered within that time.
    let (from, until) = (
        held + Duration::from_millis(300),
        held + Duration::from_millis(1900),
    );
    let meanwhile = log.iter().filter(|seen| seen.at > from && seen.at < until);
    assert_eq!(meanwhile.count(), 0);
}

#[test]
fn quota_of_each_address_is_kept_after_a_kill_and_resume() {
    let window = Duration::from_secs(5);
    let place = Place::plume();
    place.moves(260);
    place.file(
        "idshift.toml",
        "[profiles.p]\negress = [\"127.0.0.1\", \"127.0.0.2\"]\nquota = \"100/5s\"\n",
    );
    let begin = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("IDSHIFT_PROFILE", "p").spawn().unwrap()
    };
    let mut child = begin(&["apply", "moves.csv", "--yes", "--rate=60/s"]);
    while place.patches() < 90 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    finish(child);
    let done = finish(begin(&["resume", "--yes", "--rate=unlimited"])).expect(0);
    place.judge_writes();
    assert_eq!(place.verdicts(), vec!["changed/"; 260], "{}", done.err);
    for (address, times) in by_address(&place.sandbox.log()) {
        let most = most_within(&times, window);
        assert!(most <= 100, "{address}: {most}");
    }
}

#[test]
fn unusable_egress_addresses_are_refused_before_the_first_call() {
    let place = Place::plume();
    place.moves(3);
    for (egress, words) in [
        ("10.0.0", "`10.0.0` is not an IP address"),
        ("localhost", "`localhost` is not an IP address"),
        (
            "127.0.0.1,127.0.0.2,127.0.0.1",
            "`127.0.0.1` is listed twice",
        ),
        (
            "127.0.0.1,::ffff:127.0.0.1",
            "`::ffff:127.0.0.1` is listed twice",
        ),
        (
            "0.0.0.0",
            "`0.0.0.0` is not the address of a single machine",
        ),
        (
            "127.0.0.1,192.0.2.77",
            "192.0.2.77: this machine has no such address",
        ),
        ("2001:db8::77", "2001:db8::77: "),
    ] {
        let done = apply(&place, egress, &[]).expect(2);
        assert!(done.err.contains(words), "{egress}: {}", done.err);
        assert!(done.err.contains("egress"), "{egress}: {}", done.err);
    }
    if std::net::UdpSocket::bind(("::1", 0)).is_ok() {
        let done = apply(&place, "::1", &[]).expect(2);
        assert!(done.err.contains("IPv4 addresses only"), "{}", done.err);
    }
    assert_eq!(place.sandbox.log().len(), 0);
    let runs = std::fs::read_dir(place.path().join("idshift-runs")).unwrap();
    assert_eq!(runs.count(), 0, "a run was made");
}

#[test]
fn doctor_shows_each_address() {
    let place = Place::plume();
    let both = [("EGRESS", BOTH), ("QUOTA", "100/5m")];
    let done = place.run_with(&both, &["doctor"]).expect(0);
    assert!(done.out.contains("calls can be sent from 127.0.0.1"));
    assert!(done.out.contains("calls can be sent from 127.0.0.2"));
    assert!(done.out.contains("100/5m from each of 2 addresses"));
    let bad = [("EGRESS", "127.0.0.1,192.0.2.77")];
    let done = place.run_with(&bad, &["doctor"]).expect(2);
    assert!(
        done.out
            .contains("192.0.2.77: this machine has no such address")
    );
}
