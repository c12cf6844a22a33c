//! The token of a target: when it is renewed, and what a 401 means.
//!
//! One renewal serves all workers, and a token that was renewed meanwhile is taken instead of renewing again. A 401
//! can mean two things: the token is no longer good, or this customer is not for this token. The first 401 renews.
//! Where the call is refused again, a call that was accepted before is asked again with the same token: accepted, and the
//! refusal is about the customer; refused too, and this token is used up as well and is renewed. From the first refusal
//! that is about a customer, every 401 is looked into like this: a thousand foreign customers do not cost a thousand
//! tokens.

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

/// Tokens that live shorter than four times this are asked for at most this often.
const BETWEEN: Duration = Duration::from_secs(1);
/// Tokens in a row of which none was ever accepted; more are not the token's fault.
const MOST_BARREN: u32 = 3;
/// Where renewing early fails while the token still lives, the next try is not sooner than this.
const NEXT_EARLY_TRY: Duration = Duration::from_secs(5);
/// A command that gave the same token again is not run again sooner than this.
const SAME_AGAIN: Duration = Duration::from_secs(5);
/// A file or a command that fails may be in the middle of being renewed.
const LOCAL_TRIES: u32 = 3;
/// A caller that asks for a token this soon after a refusal gets the same answer; no new request is made.
const REFUSAL_HOLDS: Duration = Duration::from_secs(30);

/// What to do about a 401.
#[derive(Debug)]
pub(super) enum AfterRefusal {
    /// There is a new token: it is worth sending again.
    SendAgain,
    /// The token is good, or there is no other: the answer stands.
    Final,
    /// The token is refused, and no other can be had for this reason: the answer says nothing about the customer.
    NoToken(CallError),
}

#[derive(Debug)]
enum Source {
    Kept(SecretSource),
    Endpoint(Box<TokenEndpoint>),
}

impl Source {
    /// For the log of calls.
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
    /// Customers exist that are refused with a good token.
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
    /// When a token that lives shortly may be followed by the next.
    next_at: Option<Instant>,
    /// Tokens since the last one that was accepted.
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
                .install(&Fetched { token, life: None }, Instant::now())
                .map_err(SetupError::Token)?;
        }
        Ok(tokens)
    }

    /// Tokens got after the first.
    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }

    /// The token to send; gets or renews it where that is due.
    pub(super) async fn current(&self) -> Result<Arc<Bearer>, CallError> {
        if let Some(bearer) = self.cached()
            && !bearer.is_due()
            && !bearer.is_dead()
        {
            return Ok(bearer);
        }
        self.renewed().await
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
        // Early: nothing is lost if it fails, the old one still lives.
        if renewing.not_before.is_some_and(|at| Instant::now() < at) {
            return Ok(old);
        }
        renewing.not_before = Some(Instant::now() + NEXT_EARLY_TRY);
        Ok(self.renew(&mut renewing, false).await.unwrap_or(old))
    }

    /// A call that departed then with this token was accepted.
    pub(super) fn accepted(&self, bearer: &Bearer, departed: Instant) {
        bearer.accept(super::health::micros(departed - self.epoch));
    }

    /// A call with this token got a 401 just now. `again`: it was refused before, with another token. `still_good` asks
    /// whether a call that was accepted before still is, with the same token; `None`: that could not be found out.
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
                // Reading a file costs nothing.
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
        // There is no other, so it is tried again.
        bearer.set_dead(false);
        match renewed {
            Ok(_) => {
                // Whoever keeps it thinks it is good; from here on, 401s are looked into first.
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

    /// Gets a token. `patiently`: waits out what passes, until giving up.
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
            let asked_at = Instant::now();
            let refusal = match self.fetch().await {
                Ok(fetched) => match self.install(&fetched, asked_at) {
                    Ok(bearer) => {
                        let is_short = fetched.life.is_some_and(|life| life < BETWEEN * 4);
                        renewing.next_at = is_short.then(|| asked_at + BETWEEN);
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
                Err(Refusal::Final("the token given is refused".to_owned()))
            }
            Source::Kept(kept) => {
                let token = kept.read(SecretKind::Token).await;
                token.map(without_life).map_err(Refusal::Local)
            }
            Source::Endpoint(endpoint) => endpoint.fetch().await,
        }
    }

    /// Makes it the current one. The same token again stays the token it was.
    fn install(&self, fetched: &Fetched, asked_at: Instant) -> Result<Arc<Bearer>, String> {
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
