//! The hot paths in the process: reading and checking a file, planning it, building a URL path.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use idshift::measured::{
    Accept, AccountId, Change, Extent, FirstReading, Keys, NewAccount, Path, Rules, Settings,
    Table, group as group_lines,
};
use std::fmt::Write;
use std::hint::black_box;

const LINES: u32 = 100_000;

fn change(line: u32, from: u32, to: u32) -> Change {
    Change {
        line,
        account: Some(AccountId::new(format!("A-{from:08}")).unwrap()),
        customer: None,
        reseller: None,
        new_account: NewAccount::Set(AccountId::new(format!("A-{to:08}")).unwrap()),
        location: None,
        service: None,
        profile: None,
    }
}

fn input(c: &mut Criterion) {
    let mut text = String::from("accountId,newAccountId,serviceId,note\n");
    for n in 0..LINES {
        writeln!(text, "A-{n:08},B-{n:08},S-{n},a note").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moves.csv");
    std::fs::write(&path, &text).unwrap();
    let rules = Rules {
        max_account_chars: 255,
        min_account_chars: 6,
        forbidden_in_account: "",
        forbidden_accounts: &["null"],
        has_locations: true,
        per_reseller: false,
        ids_are_guids: false,
        reseller: None,
        allow_clear: false,
        accept: Accept::default(),
        verbatim: false,
    };
    let mut group = c.benchmark_group("input");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read and check 100,000 lines", |b| {
        b.iter(|| {
            let table = Table::open(&path, "moves.csv", &Settings::default(), &rules).unwrap();
            let mut rows = 0;
            table
                .fold(|| 0, |count, _row| *count += 1, |part, _, _| rows += part)
                .unwrap();
            assert_eq!(rows, LINES);
        });
    });
    group.finish();
}

fn plan(c: &mut Criterion) {
    let apart: Vec<Change> = (0..LINES)
        .map(|n| change(n + 2, n, n + 50_000_000))
        .collect();
    let chain: Vec<Change> = (0..LINES).map(|n| change(n + 2, n, n + 1)).collect();
    let mut group = c.benchmark_group("plan");
    group.throughput(Throughput::Elements(u64::from(LINES)));
    group.bench_function("keys of 100,000 lines", |b| {
        b.iter(|| {
            let mut reading = FirstReading::default();
            let stages = reading.stages();
            let parts = apart.chunks(10_000).map(|changes| {
                let mut part = stages.part();
                for change in changes {
                    part.push(Keys::of(change));
                }
                part
            });
            for (n, part) in (1..).zip(parts) {
                reading.append(part, Extent { done: n, whole: 10 });
            }
            assert!(reading.finish().is_empty());
        });
    });
    group.bench_function("order a chain of 100,000", |b| {
        b.iter(|| assert_eq!(group_lines(chain.clone(), true).units.len(), 1));
    });
    group.finish();
}

fn address(c: &mut Criterion) {
    c.bench_function("http: a path with an odd ID", |b| {
        b.iter(|| {
            Path::new("/api/Customers")
                .segment(black_box("a/../b?c#d"))
                .unwrap()
        });
    });
}

criterion_group!(benches, input, plan, address);
criterion_main!(benches);
