//! Calls that processes count together, over reservations in memory.

use super::*;

const QUOTA: Quota = Quota {
    calls: 1000,
    window: Duration::from_secs(300),
};

fn shared() -> Arc<dyn CallReservations> {
    Arc::new(InMemory::default())
}

fn taken_of(shared: &Arc<dyn CallReservations>) -> u32 {
    let (reservations, earlier) = Reservations::open(Arc::clone(shared), QUOTA, None).unwrap();
    std::mem::forget(reservations);
    assert!(
        earlier
            .iter()
            .all(|(wait, _)| *wait <= Duration::from_secs(305))
    );
    earlier.iter().map(|(_, calls)| calls).sum()
}

fn depart(reservations: &mut Reservations) {
    assert!(reservations.depart(1).granted);
}

#[test]
fn two_concurrent_runs_share_the_quota_and_lose_no_calls() {
    let shared = shared();
    let (mut one, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
    let (mut two, taken) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
    assert!(taken.is_empty());
    let (mut used, mut granted) = ([0, 0], [0, 0]);
    for n in 0..2000 {
        // `one` is three times as fast.
        let (which, reservations) = if n % 4 == 0 {
            (0, &mut two)
        } else {
            (1, &mut one)
        };
        used[which] = granted[which] + 1;
        granted[which] += u32::from(reservations.depart(used[which]).granted);
    }
    let all = granted[0] + granted[1];
    assert!((980..=1000).contains(&all), "{granted:?}");
    assert!(granted[0] > 100, "{granted:?}");
    // Each is told how many calls the other has taken.
    let others = two.depart(granted[0] + 1).others.unwrap();
    let others: u32 = others.iter().map(|(_, calls)| calls).sum();
    assert!((granted[1]..granted[1] + 10).contains(&others), "{others}");
    drop((one, two));
    assert_eq!(taken_of(&shared), all);
}

#[test]
fn finished_run_is_counted_with_exactly_its_calls() {
    let shared = shared();
    let (mut reservations, earlier) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
    assert!(earlier.is_empty());
    (0..123).for_each(|_| depart(&mut reservations));
    drop(reservations);
    assert_eq!(taken_of(&shared), 123);
}

#[test]
fn killed_run_counts_all_calls_plus_at_most_one_reservation() {
    let shared = shared();
    let (mut reservations, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
    for used in 1..=200 {
        depart(&mut reservations);
        let counted = taken_of(&shared);
        assert!((used..used + 10).contains(&counted), "{counted} for {used}");
    }
    // Like `kill -9`: nothing is given back.
    std::mem::forget(reservations);
    assert_eq!(taken_of(&shared), 200);
}

#[test]
fn calls_of_three_consecutive_runs_add_up() {
    let shared = shared();
    for _ in 0..3 {
        let (mut reservations, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
        (0..50).for_each(|_| depart(&mut reservations));
    }
    assert_eq!(taken_of(&shared), 150);
}

/// The table keeps only reservations that are returned unchanged.
#[test]
fn calls_before_a_reboot_still_count() {
    let shared = shared();
    let before = ReservedCalls {
        owner: 1,
        wall_ms: now().wall_ms - 1000,
        boot_ms: Some(i64::MAX / 4),
        boot_id: "an earlier boot".to_owned(),
        calls: 7,
    };
    let put = |_| vec![before.clone()];
    shared.change(None, 1, &mut { put }).unwrap();
    for _ in 0..3 {
        assert_eq!(taken_of(&shared), 7);
    }
    let mut found = Vec::new();
    let mut look = |all: Vec<ReservedCalls>| {
        found.clone_from(&all);
        all
    };
    shared.change(None, 2, &mut look).unwrap();
    assert_eq!(found, [before]);
}

#[test]
fn expired_reservation_is_replaced_by_a_new_one() {
    let shared = shared();
    let (mut reservations, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
    depart(&mut reservations);
    reservations.open.as_mut().unwrap().since = now().plus(-4000);
    reservations.own[0].until = now().plus(-1000);
    depart(&mut reservations);
    assert_eq!(reservations.own.len(), 2);
    assert_eq!(reservations.own[0].calls, 1);
    assert!(age_ms(now(), reservations.own[1].until) < 0);
}

#[test]
fn clock_jump_does_not_free_reserved_calls_early() {
    let shared = shared();
    let (reservations, _) = Reservations::open(shared, QUOTA, None).unwrap();
    let then = Stamp {
        wall_ms: 1_000_000,
        boot_ms: Some(5000),
    };
    let reservation = Reservation {
        until: then,
        calls: 1,
    };
    let whole = 301_000;
    let forward = Stamp {
        wall_ms: 9_000_000,
        boot_ms: Some(6000),
    };
    assert_eq!(reservations.left_ms(&reservation, forward), whole - 1000);
    let back = Stamp {
        wall_ms: 0,
        boot_ms: None,
    };
    assert_eq!(reservations.left_ms(&reservation, back), whole + 3000);
    let both = Stamp {
        wall_ms: 1_010_000,
        boot_ms: Some(15_000),
    };
    assert_eq!(reservations.left_ms(&reservation, both), whole - 10_000);
}
