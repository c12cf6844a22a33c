//! The token of a target: when it is renewed, and what a 401 means.
//!
//! One renewal serves all workers, and a call uses a token that was renewed meanwhile instead of renewing it again. A
//! 401 has two possible meanings: the token is no longer valid, or this customer is not accessible with this token. The
//! first 401 renews the token. If the call is refused again, a call that was accepted before is repeated with the same
//! token. If that is accepted, the refusal concerns the customer. If it is refused too, this token has also been used
//! up and is renewed. After the first refusal that concerns a customer, every 401 is checked in this way, so a thousand
//! foreign customers do not cost a thousand tokens.

use crate::moment::Moment;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::bearer::Bearer;
use super::call::{CallError, CallErrorKind};
use super::health::{HealthBoard, WaitCause};
use super::oauth::TokenEndpoint;
use super::retry::full_jitter;
use super::secret_source::SecretSource;
use super::secret_text::SecretKind;
use super::settings::SetupError;
use super::token_source::{Fetched, OAuth2, Refusal, Token, bearer_header};
use super::trace;

/// Minimum time between two requests for tokens that live shorter than four times this.
const BETWEEN: Duration = Duration::from_secs(1);
/// Maximum number of consecutive tokens that were never accepted; after that, the token is not the reason for a 401.
const MOST_BARREN: u32 = 3;
/// Minimum time until the next try if an early renewal fails while the token is still valid.
const NEXT_EARLY_TRY: Duration = Duration::from_secs(5);
/// Minimum time before a command that returned the same token runs again.
const SAME_AGAIN: Duration = Duration::from_secs(5);
/// Maximum number of tries of a file or a command, which may fail while it is being updated.
const LOCAL_TRIES: u32 = 3;
/// A caller that asks for a token this soon after a refusal gets the same error, without a new request.
const REFUSAL_HOLDS: Duration = Duration::from_secs(30);

/// The reaction to a 401.
#[derive(Debug)]
pub(super) enum AfterRefusal {
    /// There is a new token: the call should be sent again.
    SendAgain,
    /// The token is valid, or there is no other: the answer is final.
    Final,
    /// The token is refused, and no other is available for this reason: the answer says nothing about the customer.
    NoToken(CallError),
}

#[derive(Debug)]
enum Source {
    Kept(SecretSource),
    Endpoint(Box<TokenEndpoint>),
}

impl Source {
    /// The name in the log of calls.
    const fn name(&self) -> &'static str {
        match self {
            Self::Kept(kept) => kept.name(),
            Self::Endpoint(_) => "endpoint",
        }
    }
}

/// The token of one target, shared by all workers.
#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    epoch: Instant,
    current: RwLock<Option<Arc<Bearer>>>,
    renewing: tokio::sync::Mutex<Renewing>,
    /// Whether some customers are refused although the token is valid.
    foreign_customers: AtomicBool,
    renewals: AtomicU64,
    give_up_after: Duration,
    board: Arc<HealthBoard>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Renewing {
    refused: Option<(CallError, Instant)>,
    not_before: Option<Instant>,
    /// Earliest time of the next request, if the present token has a short lifetime.
    next_at: Option<Instant>,
    /// Number of tokens since the last accepted one.
    barren: u32,
}

impl Tokens {
    pub(super) fn new(
        token: Token,
        endpoint: impl FnOnce(OAuth2) -> Result<TokenEndpoint, SetupError>,
        give_up_after: Duration,
        board: Arc<HealthBoard>,
        stop: CancellationToken,
    ) -> Result<Self, SetupError> {
        let (source, first) = match token {
            Token::Kept(kept) => {
                let first = kept.first(SecretKind::Token).map_err(SetupError::Token)?;
                (Source::Kept(kept), first)
            }
            Token::OAuth2(settings) => (Source::Endpoint(Box::new(endpoint(settings)?)), None),
        };
        let tokens = Self {
            source,
            epoch: Instant::now(),
            current: RwLock::default(),
            renewing: tokio::sync::Mutex::default(),
            foreign_customers: AtomicBool::new(false),
            renewals: AtomicU64::new(0),
            give_up_after,
            board,
            stop,
        };
        if let Some(token) = first {
            tokens
                .install(&Fetched { token, life: None }, Moment::now())
                .map_err(SetupError::Token)?;
        }
        Ok(tokens)
    }

    /// Returns the number of tokens that were obtained after the first one.
    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }

    /// Returns the token to send; obtains or renews it if that is due.
    pub(super) async fn current(&self) -> Result<Arc<Bearer>, CallError> {
        if let Some(bearer) = self.cached()
            && !bearer.is_due()
            && !bearer.is_dead()
        {
            return Ok(bearer);
        }
        // Rare, and would make the future of every call larger.
        Box::pin(self.renewed()).await
    }

    async fn renewed(&self) -> Result<Arc<Bearer>, CallError> {
        let mut renewing = self.renewing.lock().await;
        let Some(old) = self.cached() else {
            return self.renew(&mut renewing, true).await;
        };
        if !old.is_due() {
            return Ok(old);
        }
        if old.has_ended() {
            return self.renew(&mut renewing, true).await;
        }
        // The renewal is early: if it fails, the old token is still valid.
        if renewing.not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(old);
        }
        renewing.not_before = Some(Instant::now() + NEXT_EARLY_TRY);
        Ok(self.renew(&mut renewing, false).await.unwrap_or(old))
    }

    /// Notes that a call with this token, which departed at `departed`, was accepted.
    pub(super) fn accepted(&self, bearer: &Bearer, departed: Instant) {
        bearer.accept(super::health::micros(departed - self.epoch));
    }

    /// Decides what to do after a 401 to a call with this token. `again`: the call was refused before, with another
    /// token. `still_good` finds out whether a call that was accepted before is still accepted with the same token;
    /// `None`: unknown.
    pub(super) async fn refused<F>(
        &self,
        bearer: &Arc<Bearer>,
        again: bool,
        still_good: impl Fn(Arc<Bearer>) -> F,
    ) -> AfterRefusal
    where
        F: Future<Output = Option<bool>>,
    {
        let arrived = super::health::micros(self.epoch.elapsed());
        if matches!(self.source, Source::Kept(SecretSource::Given(_))) {
            return AfterRefusal::Final;
        }
        let mut renewing = self.renewing.lock().await;
        if self
            .cached()
            .is_some_and(|now| now.generation > bearer.generation)
        {
            return AfterRefusal::SendAgain;
        }
        if bearer.last_accepted() > arrived {
            return AfterRefusal::Final;
        }
        let was_accepted = bearer.was_accepted();
        let is_fresh = bearer.generation > 1 && !was_accepted;
        if again || is_fresh || self.foreign_customers.load(Ordering::Relaxed) {
            match still_good(bearer.clone()).await {
                Some(false) => {}
                // Reading a file again costs nothing, so an unknown result does not prevent it.
                None if !is_fresh
                    && !again
                    && matches!(self.source, Source::Kept(SecretSource::File(_))) => {}
                Some(true) | None => {
                    self.foreign_customers.store(true, Ordering::Relaxed);
                    return AfterRefusal::Final;
                }
            }
        }
        if renewing.not_before.is_some_and(|at| Instant::now() < at) {
            return AfterRefusal::Final;
        }
        if was_accepted {
            renewing.barren = 0;
        } else if renewing.barren >= MOST_BARREN {
            return AfterRefusal::Final;
        }
        let before = bearer.header.clone();
        bearer.set_dead(true);
        let renewed = self.renew(&mut renewing, true).await;
        if let Ok(new) = &renewed
            && new.header != before
        {
            return AfterRefusal::SendAgain;
        }
        // There is no other token, so calls use this one again.
        bearer.set_dead(false);
        match renewed {
            Ok(_) => {
                // The source still returns the same token; from now on, each 401 is checked first.
                self.foreign_customers.store(true, Ordering::Relaxed);
                if matches!(self.source, Source::Kept(SecretSource::Command(_))) {
                    renewing.not_before = Some(Instant::now() + SAME_AGAIN);
                }
                AfterRefusal::Final
            }
            Err(why) => match still_good(bearer.clone()).await {
                Some(true) => {
                    self.foreign_customers.store(true, Ordering::Relaxed);
                    AfterRefusal::Final
                }
                Some(false) | None => AfterRefusal::NoToken(why),
            },
        }
    }

    fn cached(&self) -> Option<Arc<Bearer>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Obtains a token. `patiently`: repeats after temporary failures, until giving up.
    async fn renew(
        &self,
        renewing: &mut Renewing,
        patiently: bool,
    ) -> Result<Arc<Bearer>, CallError> {
        if let Some((why, at)) = &renewing.refused
            && at.elapsed() < REFUSAL_HOLDS
        {
            return Err(why.clone());
        }
        let begun = Instant::now();
        if let Some(at) = renewing.next_at {
            self.wait_until(at).await?;
        }
        let (mut failures, mut local_failures) = (0, 0);
        let result = loop {
            let asked_at = Moment::now();
            let refusal = match self.fetch().await {
                Ok(fetched) => match self.install(&fetched, asked_at) {
                    Ok(bearer) => {
                        let is_short = fetched.life.is_some_and(|life| life < BETWEEN * 4);
                        renewing.next_at = is_short.then(|| (asked_at + BETWEEN).timer());
                        trace::token_renewed(
                            self.source.name(),
                            bearer.generation,
                            asked_at,
                            fetched.life,
                        );
                        break Ok(bearer);
                    }
                    Err(text) => Refusal::Final(text),
                },
                Err(refusal) => refusal,
            };
            trace::token_failed(self.source.name(), asked_at, refusal.name());
            let text = match refusal {
                Refusal::Final(text) => {
                    break Err(CallError::new(CallErrorKind::TokenRefused, text));
                }
                Refusal::Strange(text) if self.cached().is_none() => {
                    break Err(CallError::new(CallErrorKind::TokenRefused, text));
                }
                Refusal::Local(text) => {
                    local_failures += 1;
                    text
                }
                Refusal::Later(text) | Refusal::Strange(text) => text,
            };
            failures += 1;
            if local_failures >= LOCAL_TRIES {
                break Err(CallError::new(CallErrorKind::TokenRefused, text));
            }
            if begun.elapsed() >= self.give_up_after {
                break Err(CallError::new(CallErrorKind::GaveUp, text));
            }
            if !patiently {
                return Err(CallError::new(CallErrorKind::TokenRefused, text));
            }
            let wait = full_jitter(
                Duration::from_secs(1),
                Duration::from_secs(30),
                failures - 1,
            )
            .max(Duration::from_millis(200));
            self.board.hold_in_outage(
                WaitCause::Token,
                format!("no token: {text}"),
                Instant::now() + wait,
            );
            if let Err(cancelled) = self.wait_until(Instant::now() + wait).await {
                break Err(cancelled);
            }
        };
        self.board.free(WaitCause::Token);
        match &result {
            Ok(_) => {
                renewing.barren += 1;
                renewing.refused = None;
                renewing.not_before = None;
            }
            Err(why) => renewing.refused = Some((why.clone(), Instant::now())),
        }
        result
    }

    async fn wait_until(&self, at: Instant) -> Result<(), CallError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(CallError::cancelled()),
            () = sleep_until(at) => Ok(()),
        }
    }

    async fn fetch(&self) -> Result<Fetched, Refusal> {
        let without_life = |token| Fetched { token, life: None };
        match &self.source {
            Source::Kept(SecretSource::Given(_)) => {
                Err(Refusal::Final("the token was refused".to_owned()))
            }
            Source::Kept(kept) => {
                let token = kept.read(SecretKind::Token).await;
                token.map(without_life).map_err(Refusal::Local)
            }
            Source::Endpoint(endpoint) => endpoint.fetch().await,
        }
    }

    /// Makes the fetched token the current one. If it equals the current one, that one stays.
    fn install(&self, fetched: &Fetched, asked_at: Moment) -> Result<Arc<Bearer>, String> {
        let header = bearer_header(&fetched.token)?;
        let old = self.cached();
        if let Some(old) = &old
            && old.header == header
            && fetched.life.is_none()
        {
            return Ok(old.clone());
        }
        let generation = old.map_or(0, |old| old.generation) + 1;
        if generation > 1 {
            self.renewals.fetch_add(1, Ordering::Relaxed);
        }
        let bearer = Arc::new(Bearer::new(header, generation, asked_at, fetched.life));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(bearer.clone());
        Ok(bearer)
    }
}
