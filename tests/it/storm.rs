use crate::support::{Place, customer, finish};
use idshift::sandbox::{Fault, Options};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The account ID and service ID that a customer should get; `None`: no change.
type Wish = (Option<String>, Option<String>);

const CUSTOMERS: usize = 24;

/// Makes whole permutations, so that chains, swaps and cycles of every length occur.
fn wishes(random: &mut fastrand::Rng) -> Vec<Wish> {
    let mut target: Vec<usize> = (0..CUSTOMERS).collect();
    let moving = random.usize(2..CUSTOMERS);
    random.shuffle(&mut target[..moving]);
    (0..CUSTOMERS)
        .map(|n| {
            let free = n == moving - 1 && random.bool();
            let account = if free {
                Some(format!("B-{n:06}"))
            } else {
                (target[n] != n).then(|| format!("A-{:06}", target[n]))
            };
            let service = random.bool().then(|| format!("S-{n}"));
            (account, service)
        })
        .collect()
}

fn faults(random: &mut fastrand::Rng) -> Vec<Fault> {
    let calls = ["search", "bulk", "read", "customer-patch", "location-patch"];
    let whats = [
        "429=1",
        "500",
        "503",
        "reset",
        "close",
        "truncated",
        "html",
        "500-after",
        "reset-after",
        "close-after",
        "empty",
    ];
    (0..random.usize(0..5))
        .map(|_| {
            let (call, what) = (random.choice(calls).unwrap(), random.choice(whats).unwrap());
            let every = random.usize(4..12);
            format!("{call}:{what}:every={every}").parse().unwrap()
        })
        .collect()
}

fn one(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Place::new(Options {
        bulk: random.bool(),
        ..Options::default()
    });
    place.with_world(|mut world| {
        (0..CUSTOMERS).for_each(|n| world.add_plume(customer(u32::try_from(n).unwrap())));
    });
    let wishes = wishes(&mut random);
    let mut order: Vec<usize> = (0..CUSTOMERS).collect();
    random.shuffle(&mut order);
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    let asked: Vec<usize> = order
        .into_iter()
        .filter(|n| wishes[*n] != (None, None))
        .collect();
    for n in &asked {
        let (account, service) = &wishes[*n];
        let (account, service) = (
            account.as_deref().unwrap_or(""),
            service.as_deref().unwrap_or(""),
        );
        writeln!(text, "A-{n:06},{account},{service}").unwrap();
    }
    let file = place.file("moves.csv", &text);
    place.sandbox.set_faults(faults(&mut random));
    let concurrency = random.usize(1..9).to_string();
    let apply = ["apply", &file, "--yes", "--concurrency", &concurrency];
    let resume = ["resume", "--concurrency", &concurrency];
    let (mut arguments, mut kills) = (&apply[..], random.usize(0..4));
    let done = loop {
        let mut command = place.command(arguments);
        if kills > 0 {
            command.env("IDSHIFT_CRASH_AT", random.usize(1..60).to_string());
        }
        let done = finish(command.spawn().unwrap());
        arguments = match done.code {
            -1 if kills > 0 => &resume,
            // The process was killed before the run was on the disk.
            2 if place.patches() == 0 && arguments == resume => &apply,
            _ => break done,
        };
        kills = kills.saturating_sub(1);
    };
    assert_eq!(
        done.code, 0,
        "seed {seed}: {}{}\n{text}",
        done.out, done.err
    );
    place.judge_writes();
    let after = |n: usize| {
        let (account, service) = &wishes[n];
        let account = account.clone().unwrap_or_else(|| format!("A-{n:06}"));
        (account, service.clone().unwrap_or_else(|| "old".to_owned()))
    };
    let before = |n: usize| (format!("A-{n:06}"), "old".to_owned());
    compare(&place, after, seed);
    let verdicts = place.verdicts();
    assert_eq!(verdicts.len(), asked.len(), "seed {seed}");
    assert!(
        verdicts.iter().all(|v| v == "changed/"),
        "seed {seed}: {verdicts:?}"
    );
    for (row, n) in place.rows("results.csv").iter().zip(&asked) {
        assert_eq!(row["accountId"], format!("A-{n:06}"), "the input's order");
        assert_eq!(row["idshift_account_id_before"], row["accountId"]);
        assert_eq!(row["idshift_account_id_after"], after(*n).0, "seed {seed}");
    }
    place.run(&["verify"]).expect(0);
    place.sandbox.clear_log();
    let done = place.run(&["undo", "--yes"]);
    assert_eq!(
        done.code, 0,
        "seed {seed}, undo: {}{}\n{text}",
        done.out, done.err
    );
    compare(&place, before, seed);
    place.judge_writes();
}

fn compare(place: &Place, wished: impl Fn(usize) -> (String, String), seed: u64) {
    place.with_world(|world| {
        for n in 0..CUSTOMERS {
            let customer = &world.plume[format!("C-{n}").as_str()];
            let service = customer.locations[0].service_id.as_deref().unwrap();
            let is = (customer.account_id.to_string(), service.to_owned());
            assert_eq!(is, wished(n), "seed {seed}, C-{n}");
        }
    });
}

/// `IDSHIFT_STORM=5000` sets the number of seeds.
#[test]
fn random_faults_and_kills_do_not_prevent_correct_apply_and_undo() {
    let seeds = std::env::var("IDSHIFT_STORM").map_or(16, |text| text.parse().unwrap());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        seed if seed < seeds => one(seed),
                        _ => break,
                    }
                }
            });
        }
    });
}
