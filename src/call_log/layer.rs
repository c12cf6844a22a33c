//! Passes the events that this program reports through `tracing` to the file and to the user.

use super::file::LogFile;
use super::record::{Fields, Record};
use std::sync::{PoisonError, RwLock};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// The beginning of all `tracing` targets of this program. The libraries report headers and bodies, so theirs are
/// ignored.
const OWN: &str = "idshift::";

/// The run that this process works on.
static RUN: RwLock<String> = RwLock::new(String::new());

/// Shows a record to the user.
type Show = dyn Fn(&Record) + Send + Sync;

/// The destinations of records.
pub struct Sinks {
    /// The file, which gets all records.
    pub file: Option<LogFile>,
    /// The level up to which records are shown to the user.
    pub shown: LevelFilter,
    /// Shows a record.
    pub show: Box<Show>,
    /// Reports a problem with the file, such as a failure to write.
    pub warn: fn(&str),
}

impl Sinks {
    fn most(&self) -> LevelFilter {
        match &self.file {
            Some(_) => LevelFilter::DEBUG,
            None => self.shown,
        }
    }
}

/// Starts the log, for as long as the process runs; only the first call has an effect.
pub fn start(sinks: Sinks) {
    if sinks.most() == LevelFilter::OFF {
        return;
    }
    // An error means that the log was already started.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(Layer(sinks)));
}

/// Sets the run of all later records.
pub fn of_run(run: &str) {
    let mut named = RUN.write().unwrap_or_else(PoisonError::into_inner);
    run.clone_into(&mut named);
}

struct Layer(Sinks);

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Layer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with(OWN) && *metadata.level() <= self.0.most()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.most())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut reported = Fields::default();
        event.record(&mut reported);
        let mut fields = Fields::default();
        let scope = context.event_scope(event).into_iter();
        for span in scope.flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.extend(around);
            }
        }
        fields.close(reported);
        let record = Record::new(fields);
        if let Some(file) = &self.0.file {
            let line = {
                let run = RUN.read().unwrap_or_else(PoisonError::into_inner);
                record.to_line(&run)
            };
            if let Some(why) = file.append(&line) {
                (self.0.warn)(&why);
            }
        }
        if *event.metadata().level() <= self.0.shown {
            (self.0.show)(&record);
        }
    }
}
