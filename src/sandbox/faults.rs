//! Faults: what goes wrong, when, and for which calls. [`SYNTAX`] describes their notation.

use super::http::{Request, Response};
use std::net::IpAddr;
use std::str::FromStr;

/// The notation of faults, for the help of the commands that accept them.
pub const SYNTAX: &str = "\
A fault is CALLS:WHAT[:WHEN], for example
  patch:500-after:every=3    every third write is carried out and answered 500
  search:429=2:first=1       the first search is refused for two seconds
  location-patch:reset:nth=5 the connection of the fifth write to a location breaks
  any:hang=3000:about=C7     calls that name C7 wait three seconds

CALLS  search, bulk, read, customer-patch, location-patch, patch, token, any
WHAT   429[=SECONDS], 429-date, 400 to 599, reset, close, hang=MS, redirect,
       firewall; for a write each also as …-after: the write is carried out,
       then the fault occurs.
       Damaged answers: truncated, html, empty, braces, wrong-id,
       old-value, drip, huge, deep
WHEN   always (the default), nth=N, every=N, first=N,
       about=TEXT (in the path, query or body), from=ADDRESS (the client's)";

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A search by account ID, or a listing.
    Search,
    /// A lookup of many customers in one call, by a filter.
    Bulk,
    /// A read of a customer, its locations, or one location.
    Read,
    /// A write to a customer.
    CustomerPatch,
    /// A write to a location.
    LocationPatch,
    /// A call of the token endpoint.
    Token,
    /// Any other call.
    Other,
}

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Status(u16),
    RetryAfter(u16, u64),
    RetryAfterDate,
    Reset,
    Close,
    Hang(u64),
    Truncated,
    Html,
    Empty,
    Braces,
    WrongId,
    OldValue,
    Drip,
    Huge,
    Deep,
    Redirect,
    Firewall,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Always,
    Nth(u64),
    Every(u64),
    First(u64),
    About(String),
    From(IpAddr),
}

/// A rule: which calls have which fault, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    classes: Vec<Class>,
    pub(super) what: What,
    /// Whether the call is carried out before the fault.
    pub(super) after: bool,
    when: When,
    seen: u64,
    /// Number of calls that met the fault.
    struck: u64,
    /// The text from which the fault was parsed.
    text: String,
}

/// A text that is not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a fault; one looks like patch:500-after:every=3 or search:429=2:first=1")]
pub struct FaultError(String);

impl Fault {
    /// Returns the text from which the fault was parsed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether no call has met the fault.
    pub(super) const fn is_idle(&self) -> bool {
        self.struck == 0
    }

    /// Counts this call, and returns whether the fault applies to it.
    pub(super) fn strikes(&mut self, class: Class, request: &Request) -> bool {
        let strikes = self.meets(class, request);
        self.struck += u64::from(strikes);
        strikes
    }

    fn meets(&mut self, class: Class, request: &Request) -> bool {
        if !self.classes.contains(&class) {
            return false;
        }
        if let When::About(text) = &self.when {
            let body = String::from_utf8_lossy(&request.body);
            let decoded = request
                .segments
                .iter()
                .any(|segment| segment.contains(text.as_str()));
            return decoded
                || body.contains(text.as_str())
                || request
                    .query
                    .iter()
                    .any(|(_, value)| value.contains(text.as_str()));
        }
        if let When::From(peer) = self.when {
            return request.peer == Some(peer);
        }
        self.seen += 1;
        match self.when {
            When::Always => true,
            When::Nth(n) => self.seen == n,
            When::Every(n) => self.seen.is_multiple_of(n.max(1)),
            When::First(n) => self.seen <= n,
            When::About(_) | When::From(_) => false,
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let wrong = || FaultError(text.to_owned());
        let mut parts = text.splitn(3, ':');
        let classes = classes(parts.next().unwrap_or("")).ok_or_else(wrong)?;
        let (what, after) = what(parts.next().ok_or_else(wrong)?).ok_or_else(wrong)?;
        let when = match parts.next() {
            None => When::Always,
            Some(when) => parse_when(when).ok_or_else(wrong)?,
        };
        Ok(Self {
            classes,
            what,
            after,
            when,
            seen: 0,
            struck: 0,
            text: text.to_owned(),
        })
    }
}

fn classes(text: &str) -> Option<Vec<Class>> {
    use Class::{Bulk, CustomerPatch, LocationPatch, Other, Read, Search, Token};
    Some(match text {
        "search" => vec![Search],
        "bulk" => vec![Bulk],
        "read" => vec![Read],
        "customer-patch" => vec![CustomerPatch],
        "location-patch" => vec![LocationPatch],
        "patch" => vec![CustomerPatch, LocationPatch],
        "token" => vec![Token],
        "any" => vec![Search, Bulk, Read, CustomerPatch, LocationPatch, Other],
        _ => return None,
    })
}

fn what(text: &str) -> Option<(What, bool)> {
    let (name, number) = match text.split_once('=') {
        Some((name, number)) => (name, Some(number.parse::<u64>().ok()?)),
        None => (text, None),
    };
    let (name, after) = match name.strip_suffix("-after") {
        Some(name) => (name, true),
        None => (name.strip_suffix("-before").unwrap_or(name), false),
    };
    let what = match (name, number) {
        ("429-date", None) => What::RetryAfterDate,
        ("reset", None) => What::Reset,
        ("close", None) => What::Close,
        ("hang", Some(ms)) => What::Hang(ms),
        ("truncated", None) => return Some((What::Truncated, true)),
        ("html", None) => return Some((What::Html, true)),
        ("empty", None) => return Some((What::Empty, true)),
        ("braces", None) => return Some((What::Braces, true)),
        ("wrong-id", None) => return Some((What::WrongId, true)),
        ("old-value", None) => return Some((What::OldValue, true)),
        ("drip", None) => return Some((What::Drip, true)),
        ("huge", None) => return Some((What::Huge, true)),
        ("deep", None) => return Some((What::Deep, true)),
        ("redirect", None) => What::Redirect,
        ("firewall", None) => What::Firewall,
        (status, seconds) => {
            let status: u16 = status
                .parse()
                .ok()
                .filter(|status| (400..=599).contains(status))?;
            match seconds {
                Some(seconds) => What::RetryAfter(status, seconds),
                None => What::Status(status),
            }
        }
    };
    Some((what, after))
}

fn parse_when(text: &str) -> Option<When> {
    if text == "always" {
        return Some(When::Always);
    }
    let (name, value) = text.split_once('=')?;
    if name == "about" || name == "customer" {
        return Some(When::About(value.to_owned()));
    }
    if name == "from" {
        return value.parse().ok().map(When::From);
    }
    let number = value.parse().ok().filter(|number| *number > 0)?;
    match name {
        "nth" => Some(When::Nth(number)),
        "every" => Some(When::Every(number)),
        "first" => Some(When::First(number)),
        _ => None,
    }
}

/// Returns the page of a firewall or a portal, which the API never sends.
pub(super) fn page(status: u16) -> Response {
    Response::text(
        status,
        "text/html",
        "<html><body><h1>Request blocked</h1></body></html>",
    )
}

/// Applies the fault to the correct answer.
pub(super) fn spoil(what: What, mut right: Response) -> Response {
    match what {
        What::Html => page(right.status),
        What::Empty => Response {
            body: Vec::new(),
            ..right
        },
        What::Braces => Response {
            body: b"{}".to_vec(),
            ..right
        },
        What::WrongId => edit(right, |value| {
            if let Some(id) = value.get_mut("id") {
                *id = "somebody-else".into();
            }
        }),
        What::OldValue => edit(right, |value| {
            for name in ["accountId", "serviceId", "externalReferenceId"] {
                if let Some(field) = value.get_mut(name) {
                    *field = "an-old-value".into();
                }
            }
        }),
        What::Deep => Response {
            body: "[".repeat(200_000).into_bytes(),
            ..right
        },
        What::Huge => {
            right.body.resize(64 << 20, b' ');
            right
        }
        What::Status(_)
        | What::RetryAfter(..)
        | What::RetryAfterDate
        | What::Reset
        | What::Close
        | What::Hang(_)
        | What::Truncated
        | What::Drip
        | What::Redirect
        | What::Firewall => right,
    }
}

fn edit(mut right: Response, change: impl Fn(&mut serde_json::Value)) -> Response {
    if let Ok(mut value) = serde_json::from_slice(&right.body) {
        change(&mut value);
        right.body = value.to_string().into_bytes();
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_text() {
        for text in [
            "patch:500-after:every=3",
            "search:429=2:first=1",
            "location-patch:reset:nth=5",
            "any:hang-after=3000:about=C7",
            "any:firewall",
            "any:firewall:from=127.0.0.2",
            "read:429-date",
        ] {
            assert!(text.parse::<Fault>().is_ok(), "{text}");
        }
        for text in [
            "",
            "patch",
            "patch:700",
            "patch:500:sometimes",
            "nobody:500",
            "patch:500:nth=0",
            "patch:500:from=there",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
