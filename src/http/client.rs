//! The client: takes a call through gate, token, quota and pace, sends it, and says what became of it.

use reqwest::Url;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::attempt;
use super::bearer::Bearer;
use super::call::{ApiTraits, Call, CallError, CallErrorKind, Kind, Reply};
use super::egress::check_addresses;
use super::gate::Gate;
use super::health::{Counters, Health, HealthBoard, Tally};
use super::http_client::{self, is_loopback};
use super::local_turns::LocalTurns;
use super::oauth::TokenEndpoint;
use super::retry::{self, Budget, Cost};

use super::blocked_calls::BlockedCalls;
use super::settings::{Settings, SetupError};
use super::shared_turns::SharedTurns;
use super::skew::Skew;
use super::token::{AfterRefusal, Tokens};
use super::trace::{Waited, timed};
use super::turns::Turns;

/// A call is sent again after a 401 this often at most: with many calls in flight, a token that is good for few of them
/// is used up by others each time.
pub(super) const MOST_RENEWALS: u32 = 25;

/// Attempts in a row that were not processed, of one call; more are a failure like any other.
const MOST_UNPROCESSED: u32 = 10;

/// Makes the calls of one target. Shared by all workers.
#[derive(Debug)]
pub struct Client {
    /// The connections of each local address.
    pub(super) http: Vec<reqwest::Client>,
    pub(super) base: Url,
    /// The path of `base`, without a slash at its end.
    pub(super) base_path: String,
    pub(super) headers: HeaderMap,
    pub(super) request_id: Option<HeaderName>,
    pub(super) correlation: Option<HeaderName>,
    pub(super) is_firewall: fn(&Reply) -> bool,
    pub(super) is_own_error: fn(&Reply) -> bool,
    pub(super) is_unauthorized: fn(&Reply) -> bool,
    /// For the whole of one call.
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) give_up_after: Duration,
    pub(super) gate: Gate,
    pub(super) tokens: Tokens,
    pub(super) turns: Box<dyn Turns>,
    pub(super) budget: Budget,
    pub(super) board: Arc<HealthBoard>,
    pub(super) tally: Tally,
    /// The first read that succeeded: asked again, it tells an outage from a customer's own trouble.
    pub(super) known_good: OnceLock<Call>,
    /// What the first answer that names the time showed of the clocks.
    pub(super) skew: OnceLock<Skew>,
    /// Calls that met what looks like a firewall.
    pub(super) suspects: BlockedCalls,
    pub(super) stop: CancellationToken,
}

/// What a call has behind it.
#[derive(Debug)]
pub(super) struct CallState {
    pub(super) begun: Instant,
    pub(super) sent: u32,
    /// Failures that count against the retries.
    pub(super) failures: u32,
    pub(super) cost: Cost,
    /// How often a 401 was followed by a new token.
    pub(super) renewed: u32,
    /// Attempts that a server which says goodbye has not processed.
    unprocessed: u32,
    /// Whether it only finds out whether calls are answered, in place of another call.
    pub(super) is_probe: bool,
    /// What the next attempt has waited for so far.
    pub(super) waited: Waited,
}

impl CallState {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            sent: 0,
            failures: 0,
            cost: Cost::NONE,
            renewed: 0,
            unprocessed: 0,
            is_probe: false,
            waited: Waited::default(),
        }
    }

    /// Of a call that only finds out whether calls are answered.
    pub(super) fn probe() -> Self {
        Self {
            is_probe: true,
            ..Self::new()
        }
    }

    /// Sent again at its next turn, without a pause, since that says nothing about the system; but not for ever.
    pub(super) fn may_repeat_freely(&mut self) -> bool {
        self.unprocessed += 1;
        self.unprocessed <= MOST_UNPROCESSED
    }
}

impl Client {
    /// Checks the settings and gets ready; sends nothing. `stop` ends waits in holds and back-offs.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a caller that kept them might suppose that changing them still matters"
    )]
    pub fn new(
        settings: Settings,
        character: ApiTraits,
        stop: CancellationToken,
    ) -> Result<Self, SetupError> {
        let url = check_url(&settings.base_url, "the base URL", settings.allow_http)?;
        check_addresses(&settings.egress, url.as_str())?;
        let addresses = settings.addresses().into_iter();
        let http = |ip| http_client::of_target(&settings, &url, "the base URL", ip);
        let http = addresses.map(http).collect::<Result<_, _>>()?;
        let base_path = url.path().trim_end_matches('/').to_owned();
        let name = |name: Option<&'static str>| {
            name.map(|name| attempt::header(name, "").map(|(name, _)| name))
                .transpose()
        };
        let board = Arc::new(HealthBoard::new());
        let turns: Box<dyn Turns> = match settings.shared_rate.clone() {
            None => Box::new(LocalTurns::new(&settings, board.clone(), stop.clone())?),
            Some(rate) => Box::new(SharedTurns::new(
                rate,
                &settings,
                board.clone(),
                stop.clone(),
            )?),
        };
        let endpoint = |oauth2: super::token_source::OAuth2| {
            let url = check_url(&oauth2.token_url, "the token URL", settings.allow_http)?;
            let http = http_client::of_target(&settings, &url, "the token URL", None)?;
            TokenEndpoint::new(oauth2, url, http, settings.timeout)
        };
        let give_up_after = settings.give_up_after;
        let tokens = Tokens::new(
            settings.token.clone(),
            endpoint,
            give_up_after,
            board.clone(),
            stop.clone(),
        )?;
        Ok(Self {
            http,
            base: url,
            base_path,
            headers: constant_headers(&character)?,
            request_id: name(character.request_id_header)?,
            correlation: name(character.correlation_header)?,
            is_firewall: character.is_firewall,
            is_own_error: character.is_own_error,
            is_unauthorized: character.is_unauthorized,
            timeout: settings.timeout,
            retries: settings.retries,
            give_up_after,
            gate: Gate::new(give_up_after, board.clone(), stop.clone()),
            tokens,
            turns,
            budget: Budget::new(settings.find_rate),
            board,
            tally: Tally::new(),
            known_good: OnceLock::new(),
            skew: OnceLock::new(),
            suspects: BlockedCalls::default(),
            stop,
        })
    }

    /// Whether calls flow; changes are worth telling a person.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.board.watch()
    }

    /// How many calls there were.
    pub fn counters(&self) -> Counters {
        self.tally.snapshot(self.tokens.renewals())
    }

    /// There was nothing to call for this long, so it does not count for the rate that was reached.
    pub fn was_idle(&self, time: Duration) {
        self.tally.was_idle(time);
    }

    /// From the first call to the last, without the time in which there was nothing to call.
    pub fn active(&self) -> Duration {
        self.tally.active()
    }

    /// How far this machine's clock is from the server's; `None` before the first answer that names the time.
    pub fn skew(&self) -> Option<Skew> {
        self.skew.get().copied()
    }

    /// How long a call takes at present, smoothed; `None` before the first answer.
    pub fn latency_ms(&self) -> Option<f64> {
        self.tally.latency_ms()
    }

    /// Holds all calls until they are allowed again, or allows them again.
    pub fn set_paused(&self, paused: bool) {
        self.gate.set_paused(paused);
    }

    /// From now on all calls together, or those that look and those that write, are made at this rate.
    pub fn set_rate(&self, per_second: f64) {
        self.turns.set_rate(per_second);
    }

    /// The most calls a second, or the most that look; `None`: there is no limit.
    pub fn rate(&self) -> Option<f64> {
        self.turns.rate()
    }

    /// The calls a second that this process is set to, and those of another process of the target, where these are fewer
    /// and so count for all.
    pub fn lower_rate(&self) -> Option<(Option<f64>, f64)> {
        self.turns.lower_rate()
    }

    /// A final answer came.
    pub(super) fn answered(&self, call: &Call, course: &CallState, success: bool) {
        self.budget.deposit(course.cost);
        if success {
            self.suspects.succeeded(call);
        }
        if success && call.kind != Kind::Write && self.known_good.get().is_none() {
            // Another worker may have been quicker, which is as good.
            let _ = self.known_good.set(Call {
                // Whether it is to be had is known now: where it fails, the system does.
                tentative: false,
                ..call.clone()
            });
        }
    }

    /// Whether there is a new token after a 401. `again`: this call was refused before, with another token. An error: the
    /// token is refused, and there is no other.
    pub(super) async fn renewed_after(
        &self,
        bearer: &Arc<Bearer>,
        again: bool,
    ) -> Result<bool, CallError> {
        let after = self
            .tokens
            .refused(bearer, again, |bearer| self.is_still_good(bearer, None));
        match after.await {
            AfterRefusal::SendAgain => Ok(true),
            AfterRefusal::Final => Ok(false),
            AfterRefusal::NoToken(why) => Err(why),
        }
    }

    /// Waits before the next attempt, or says that there is none.
    pub(super) async fn before_retry(
        &self,
        why: CallError,
        course: &mut CallState,
    ) -> Result<(), CallError> {
        if self.gate.is_held() {
            // An outage of all is not this call's failure; the gate waits, and gives up in time.
            return Ok(());
        }
        course.failures += 1;
        if course.failures > self.retries {
            return Err(why);
        }
        let paid = self.budget.withdraw(why.kind == CallErrorKind::Timeout);
        course.cost = paid.unwrap_or(Cost::NONE);
        let wait = match paid {
            Some(_) => retry::back_off(course.failures - 1),
            None => retry::WITHOUT_BUDGET,
        };
        let waited = timed(&mut course.waited.back_off, self.wait(wait)).await;
        waited.map_err(|cancelled| CallError {
            status: why.status,
            ..cancelled.after(course.sent)
        })
    }

    pub(super) async fn wait(&self, time: Duration) -> Result<(), CallError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(CallError::cancelled()),
            () = sleep(time) => Ok(()),
        }
    }
}

fn constant_headers(character: &ApiTraits) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &character.constant_headers {
        let (name, mut value) = attempt::header(name, value)?;
        // An API key is a secret too.
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Checks an API's address as [`Client::new`] does, and returns it in its one normal form: host in lower case, no
/// default port, no slash at the end. For callers that check the address before anything is written down.
pub fn check_base_url(text: &str, allow_http: bool) -> Result<String, SetupError> {
    let url = check_url(text, "the address", allow_http)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// An address in the form in which two addresses are compared: as in [`check_base_url`], without the dot at the end of a
/// host, and with one name for this machine. A text that is no address is compared as it is.
pub fn address_key(base_url: &str) -> String {
    let Ok(mut url) = Url::parse(base_url.trim()) else {
        return base_url.to_owned();
    };
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned();
    let host = if is_loopback(&url) {
        "localhost"
    } else {
        &host
    };
    // A host that cannot be set is compared as it is.
    let _ = url.set_host(Some(host));
    url.as_str().trim_end_matches('/').to_owned()
}

/// An absolute URL without user, query and fragment, encrypted or to this machine.
fn check_url(text: &str, what: &'static str, allow_http: bool) -> Result<Url, SetupError> {
    let wrong = |why: &str| SetupError::Url {
        what,
        why: why.to_owned(),
    };
    let url = Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(wrong("it must be like https://api.example.com"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user or a password; leave them out"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it holds a `?` or a `#`; leave them out"));
    }
    if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
        return Err(SetupError::PlainHttp { what });
    }
    Ok(url)
}
