//! The settings in the types that the other modules need, each checked once.

use super::values::{Origin, Values};
use super::{ConfigError, Log, SharedLedger, credentials};
use crate::domain::{IdError, ResellerId, Shard, guid};
use crate::engine::{Concurrency, Lookup};
use crate::http::{
    ClientCertificate, Quota, Rate, SecretString, Span, Token, check_base_url, parse_addresses,
};
use crate::system::{Sending, SystemKind};
use smol_str::SmolStr;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The most units in progress with `--concurrency auto`, whatever the latency.
const MOST_AT_ONCE: usize = 256;

/// The settings of a run.
#[derive(Debug)]
pub struct Resolved {
    /// Which system.
    pub system: SystemKind,
    /// Its address in normal form; `None`: not given.
    pub base_url: Option<String>,
    /// The folder of the runs; with a shared ledger, of their files on this machine.
    pub runs_dir: PathBuf,
    /// The ledger that several machines share; `None`: runs are kept in files, or this setting was not read.
    pub ledger: Option<SharedLedger>,
    /// The address of the shared ledger, as it was given.
    pub ledger_address: Option<String>,
    /// The limit of all calls, or, if `write_rate` is set, of the calls that only read.
    pub find_rate: Rate,
    /// The limit of writes; `None`: `find_rate` is the limit of all calls.
    pub write_rate: Option<Rate>,
    /// The most calls in a window, for each local address.
    pub quota: Option<Quota>,
    /// The local addresses that calls are sent from; none: one that the operating system chooses.
    pub egress: Vec<IpAddr>,
    /// With a shared ledger: the name of the address that calls come from. Processes with the same name share its quota.
    pub egress_name: Option<String>,
    /// The share of the file that this machine carries out. Rates and quota are already divided by the number of shards.
    pub shard: Option<Shard>,
    /// Units in progress at the same time.
    pub concurrency: Concurrency,
    /// The longest that one call may take.
    pub timeout: Duration,
    /// How often a failed call is repeated.
    pub retries: u32,
    /// How long an outage is waited out.
    pub give_up_after: Duration,
    /// How customers are found.
    pub lookup: Lookup,
    /// How old a look-up may be when a write is based on it.
    pub max_age: Duration,
    /// Adobe: the reseller that has the customers; `CloudCockpit`: the reseller of the relationship, or `own`.
    pub reseller: Option<String>,
    /// Adobe: the integration's key; `None` until secrets are read.
    pub api_key: Option<SecretString>,
    /// `CloudCockpit`: the portal's domain.
    pub tenant: Option<String>,
    /// Only customers of this partner or reseller may be written.
    pub fence: Option<String>,
    /// Adobe: how much is sent.
    pub sending: Sending,
    /// Adobe: whether the operator accepts that customers get e-mails.
    pub accept_welcome_emails: bool,
    /// Certificates to trust.
    pub ca_cert: Option<PathBuf>,
    /// The client certificate; `None`: there is none, or secrets were not read.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether unencrypted calls to other machines are allowed.
    pub allow_http: bool,
    /// Whether only HTTP/1.1 is used.
    pub http1_only: bool,
    /// Where the token comes from; `None`: nowhere, or secrets were not read.
    pub token: Option<Token>,
    /// Where calls are logged.
    pub log: Log,
    /// Notes for the user.
    pub notes: Vec<String>,
}

impl Resolved {
    /// Whether writes make the system send e-mails to people.
    pub fn sends_emails(&self) -> bool {
        self.system.capabilities().sends_emails && self.sending.carries_contacts()
    }

    /// Checks all settings, but reads no secret.
    pub fn of(values: &mut Values) -> Result<Self, ConfigError> {
        let system = values.choice("system")?.and_then(SystemKind::parse);
        let system = system.unwrap_or(SystemKind::Plume);
        let capabilities = system.capabilities();
        let rate = values.parsed("rate", Rate::from_str)?;
        let find_rate = values.parsed("find_rate", Rate::from_str)?;
        let write_rate = values.parsed("write_rate", Rate::from_str)?;
        let main = rate.unwrap_or(Rate::PerSecond(capabilities.rate_per_s));
        let is_shared = values
            .get("ledger")
            .is_some_and(|ledger| !ledger.is_empty());
        let egress = values.parsed("egress", |text| parse_egress(text, is_shared))?;
        let (egress, egress_name) = egress.unwrap_or_default();
        let said_rate = rate.or(find_rate).or(write_rate);
        let (quota, note) = quota(values, system, said_rate, addresses(&egress))?;
        let shard = values.parsed("shard", Shard::from_str)?;
        let shards = shard.map_or(1, Shard::of);
        let quota = quota.map(|quota| divided(values, quota, shards));
        let quota = quota.transpose()?;
        let main = main.divided_by(shards);
        let [find_rate, write_rate] =
            [find_rate, write_rate].map(|rate| Some(rate?.divided_by(shards)));
        let allow_http = values.truth("allow_http")?;
        let parse_url = |url: &str| check_base_url(url, allow_http);
        let mut notes = std::mem::take(&mut values.warnings);
        notes.extend(note);
        Ok(Self {
            system,
            base_url: values.parsed("base_url", parse_url)?,
            runs_dir: values
                .effective("runs_dir")
                .map(PathBuf::from)
                .unwrap_or_default(),
            ledger: None,
            ledger_address: None,
            find_rate: find_rate.unwrap_or(main),
            write_rate: write_rate.or(find_rate.map(|_| main)),
            quota,
            egress,
            egress_name,
            shard,
            concurrency: concurrency(values)?,
            timeout: timeout(values)?,
            retries: values.number("retries")?.unwrap_or_default(),
            give_up_after: span(values, "give_up_after")?,
            lookup: match values.choice("lookup")? {
                Some("bulk") => Lookup::Bulk,
                Some("each") => Lookup::Each,
                _ => Lookup::Auto,
            },
            max_age: span(values, "max_age")?,
            reseller: reseller(values, system)?,
            api_key: None,
            tenant: values.get("tenant").map(str::to_owned),
            fence: values
                .get("tenant_fence")
                .map(|text| spelled(system, text).to_string()),
            sending: match values.choice("send")? {
                Some("reference") => Sending::Reference,
                _ => Sending::Full,
            },
            accept_welcome_emails: values.truth("accept_welcome_emails")?,
            ca_cert: values.get("ca_cert").map(PathBuf::from),
            client_certificate: None,
            allow_http,
            http1_only: values.choice("http")? == Some("1"),
            token: None,
            log: Log::of(values)?,
            notes,
        })
    }

    /// Reads what is needed to connect to the ledger that several machines share, if there is one.
    pub fn read_ledger(&mut self, values: &mut Values) -> Result<(), ConfigError> {
        self.ledger = super::ledger(values, self.ca_cert.as_deref(), self.give_up_after)?;
        self.ledger_address = values.get("ledger").map(str::to_owned);
        Ok(())
    }

    /// The most calls in a window from all local addresses together.
    pub fn whole_quota(&self) -> Option<Quota> {
        self.quota.map(|quota| Quota {
            calls: quota.calls.saturating_mul(addresses(&self.egress)),
            ..quota
        })
    }

    /// The quota in words.
    pub fn quota_words(&self) -> Option<String> {
        let quota = self.quota?;
        Some(match self.egress.len() {
            0 | 1 => quota.to_string(),
            many => format!("{quota} from each of {many} addresses"),
        })
    }

    /// Returns the reseller as an ID; `None`: it is `own`, or not set.
    pub fn reseller_id(&self) -> Option<ResellerId> {
        reseller_of(self.system, self.reseller.as_deref()?)?.ok()
    }

    /// Reads the secrets, or determines where they will be read from.
    pub fn read_secrets(&mut self, values: &mut Values) -> Result<(), ConfigError> {
        self.token = credentials::token(values)?;
        self.api_key = credentials::api_key(values)?;
        self.client_certificate = credentials::client_certificate(values)?;
        self.notes.append(&mut values.warnings);
        Ok(())
    }
}

/// Returns the setting `reseller_id`: an ID, or `own`.
fn reseller(values: &Values, system: SystemKind) -> Result<Option<String>, ConfigError> {
    values.parsed("reseller_id", |text| match reseller_of(system, text) {
        Some(Err(why)) => Err(format!("`{text}` is not a valid ID: {why}")),
        Some(Ok(_)) | None => Ok(text.to_owned()),
    })
}

/// The reseller as an ID; `None`: it is `own`.
pub fn reseller_of(system: SystemKind, text: &str) -> Option<Result<ResellerId, IdError>> {
    let is_own = text.eq_ignore_ascii_case("own");
    (!is_own).then(|| ResellerId::new(spelled(system, text)))
}

#[cfg(test)]
impl Resolved {
    /// Returns the result of these settings, for tests.
    pub fn example(given: &[(&str, &str)]) -> Self {
        let given = given.iter();
        let given = given.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self::of(&mut Values::of_run(&given.collect())).unwrap()
    }
}

/// Returns an ID in the form in which IDs are compared: GUIDs have one spelling.
fn spelled(system: SystemKind, text: &str) -> SmolStr {
    if system.capabilities().ids_are_guids {
        guid(text)
    } else {
        SmolStr::new(text)
    }
}

/// Returns the quota of one shard; an error if there is less than one call for each.
fn divided(values: &Values, quota: Quota, shards: u32) -> Result<Quota, ConfigError> {
    match quota.calls / shards {
        0 => Err(ConfigError::Value {
            key: "shard",
            origin: values.origin("shard"),
            why: format!("{shards} shards cannot share the quota of {quota}; use fewer shards"),
        }),
        calls => Ok(Quota { calls, ..quota }),
    }
}

/// Parses `egress`: local addresses, or, with a shared ledger, the name of the address that calls come from.
fn parse_egress(text: &str, is_shared: bool) -> Result<(Vec<IpAddr>, Option<String>), String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let is_name = text.contains(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(is_part)
        && text.len() <= 63;
    if is_shared && is_name {
        return Ok((Vec::new(), Some(text.to_owned())));
    }
    parse_addresses(text).map(|addresses| (addresses, None))
}

/// Returns how many local addresses calls are sent from.
fn addresses(egress: &[IpAddr]) -> u32 {
    u32::try_from(egress.len()).unwrap_or(u32::MAX).max(1)
}

/// Returns the quota, and a note if the given rate disables it. A given rate replaces the system's default rate and
/// quota; the quota remains if that rate can never exceed it.
fn quota(
    values: &Values,
    system: SystemKind,
    said_rate: Option<Rate>,
    addresses: u32,
) -> Result<(Option<Quota>, Option<String>), ConfigError> {
    if let Some(quota) = values.parsed("quota", Quota::parse_optional)? {
        return Ok((quota, None));
    }
    let Some((calls, seconds)) = system.capabilities().quota else {
        return Ok((None, None));
    };
    let own = Quota {
        calls,
        window: Duration::from_secs(seconds),
    };
    let within = |rate: Rate| {
        let most = f64::from(calls) * f64::from(addresses) / own.window.as_secs_f64();
        rate.per_second().is_some_and(|rate| rate <= most)
    };
    match said_rate {
        None => Ok((Some(own), None)),
        Some(rate) if within(rate) => Ok((Some(own), None)),
        Some(rate) => {
            let title = system.capabilities().title;
            let note = format!(
                "rate {rate}: no quota applies; --quota {own} sets the quota that {title} documents"
            );
            // The command that set the rate of this run has already shown the note.
            let is_given = ["rate", "find_rate", "write_rate"]
                .into_iter()
                .any(|name| !matches!(values.origin(name), Origin::Run | Origin::BuiltIn));
            Ok((None, is_given.then_some(note)))
        }
    }
}

fn concurrency(values: &Values) -> Result<Concurrency, ConfigError> {
    let parse = |text: &str| match text {
        "auto" => Ok(None),
        _ => match text.parse::<usize>() {
            Ok(units) if (1..=4096).contains(&units) => Ok(Some(units)),
            Ok(_) | Err(_) => Err(format!(
                "`{text}` is neither auto nor a number from 1 to 4096"
            )),
        },
    };
    Ok(match values.parsed("concurrency", parse)?.flatten() {
        Some(units) => Concurrency::Fixed(units),
        None => Concurrency::Auto { cap: MOST_AT_ONCE },
    })
}

fn span(values: &Values, name: &'static str) -> Result<Duration, ConfigError> {
    let span = values.parsed(name, Span::from_str)?;
    Ok(span.map_or(Duration::ZERO, |span| span.0))
}

fn timeout(values: &Values) -> Result<Duration, ConfigError> {
    match span(values, "timeout")? {
        Duration::ZERO => Err(ConfigError::Value {
            key: "timeout",
            origin: values.origin("timeout"),
            why: "no call can be answered within 0 s; the default is 30s".to_owned(),
        }),
        timeout => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_quota_is_per_address_and_a_higher_rate_disables_it() {
        let quota = |egress: &str, rate: &str| {
            let resolved = Resolved::example(&[("egress", egress), ("rate", rate)]);
            (resolved.quota_words(), resolved.whole_quota())
        };
        let two = "10.0.0.1\n10.0.0.2";
        let (words, whole) = quota(two, "13/s");
        assert_eq!(words.unwrap(), "2000/5m from each of 2 addresses");
        assert_eq!(whole.unwrap().calls, 4000);
        assert_eq!(quota(two, "14/s"), (None, None));
        assert_eq!(quota("10.0.0.1", "13/s"), (None, None));
        assert_eq!(quota("10.0.0.1", "6/s").0.unwrap(), "2000/5m");
    }

    #[test]
    fn shards_share_rates_and_quota() {
        let given = [("rate", "20/s"), ("quota", "2000/5m"), ("shard", "2/3")];
        let resolved = Resolved::example(&given);
        let rate = resolved.find_rate.per_second().unwrap();
        assert!(rate * 3.0 <= 20.0 && rate > 6.666, "{rate}");
        assert_eq!(resolved.quota.unwrap().calls, 666);
        let own = Resolved::example(&[("shard", "1/4")]);
        assert_eq!(own.find_rate.per_second(), Some(1.5));
        assert_eq!(own.quota.unwrap().calls, 500);
        let given = [
            ("find_rate", "9/s"),
            ("write_rate", "6/s"),
            ("shard", "1/3"),
        ];
        let separate = Resolved::example(&given);
        assert_eq!(separate.find_rate.per_second(), Some(3.0));
        assert_eq!(separate.write_rate.unwrap().per_second(), Some(2.0));
        let free = Resolved::example(&[("rate", "unlimited"), ("shard", "1/3")]);
        assert_eq!((free.find_rate, free.quota), (Rate::Unlimited, None));
        let few = [("quota", "2/5m"), ("shard", "1/3")];
        let few = few.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let refused = Resolved::of(&mut Values::of_run(&few.into()));
        let why = refused.unwrap_err().to_string();
        assert!(
            why.contains("3 shards cannot share the quota of 2/5m"),
            "{why}"
        );
    }
}
