//! The settings for calls, and their notation: `6/s`, `2000/5m`, `15m`.

use super::token_source::Token;
use crate::limits::{CallReservations, SharedRate};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// All settings of the HTTP module.
#[derive(Debug)]
pub struct Settings {
    /// Scheme, host and perhaps a path; no user, query or fragment.
    pub base_url: String,
    /// Allows `http:` to other machines than this one.
    pub allow_http: bool,
    /// A PEM file of certificates to trust in addition to the operating system's.
    pub ca_cert: Option<PathBuf>,
    /// The certificate that identifies this client, for servers that require one.
    pub client_certificate: Option<ClientCertificate>,
    /// Time limit of one call, including the connection and the body.
    pub timeout: Duration,
    /// Maximum number of repetitions of a call after temporary failures.
    pub retries: u32,
    /// After this time without a success, calls end with [`super::CallErrorKind::GaveUp`].
    pub give_up_after: Duration,
    /// The limit of all calls, or of all calls but writes if `write_rate` is set.
    pub find_rate: Rate,
    /// A separate limit for writes.
    pub write_rate: Option<Rate>,
    /// Maximum number of calls in any window, in addition to the rate; for each local address.
    pub quota: Option<Quota>,
    /// The local addresses that calls are sent from; empty: the operating system chooses one.
    pub egress: Vec<IpAddr>,
    /// Where all processes on the same target reserve calls, so that together they keep the quota.
    pub call_reservations: Option<Arc<dyn CallReservations>>,
    /// Gives out the turns to all processes of the target, on all machines; `call_reservations` is then not used.
    /// `None`: this process paces its own calls.
    pub shared_rate: Option<Arc<dyn SharedRate>>,
    /// Maximum number of idle connections that are kept: the number of calls in flight.
    pub max_connections: usize,
    /// Disables HTTP/2, so that a lost connection leaves only one call in doubt.
    pub http1_only: bool,
    /// The credentials.
    pub token: Token,
}

impl Settings {
    /// Returns the local addresses that calls are sent from; `None`: the one that the operating system chooses.
    pub(super) fn addresses(&self) -> Vec<Option<IpAddr>> {
        if self.egress.is_empty() {
            return vec![None];
        }
        self.egress.iter().copied().map(Some).collect()
    }
}

/// A client certificate and its key, each in a PEM file. One file may contain both.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The file with the certificate, then its chain.
    pub certificate: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
}

/// Why the client cannot be built: an invalid setting, or a file that a setting names.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The base URL or the token URL is invalid.
    #[error("{what} is not a usable address: {why}")]
    Url {
        /// Which setting.
        what: &'static str,
        /// What is wrong, and what it should be like.
        why: String,
    },
    /// Unencrypted, and not to this machine.
    #[error("{what} is not encrypted (http:); use https:, or allow it with --allow-http")]
    PlainHttp {
        /// Which setting.
        what: &'static str,
    },
    /// The file of certificates cannot be used.
    #[error("the certificates in {} cannot be used: {why}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The client certificate or its key cannot be used.
    #[error("the {what} in {} cannot be used: {why}", path.display())]
    ClientCertificate {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The TLS library cannot be set up, for example because the machine has no certificates.
    #[error(
        "no HTTPS client can be made: {0}; where the machine has no certificates, install the package ca-certificates or name a file with --ca-cert"
    )]
    Tls(String),
    /// The token cannot be read, or is invalid.
    #[error("{0}")]
    Token(String),
    /// A header has a value that cannot be sent.
    #[error("the value for the header {0} has characters that a header cannot hold")]
    Header(&'static str),
    /// Calls cannot be sent from a local address.
    #[error("egress: calls cannot be sent from {address}: {why}; nothing was sent")]
    LocalAddress {
        /// The address.
        address: IpAddr,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The record of calls cannot be written.
    #[error("the record of calls that count against the quota cannot be written: {0}")]
    CallReservations(std::io::Error),
}

/// A setting with invalid notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct ParseError {
    text: String,
    wanted: &'static str,
}

impl ParseError {
    fn new(text: &str, wanted: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            wanted,
        }
    }
}

/// A limit of calls per time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// No limit: as fast as answers come.
    Unlimited,
    /// Calls per second; more than 0, at most a million.
    PerSecond(f64),
}

impl Rate {
    /// Returns the number of calls in this time, rounded up, if there is a limit.
    pub fn calls_in(self, time: Duration) -> Option<u32> {
        let calls = (self.per_second()? * time.as_secs_f64()).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are positive, and at most a million a second"
        )]
        let calls = calls as u32;
        Some(calls)
    }

    /// Returns the share of one program if `programs` programs share this rate.
    #[must_use]
    pub fn divided_by(self, programs: u32) -> Self {
        match self {
            Self::Unlimited => Self::Unlimited,
            Self::PerSecond(calls) => Self::PerSecond(calls / f64::from(programs.max(1))),
        }
    }

    /// Returns the calls per second, if there is a limit.
    pub const fn per_second(self) -> Option<f64> {
        match self {
            Self::Unlimited => None,
            Self::PerSecond(calls) => Some(calls),
        }
    }
}

const RATE: &str = "a rate; write it like 6/s, 300/m, 10000/h or unlimited";

impl FromStr for Rate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, RATE);
        if text.trim().eq_ignore_ascii_case("unlimited") {
            return Ok(Self::Unlimited);
        }
        let (calls, unit) = text.split_once('/').ok_or_else(wrong)?;
        let calls = calls.trim();
        // `f64` would also accept `inf`, `nan` and `1e3`.
        if !calls.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(wrong());
        }
        let calls: f64 = calls.parse().map_err(|_| wrong())?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let rate = calls / seconds;
        // A rate below a call per day is a mistake; above a million per second it has the effect of no limit.
        if (1.0 / 86_400.0..=1e6).contains(&rate) {
            Ok(Self::PerSecond(rate))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::PerSecond(calls) if calls.fract() == 0.0 => write!(f, "{calls}/s"),
            Self::PerSecond(calls) if (calls * 60.0).fract().abs() < 1e-9 => {
                write!(f, "{}/m", (calls * 60.0).round())
            }
            Self::PerSecond(calls) if ((calls * 3600.0).round() - calls * 3600.0).abs() < 1e-6 => {
                write!(f, "{}/h", (calls * 3600.0).round())
            }
            Self::PerSecond(calls) => write!(f, "{calls}/s"),
        }
    }
}

/// The maximum number of calls in any window of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// At least 1.
    pub calls: u32,
    /// At least a millisecond.
    pub window: Duration,
}

const QUOTA: &str = "a quota; write it like 2000/5m (calls in any such time) or unlimited";

impl Quota {
    /// Parses as [`FromStr`] does, and accepts `unlimited` or `none` for no quota.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, ParseError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "unlimited" | "none" => Ok(None),
            _ => text.parse().map(Some),
        }
    }
}

impl FromStr for Quota {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, QUOTA);
        let (calls, window) = text.split_once('/').ok_or_else(wrong)?;
        let calls = calls.trim().parse().map_err(|_| wrong())?;
        let window = window.trim();
        let window = match window {
            "s" | "m" | "h" => format!("1{window}").parse::<Span>(),
            _ => window.parse::<Span>(),
        };
        let window = window.map_err(|_| wrong())?.0;
        if calls == 0
            || window < Duration::from_millis(1)
            || window > Duration::from_secs(7 * 86_400)
        {
            return Err(wrong());
        }
        Ok(Self { calls, window })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, Span(self.window))
    }
}

/// A duration in its notation: `30s`, `500ms`, `15m`, `1h30m`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const SPAN: &str = "a duration; write it like 30s, 15m, 1h30m, 2d or 500ms";

impl FromStr for Span {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, SPAN);
        let mut rest = text.trim();
        let mut total: u64 = 0;
        let mut last = u64::MAX;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let unit_ms: u64 = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            // `30m1h` and `1m1m` are typing errors.
            if unit_ms >= last {
                return Err(wrong());
            }
            last = unit_ms;
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let ms = number.checked_mul(unit_ms).ok_or_else(wrong)?;
            total = total.checked_add(ms).ok_or_else(wrong)?;
            rest = tail;
        }
        // Timers cannot be set centuries ahead, and no user intends that.
        if total > 366 * 86_400_000 {
            return Err(wrong());
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = self.0.as_millis();
        if ms == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_ms) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1000),
            ("ms", 1),
        ] {
            if ms >= unit_ms {
                write!(f, "{}{unit}", ms / unit_ms)?;
                ms %= unit_ms;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_all_their_spellings() {
        let rate = |text: &str| text.parse::<Rate>();
        assert_eq!(rate("6/s"), Ok(Rate::PerSecond(6.0)));
        assert_eq!(rate("2.5/s"), Ok(Rate::PerSecond(2.5)));
        assert_eq!(rate("300/m"), Ok(Rate::PerSecond(5.0)));
        assert_eq!(rate("7200/h"), Ok(Rate::PerSecond(2.0)));
        assert_eq!(rate("Unlimited"), Ok(Rate::Unlimited));
        for wrong in [
            "",
            "6",
            "0/s",
            "-1/s",
            "inf/s",
            "nan/s",
            "1e3/s",
            "6/x",
            "6/",
            "/s",
            "./s",
            "9999999/s",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        for text in ["6/s", "2.5/s", "100/h", "unlimited"] {
            let shown = rate(text).unwrap().to_string();
            assert_eq!(rate(&shown), rate(text), "{shown}");
        }
    }

    #[test]
    fn quota_is_parsed_as_calls_per_time_window() {
        let five = Quota {
            calls: 2000,
            window: Duration::from_secs(300),
        };
        assert_eq!("2000/5m".parse(), Ok(five));
        assert_eq!(five.to_string(), "2000/5m");
        assert_eq!(
            "10/s".parse::<Quota>().unwrap().window,
            Duration::from_secs(1)
        );
        assert_eq!(Quota::parse_optional("unlimited"), Ok(None));
        assert_eq!(Quota::parse_optional("none"), Ok(None));
        for wrong in [
            "0/5m", "2000", "x/5m", "2000/0s", "2000/5", "-1/5m", "9/9999d",
        ] {
            assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_read_and_shown() {
        for (text, ms) in [
            ("30s", 30_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("0s", 0),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(ms));
            assert_eq!(span.to_string(), text);
        }
        for wrong in [
            "",
            "30",
            "s",
            "1x",
            "30m1h",
            "1m1m",
            "1.5h",
            "99999999999999999999s",
            "-1s",
            "9999d",
        ] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
