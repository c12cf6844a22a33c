//! Checks the first write of a process: reads the customer again and compares it with its state before the write.

use super::super::error::clean;
use super::super::{Fatal, Sending, SystemError, Written};
use super::api::{Adobe, Trial};
use super::wire::{FIELDS_MISSING, Whole};
use crate::domain::{AccountId, CustomerId, Failed, StoredValue};
use serde_json::Value;
use tokio::sync::MutexGuard;

/// The fields that a full write sends back and that must therefore not change.
const SENT_BACK: [&str; 2] = ["companyProfile", "globalSalesEnabled"];
/// The maximum number of fields that are named.
const MOST_NAMED: usize = 8;

/// The first write, until it is checked.
pub(super) struct First<'a> {
    pub(super) trial: MutexGuard<'a, Trial>,
    pub(super) customer: &'a CustomerId,
    pub(super) after: &'a AccountId,
    /// The customer as it was read for the write.
    pub(super) was: Whole,
}

impl Adobe {
    /// Returns the lock to hold until the first write is checked; `None`: the check has passed. An error if it has failed.
    pub(super) async fn trial(&self) -> Result<Option<MutexGuard<'_, Trial>>, SystemError> {
        let trial = self.trial.lock().await;
        match &*trial {
            Trial::Untried => Ok(Some(trial)),
            Trial::Passed => Ok(None),
            Trial::Failed(words) => Err(stop(words)),
        }
    }
}

impl First<'_> {
    /// Reads the customer after the first write. A difference in the fields that were sent back ends the run; where
    /// only the reference was sent, any other difference ends it.
    pub(super) async fn checked(mut self, adobe: &Adobe, written: Written) -> Written {
        let stored = match &written {
            Written::Stored {
                value: StoredValue::Account(Some(stored)),
                ..
            } => stored,
            // A write in doubt may have taken effect, and may then have changed more than the reference.
            Written::Applied { .. } | Written::Stored { .. } | Written::InDoubt(_) => self.after,
            Written::Refused(trouble)
                if adobe.sending == Sending::Reference && trouble.code == Some(FIELDS_MISSING) =>
            {
                let words = "this installation wants the whole profile: set `send = \"full\"`";
                *self.trial = Trial::Failed(words.to_owned());
                return Written::Refused(stop(words));
            }
            Written::Again(_)
            | Written::NotSent(_)
            | Written::Refused(_)
            | Written::Expired(_)
            | Written::Stale { .. } => return written,
        };
        let now = match adobe.whole(self.customer).await {
            Ok(now) => now,
            Err(trouble) => return unchecked(written, trouble),
        };
        if let Err(words) = self.compared(adobe, now.as_ref()) {
            *self.trial = Trial::Failed(words.clone());
            return Written::InDoubt(stop(&words));
        }
        // If the read does not show the write yet, it proves nothing about other changes, so the next write is checked too.
        let reference = now.and_then(|now| now.body.external_reference_id);
        if reference.as_deref() == Some(stored.as_str()) {
            *self.trial = Trial::Passed;
        }
        written
    }

    /// Compares the customer with its state before the write. An error names the fields that must not have changed.
    fn compared(&self, adobe: &Adobe, now: Option<&Whole>) -> Result<(), String> {
        let customer = self.customer;
        let changed = match now {
            Some(now) => differences(&self.was.everything, &now.everything),
            None => vec!["customerId".to_owned()],
        };
        let (harmful, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(|path| {
            let field = path.split('.').next().unwrap_or(path);
            now.is_none() || adobe.sending == Sending::Reference || SENT_BACK.contains(&field)
        });
        if !harmful.is_empty() {
            return Err(harm(adobe.sending, customer, &harmful));
        }
        if !others.is_empty() {
            adobe.warn(format!(
                "after the first write, {} of customer `{customer}` differed from before; they were not sent",
                named(&others)
            ));
        }
        Ok(())
    }
}

/// Returns the result of a write if the customer could not be read afterwards.
fn unchecked(written: Written, trouble: SystemError) -> Written {
    match written {
        Written::Applied { http_status } | Written::Stored { http_status, .. } => {
            Written::InDoubt(SystemError {
                http_status: Some(http_status),
                ..trouble
            })
        }
        // The write's own error stays: it says whether there was a response, on which the next correlation ID depends.
        other => other,
    }
}

fn harm(sending: Sending, customer: &CustomerId, harmful: &[String]) -> String {
    let fields = named(harmful);
    match sending {
        Sending::Full => format!(
            "after the first write, customer `{customer}` differs from what was sent back: {fields}. Check this customer in \
             Adobe's portal before you go on"
        ),
        Sending::Reference => format!(
            "sending the reference alone changed something else of customer `{customer}`: {fields}. Set `send = \"full\"`"
        ),
    }
}

fn stop(words: &str) -> SystemError {
    SystemError {
        fatal: Some(Fatal::Unsafe),
        ..SystemError::new(Failed::Rejected, words)
    }
}

/// Returns a list of the fields' names, without values, which may be personal data.
fn named(paths: &[String]) -> String {
    let mut words: Vec<String> = paths.iter().take(MOST_NAMED).map(|p| clean(p)).collect();
    if paths.len() > MOST_NAMED {
        words.push(format!("{} more", paths.len() - MOST_NAMED));
    }
    words.join(", ")
}

/// Returns the paths of the fields that differ between two states of a customer, without the reference. A field that is
/// `null` equals an absent one.
fn differences(was: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", was, now, &mut found);
    found.retain(|path| path != "externalReferenceId");
    found
}

fn compare(path: &str, was: &Value, now: &Value, found: &mut Vec<String>) {
    let (Some(old), Some(new)) = (was.as_object(), now.as_object()) else {
        if was != now {
            found.push(path.to_owned());
        }
        return;
    };
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let inner = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        compare(&inner, field(old, key), field(new, key), found);
    }
}

fn field<'a>(fields: &'a serde_json::Map<String, Value>, key: &str) -> &'a Value {
    fields.get(key).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::differences;
    use serde_json::json;

    #[test]
    fn differences_are_named_by_path_and_key_order_is_ignored() {
        let was = json!({"externalReferenceId": "A", "a": {"x": 1, "y": [1, 2]}, "gone": true, "nothing": null});
        let same = json!({"a": {"y": [1, 2], "x": 1}, "gone": true, "externalReferenceId": "B"});
        assert!(differences(&was, &same).is_empty());
        let other = json!({"externalReferenceId": "B", "a": {"x": 1, "y": [2, 1]}, "new": 0});
        assert_eq!(differences(&was, &other), ["a.y", "gone", "new"]);
    }
}
