//! Tests of what is folded from the writes of a ledger; the tests of the ledger's file are in `sqlite`.

mod contract;
mod net_changes;
mod net_changes_model;

use super::*;
use crate::domain::{
    AccountId, CustomerId, Line, LocationId, LocationState, Outcome, Profile, ServiceId, Status,
    Transition,
};
use tempfile::TempDir;

/// The ID of every run in these tests.
pub(super) const RUN: &str = "20261120-223015-k3f9";

pub(super) fn header() -> Header {
    Header {
        settings: "{\"rate\":\"6/s\"}".to_owned(),
        ..Header::example()
    }
}

/// A run's folder with a fresh ledger; the folder lives as long as the first value.
pub(super) fn fresh() -> (TempDir, RunDir, Ledger) {
    let base = tempfile::tempdir().unwrap();
    let dir = RunDir::create(&base.path().join("runs"), &RunId::parse(RUN).unwrap()).unwrap();
    let ledger = Ledger::create(&dir)
        .unwrap()
        .begin(&header(), None)
        .unwrap();
    (base, dir, ledger)
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub(super) fn account(text: &str) -> Option<AccountId> {
    (!text.is_empty()).then(|| AccountId::new(text).unwrap())
}

pub(super) fn spot(service: &str, profile: Option<Profile>) -> LocationState {
    LocationState {
        service: (!service.is_empty()).then(|| ServiceId::new(service).unwrap()),
        profile,
    }
}

pub(super) fn intent(unit: Line, line: Line, customer: &str, write: Write) -> Intent {
    Intent {
        unit,
        line,
        attempt: 1,
        customer: CustomerId::new(customer).unwrap(),
        reseller: None,
        write,
        correlation: format!("c-{line}"),
        at_ms: 1_795_213_815_123,
    }
}

pub(super) fn rename(before: &str, after: &str) -> Write {
    Write::Account {
        before: account(before),
        after: account(after),
        temporary: false,
    }
}

pub(super) fn full_outcome(line: Line) -> Outcome {
    Outcome {
        line,
        status: Status::Changed,
        message: "as \"wished\",\nnow".to_owned(),
        customer: Some(CustomerId::new("c1").unwrap()),
        account: Transition {
            before: account("old"),
            after: account("new"),
        },
        location: Some(LocationId::new("l1").unwrap()),
        service: Transition {
            before: None,
            after: Some(ServiceId::new("s1").unwrap()),
        },
        profile: Transition {
            before: Some(Profile::Auto),
            after: Some(Profile::SmallBusiness),
        },
        http_status: Some(200),
        attempts: 2,
        correlation: Some("c-1".to_owned()),
        finished_at_ms: 1_795_213_815_123,
        duration_ms: 42,
    }
}
