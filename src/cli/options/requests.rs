//! From the options of a command to what `run` is asked for.

use super::{
    ApplyOptions, CheckOptions, PlanOptions, ReconcileOptions, ResumeOptions, RunOptions,
    UndoOptions,
};
use crate::run::{Guards, Request};

impl CheckOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            reading: self.reading.reading(),
            output: self.output.output(),
            ..Request::default()
        }
    }
}

impl PlanOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            reading: self.reading.reading(),
            sandbox: self.sandbox.request(),
            guards: Guards {
                max_failures: self.max_failures.clone(),
                ..Guards::default()
            },
            without_history: self.without_history,
            output: self.output.output(),
            ..Request::default()
        }
    }
}

impl ApplyOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            reading: self.reading.reading(),
            sandbox: self.sandbox.request(),
            guards: self.guards.guards(),
            consent: self.guards.consent(),
            plan_first: self.plan_first,
            without_history: self.without_history,
            output: self.output.output(),
        }
    }
}

impl ReconcileOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            reading: self.reading.reading(),
            sandbox: self.sandbox.request(),
            guards: self.guards.guards(),
            consent: self.guards.consent(),
            plan_first: false,
            without_history: self.without_history,
            output: self.output.output(),
        }
    }
}

impl ResumeOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            sandbox: self.sandbox.request(),
            guards: self.guards.guards(),
            consent: self.guards.consent(),
            without_history: self.without_history,
            output: self.output.output(),
            ..Request::default()
        }
    }
}

impl UndoOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            sandbox: self.sandbox.request(),
            guards: self.guards.guards(),
            consent: self.guards.consent(),
            output: self.output.output(),
            ..Request::default()
        }
    }
}

impl RunOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.target.typed(),
            sandbox: self.sandbox.request(),
            output: self.output.output(),
            ..Request::default()
        }
    }
}
