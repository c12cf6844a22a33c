//! Which runs there are, and which process works on what.

use super::*;

pub(super) fn run_is_listed_only_after_it_has_begun(kept: &Kept) {
    let run = RunId::new(1_795_213_815_000);
    let (dir, mut new) = kept.runs.create(&run).unwrap();
    for line in 2..3000 {
        new.put(&full_outcome(line)).unwrap();
    }
    // The last outcome of a line counts.
    new.put(&Outcome::bare(2, Status::WouldChange)).unwrap();
    assert!(
        kept.again().open(&dir, Check::Whole).is_err(),
        "no header is on record"
    );
    let header = Header {
        run: run.to_string(),
        ..header()
    };
    let ledger = new.begin(&header, None).unwrap();
    assert_eq!(ledger.header(), &header);
    assert_eq!(
        kept.again()
            .open(&dir, Check::Whole)
            .unwrap()
            .outcomes()
            .count(),
        2998
    );
    assert_eq!(
        ledger.outcome_of(2).unwrap().unwrap().status,
        Status::WouldChange
    );
    let listed = |kept: &Kept| -> Vec<String> {
        let all = kept.again().list().unwrap();
        let there = all.iter().map(|run| match run {
            ListedRun::There(dir, _) => dir.run().to_string(),
            other => panic!("{other:?}"),
        });
        there.collect()
    };
    assert_eq!(listed(kept), [run.to_string()]);
    // This run is dropped before it is begun.
    let other = RunId::new(1_795_213_816_000);
    let (dir, mut draft) = kept.runs.create(&other).unwrap();
    draft.put(&full_outcome(2)).unwrap();
    drop(draft);
    std::fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(listed(kept), [run.to_string()]);
}

/// What a list has read of a run is not used once it is out of date.
pub(super) fn outdated_list_data_of_a_run_is_not_used(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let other = kept.again();
    let glimpse = |list: bool| {
        if list {
            other.list().unwrap();
        }
        let ledger = other.open(&dir, Check::Short).unwrap();
        let sessions = ledger.sessions().unwrap().len();
        let customer = ledger.any_customer().unwrap().map(|(customer, _)| customer);
        let renames = ledger.has_renames().unwrap();
        (sessions, customer, renames, ledger.header().run.clone())
    };
    let run = dir.run().to_string();
    assert_eq!(glimpse(true), (0, None, false, run.clone()));
    other.list().unwrap();
    other.open(&dir, Check::Short).unwrap();
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    let noted = journal.intend(intent(2, 2, "c1", rename("a", "b")));
    runtime().block_on(noted).unwrap();
    drop(journal);
    thread.join();
    for list in [false, true, true, false] {
        let told = glimpse(list);
        assert_eq!(
            told,
            (1, Some("c1".to_owned()), true, run.clone()),
            "{list}"
        );
    }
}

pub(super) fn one_run_at_a_time_holds_a_target(kept: &Kept) {
    let other = kept.again();
    let first = kept
        .runs
        .hold(&["plume https://a", "plume https://b"], "one")
        .unwrap();
    for targets in [
        vec!["plume https://b"],
        vec!["plume https://c", "plume https://a"],
    ] {
        let why = other.hold(&targets, "two").unwrap_err();
        let LedgerError::Held {
            holder, free_in, ..
        } = &why
        else {
            panic!("{why}");
        };
        assert_eq!(
            (holder.run.as_str(), holder.pid),
            ("one", std::process::id())
        );
        assert_eq!((&holder.host, free_in), (&host(), &None));
    }
    let beside = other
        .hold(&["plume https://c"], "two")
        .expect("what was refused holds nothing");
    drop(first);
    let after = other
        .hold(&["plume https://a", "plume https://a"], "two")
        .expect("it is free");
    drop((beside, after));
}

pub(super) fn epochs_rise_across_processes(kept: &Kept) {
    let other = kept.again();
    let hold = kept.runs.hold(&["plume https://a"], "one").unwrap();
    let first = kept.runs.next_epoch(7).unwrap();
    let second = other.next_epoch(0).unwrap();
    let third = kept.runs.next_epoch(0).unwrap();
    assert!(
        first > 7 && second > first && third > second,
        "{first} {second} {third}"
    );
    drop(hold);
}

pub(super) fn registered_run_is_listed_with_its_data(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let registered = RegisteredRun {
        path: dir.absolute(),
        run: dir.run().to_string(),
        system: "plume".to_owned(),
        target: ledger.header().target.clone(),
        epoch: 9,
        renames: true,
        customer: Some(("C-1".to_owned(), Some("own".to_owned()))),
    };
    let known = |kept: &Kept| match &kept.again().list().unwrap()[..] {
        [ListedRun::There(_, known)] => known.clone(),
        other => panic!("{other:?}"),
    };
    kept.runs.register(&registered).unwrap();
    assert_eq!(known(kept), Some(registered));
    assert!(kept.again().has(&dir) && kept.again().has_begun(&dir));
    kept.runs.discard(&dir).unwrap();
    assert!(kept.again().list().unwrap().is_empty());
    assert!(!kept.again().has(&dir) && !dir.path().exists());
}

pub(super) fn sameness_of_systems_is_symmetric_but_difference_is_not(kept: &Kept) {
    let (yes, no) = (
        Sameness {
            same: true,
            epoch: 3,
        },
        Sameness {
            same: false,
            epoch: 3,
        },
    );
    assert_eq!(kept.runs.sameness("a", "b").unwrap(), None);
    kept.runs.set_sameness("a", "b", yes).unwrap();
    kept.runs.set_sameness("a", "c", no).unwrap();
    let other = kept.again();
    assert_eq!(other.sameness("b", "a").unwrap(), Some(yes));
    assert_eq!(other.sameness("a", "c").unwrap(), Some(no));
    assert_eq!(other.sameness("c", "a").unwrap(), None);
}
