//! The client: takes a call through gate, token, quota and pace, sends it, and returns its result.

use reqwest::Url;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::attempt;
use super::bearer::Bearer;
use super::call::{ApiTraits, Call, CallError, CallErrorKind, CallKind, Reply};
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

/// Maximum number of times that a call is sent again after a 401. It is high because of tokens that are valid for few
/// calls: with many calls in flight, other calls can use up each new token.
pub(super) const MOST_RENEWALS: u32 = 25;

/// Maximum number of consecutive attempts of one call that were not processed; more are a failure like any other.
const MOST_UNPROCESSED: u32 = 10;

/// Makes the calls of one target. All workers share it.
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
    /// Time limit for the whole of one call.
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) give_up_after: Duration,
    pub(super) gate: Gate,
    pub(super) tokens: Tokens,
    pub(super) turns: Box<dyn Turns>,
    pub(super) budget: Budget,
    pub(super) board: Arc<HealthBoard>,
    pub(super) tally: Tally,
    /// The first read that succeeded. Repeating it distinguishes an outage from a failure that concerns one customer
    /// only.
    pub(super) known_good: OnceLock<Call>,
    /// The difference of the clocks, from the first answer with a `Date`.
    pub(super) skew: OnceLock<Skew>,
    /// Calls that seem to have been refused by a firewall.
    pub(super) suspects: BlockedCalls,
    pub(super) stop: CancellationToken,
}

/// The state of a call over all of its attempts.
#[derive(Debug)]
pub(super) struct CallState {
    pub(super) begun: Instant,
    pub(super) sent: u32,
    /// Failures that count against the retries.
    pub(super) failures: u32,
    pub(super) cost: Cost,
    /// Number of new tokens after a 401.
    pub(super) renewed: u32,
    /// Attempts that were not processed, for example because the server was closing the connection.
    unprocessed: u32,
    /// Whether it is a probe, which only finds out whether calls are answered, in place of another call.
    pub(super) is_probe: bool,
    /// How long the next attempt has waited so far.
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

    /// Creates the state of a call that only finds out whether calls are answered.
    pub(super) fn probe() -> Self {
        Self {
            is_probe: true,
            ..Self::new()
        }
    }

    /// Counts an unprocessed attempt, and returns whether the call may be sent again at its next turn without a pause.
    /// Such an attempt says nothing about the system, but their number is limited.
    pub(super) fn may_repeat_freely(&mut self) -> bool {
        self.unprocessed += 1;
        self.unprocessed <= MOST_UNPROCESSED
    }
}

impl Client {
    /// Checks the settings and builds the client; sends nothing. `stop` ends waits in holds and back-offs.
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

    /// Returns whether calls are sent or held; changes are worth showing to the user.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.board.watch()
    }

    /// Returns the number of calls.
    pub fn counters(&self) -> Counters {
        self.tally.snapshot(self.tokens.renewals())
    }

    /// Notes that there was nothing to call for this long, so this time does not count for the rate that was reached.
    pub fn was_idle(&self, time: Duration) {
        self.tally.was_idle(time);
    }

    /// Returns the time from the first call to the last, without the time in which there was nothing to call.
    pub fn active(&self) -> Duration {
        self.tally.active()
    }

    /// Returns the difference between this machine's clock and the server's; `None` before the first answer with a
    /// `Date`.
    pub fn skew(&self) -> Option<Skew> {
        self.skew.get().copied()
    }

    /// Returns the present, smoothed latency of a call; `None` before the first answer.
    pub fn latency_ms(&self) -> Option<f64> {
        self.tally.latency_ms()
    }

    /// Holds all calls until this is called with `false`.
    pub fn set_paused(&self, paused: bool) {
        self.gate.set_paused(paused);
    }

    /// Sets the rate of all calls together; if writes have a limit of their own, of reads and of writes each.
    pub fn set_rate(&self, per_second: f64) {
        self.turns.set_rate(per_second);
    }

    /// Returns the rate limit of reads (or of all calls together), in calls per second; `None`: no limit.
    pub fn rate(&self) -> Option<f64> {
        self.turns.rate()
    }

    /// Returns the calls per second that this process is set to, and the lower rate of another process of the target,
    /// which applies to all processes.
    pub fn lower_rate(&self) -> Option<(Option<f64>, f64)> {
        self.turns.lower_rate()
    }

    /// Notes that a final answer came.
    pub(super) fn answered(&self, call: &Call, course: &CallState, success: bool) {
        self.budget.deposit(course.cost);
        if success {
            self.suspects.succeeded(call);
        }
        if success && call.kind != CallKind::Write && self.known_good.get().is_none() {
            // Another worker may have set it first, which is equally good.
            let _ = self.known_good.set(Call {
                // This resource is known to exist now: if the probe fails, the system has failed.
                tentative: false,
                ..call.clone()
            });
        }
    }

    /// Returns whether there is a new token after a 401. `again`: this call was refused before, with another token. An
    /// error means that the token is refused and there is no other.
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

    /// Waits before the next attempt; an error means that there is none.
    pub(super) async fn before_retry(
        &self,
        why: CallError,
        course: &mut CallState,
    ) -> Result<(), CallError> {
        if self.gate.is_held() {
            // A general outage is not a failure of this call; the gate waits, and gives up after its time limit.
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
        let waited = timed(&mut course.waited.back_off, pin!(self.wait(wait))).await;
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

/// Checks an API's address as [`Client::new`] does, and returns its normal form: host in lower case, no default port,
/// no slash at the end. For callers that check the address before anything is recorded.
pub fn check_base_url(text: &str, allow_http: bool) -> Result<String, SetupError> {
    let url = check_url(text, "the address", allow_http)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Returns an address in the form in which two addresses are compared: as in [`check_base_url`], without the dot at the
/// end of a host, and with one name for this machine. A text that is not an address is returned unchanged.
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
    // If the host cannot be set, it stays as it is.
    let _ = url.set_host(Some(host));
    url.as_str().trim_end_matches('/').to_owned()
}

/// Parses an absolute URL. Refuses user, query and fragment, and plain HTTP to another machine unless `allow_http`.
fn check_url(text: &str, what: &'static str, allow_http: bool) -> Result<Url, SetupError> {
    let wrong = |why: &str| SetupError::Url {
        what,
        why: why.to_owned(),
    };
    if !text.contains("://") {
        // The text may hold a password, and is not shown.
        return Err(wrong(
            "`https://` is missing at its beginning, as in https://api.example.com",
        ));
    }
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
