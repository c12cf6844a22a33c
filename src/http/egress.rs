//! The local addresses that calls are sent from. Each has its own connections, its own quota and its own blocks by a
//! firewall; rate, holds, token and breaker belong to the target.
//!
//! Calls use the addresses in turn. An address is skipped while its quota is used up, while a firewall blocks it, or
//! while no connection can be made from it. After a block *one* call probes whether the block is over. The gate holds
//! all calls only if all addresses are blocked. Without a list there is one address, which the operating system
//! chooses.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::{QUIET, firewall_wait};
use super::call::CallError;
use super::health::{HealthBoard, WaitCause};
use super::machine_quota::Reservations;
use super::quota::{Permit, Permits, Waiting};
use super::settings::{Settings, SetupError};

/// Time that a probe has to find out whether a block is over, before another call may probe.
const PROBE: Duration = Duration::from_secs(10);

/// A wait for an address that is longer than this is shown to the user.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// The reason if no address has a turn.
pub(super) const QUOTA_USED_UP: &str = "the quota is used up";

/// A present or past period in which an address cannot be used: a firewall blocks it, or no connection can be made from
/// it.
#[derive(Debug, Clone, Copy)]
struct Block {
    since: Instant,
    wait: Duration,
    until: Instant,
    /// Number of blocks that came shortly before, one after another.
    level: u32,
    is_over: bool,
}

/// The state of a local address.
#[derive(Debug)]
struct Address {
    /// Its place in the list.
    at: usize,
    permits: Option<Permits>,
    block: Mutex<Option<Block>>,
    /// Number of its blocks so far.
    blocks: AtomicU64,
    /// Until when it has no turns, in milliseconds since `begun`; 0: not closed.
    closed_until_ms: AtomicU64,
    begun: Instant,
}

impl Address {
    fn new(at: usize, permits: Option<Permits>) -> Self {
        Self {
            at,
            permits,
            block: Mutex::default(),
            blocks: AtomicU64::default(),
            closed_until_ms: AtomicU64::default(),
            begun: Instant::now(),
        }
    }

    /// Returns until when the address has no turns.
    fn closed_until(&self, now: Instant) -> Option<Instant> {
        let until = match self.closed_until_ms.load(Ordering::Relaxed) {
            0 => return None,
            ms => self.begun + Duration::from_millis(ms),
        };
        (now < until).then_some(until)
    }

    /// Returns the right to one call from this address. The error is when to ask again; `None`: when a call is
    /// completed.
    fn depart(&self, now: Instant) -> Result<Way<'_>, Option<Instant>> {
        if let Some(until) = self.closed_until(now) {
            return Err(Some(until));
        }
        let blocks = self.blocks.load(Ordering::Acquire);
        let permits = self.permits.as_ref();
        let permit = permits.map(|permits| permits.try_take(now)).transpose()?;
        Ok(Way {
            from: self.at,
            address: self,
            blocks,
            permit,
        })
    }

    /// Notes that the system itself answered a call that departed at `departed`.
    fn reached(&self, departed: Instant) {
        if self.blocks.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(block) = &mut *self.block()
            && departed >= block.since
        {
            block.is_over = true;
        }
    }

    /// Notes that a firewall refused a call that departed at `departed`, or that the call could not connect.
    fn hold(&self, departed: Instant, now: Instant) {
        let mut block = self.block();
        let level = match *block {
            // The call departed before the known block began and belongs to it.
            Some(last) if departed < last.since => return,
            Some(last) if now < last.until + QUIET.max(last.wait) => last.level + 1,
            _ => 0,
        };
        let wait = firewall_wait(level);
        *block = Some(Block {
            since: now,
            wait,
            until: now + wait,
            level,
            is_over: false,
        });
        self.blocks.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns until when the address is blocked.
    fn blocked_until(&self, now: Instant) -> Option<Instant> {
        if self.blocks.load(Ordering::Acquire) == 0 {
            return None;
        }
        let block = (*self.block())?;
        (!block.is_over && now < block.until).then_some(block.until)
    }

    /// Notes that a call departs. If a block may be over, this call is the probe, and other calls wait for its result.
    fn probe(&self, now: Instant) {
        if self.blocks.load(Ordering::Acquire) > 0
            && let Some(block) = &mut *self.block()
            && !block.is_over
        {
            block.until = block.until.max(now + PROBE);
        }
    }

    fn block(&self) -> MutexGuard<'_, Option<Block>> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one call from an address.
#[derive(Debug)]
pub(super) struct Way<'a> {
    /// The address, by its place in the list.
    pub(super) from: usize,
    address: &'a Address,
    blocks: u64,
    permit: Option<Permit<'a>>,
}

impl Way<'_> {
    /// Returns whether no block of the address has begun since this right was given.
    pub(super) fn is_open(&self) -> bool {
        self.blocks == self.address.blocks.load(Ordering::Acquire)
    }

    /// Notes that the call goes out now. `false`: it must not be sent; see [`Permit::depart`].
    #[must_use]
    pub(super) fn depart(&mut self) -> bool {
        self.permit.as_mut().is_none_or(Permit::depart)
    }
}

/// All local addresses.
#[derive(Debug)]
pub(super) struct Egress {
    addresses: Vec<Address>,
    waiting: Arc<Waiting>,
    /// The address whose turn it is.
    next: AtomicUsize,
}

impl Egress {
    /// Creates the listed addresses, or the one that the operating system chooses. Each has its own quota.
    pub(super) fn with_quota(settings: &Settings) -> Result<Self, SetupError> {
        Self::new(settings, |ip, waiting| permits(settings, ip, waiting))
    }

    /// Creates the addresses without a quota, for calls that are counted elsewhere.
    pub(super) fn without_quota(settings: &Settings) -> Result<Self, SetupError> {
        Self::new(settings, |_, _| Ok(None))
    }

    fn new(
        settings: &Settings,
        permits: impl Fn(Option<IpAddr>, &Arc<Waiting>) -> Result<Option<Permits>, SetupError>,
    ) -> Result<Self, SetupError> {
        let waiting = Arc::default();
        let addresses = settings.addresses().into_iter().enumerate();
        let addresses = addresses.map(|(at, ip)| Ok(Address::new(at, permits(ip, &waiting)?)));
        Ok(Self {
            addresses: addresses.collect::<Result<_, SetupError>>()?,
            waiting,
            next: AtomicUsize::default(),
        })
    }

    /// Waits for an address from which a call may be sent, or for the address `only`. Shows a long wait, and `stop` ends
    /// the wait. `why`: what the call waits for.
    pub(super) async fn way(
        &self,
        only: Option<usize>,
        board: &HealthBoard,
        why: impl Fn() -> String,
        stop: &CancellationToken,
    ) -> Result<Way<'_>, CallError> {
        let ask = |now| match only {
            Some(at) => self.addresses[at].depart(now),
            None => self.choose(now),
        };
        // Nearly every call; without a wait, nothing has to end it.
        if let Some(way) = self.waiting.at_once(ask) {
            return Ok(way);
        }
        let told = |until: Option<Instant>| match until {
            Some(until) if until > Instant::now() + LONG_WAIT => {
                board.hold(WaitCause::Quota, why(), until);
            }
            Some(_) => {}
            None => board.free(WaitCause::Quota),
        };
        tokio::select! {
            biased;
            way = self.waiting.first(ask, told) => Ok(way),
            () = stop.cancelled() => {
                board.free(WaitCause::Quota);
                Err(CallError::cancelled())
            }
        }
    }

    /// Notes that this address has no turns until `until`.
    pub(super) fn close(&self, at: usize, until: Instant) {
        let address = &self.addresses[at];
        let since = until.saturating_duration_since(address.begun).as_millis();
        let ms = u64::try_from(since).map_or(u64::MAX, |ms| ms + 1);
        address.closed_until_ms.store(ms, Ordering::Relaxed);
    }

    /// Returns whether this address has no turns now.
    pub(super) fn is_closed(&self, at: usize) -> bool {
        self.addresses[at].closed_until(Instant::now()).is_some()
    }

    /// Returns for how long a firewall still blocks this address.
    pub(super) fn blocked_for(&self, at: usize) -> Option<Duration> {
        let now = Instant::now();
        let until = self.addresses[at].blocked_until(now)?;
        Some(until - now)
    }

    fn choose(&self, now: Instant) -> Result<Way<'_>, Option<Instant>> {
        let count = self.addresses.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let in_turn = (first..first + count).map(|at| &self.addresses[at % count]);
        let (mut soonest, mut blocked) = (None, Vec::new());
        for address in in_turn {
            if let Some(until) = address.blocked_until(now) {
                blocked.push((until, address));
                continue;
            }
            match address.depart(now) {
                Ok(way) => {
                    address.probe(now);
                    return Ok(way);
                }
                Err(until) => soonest = soonest.into_iter().chain(until).min(),
            }
        }
        let ends = blocked.iter().map(|(until, _)| *until).min();
        if blocked.len() < count {
            return Err(soonest.into_iter().chain(ends).min());
        }
        // The gate holds all calls, and this call is its probe.
        let least = blocked.into_iter().min_by_key(|(until, _)| *until);
        least.map_or(Err(None), |(_, address)| address.depart(now))
    }

    /// Notes that the system itself answered a call that departed from this address at `departed`.
    pub(super) fn reached(&self, from: usize, departed: Instant) {
        self.addresses[from].reached(departed);
    }

    /// Notes that a firewall refused a call that departed from this address at `departed`, or that the call could not
    /// connect. Returns whether all addresses are blocked now, so that all calls are concerned.
    pub(super) fn hold(&self, from: usize, departed: Instant) -> bool {
        if self.addresses.len() == 1 {
            return true;
        }
        let now = Instant::now();
        self.addresses[from].hold(departed, now);
        let mut all = self.addresses.iter();
        all.all(|address| address.blocked_until(now).is_some())
    }
}

/// Creates the permits of the quota for calls from this local address.
fn permits(
    settings: &Settings,
    ip: Option<IpAddr>,
    waiting: &Arc<Waiting>,
) -> Result<Option<Permits>, SetupError> {
    let Some(quota) = settings.quota else {
        return Ok(None);
    };
    let (reservations, others) = match settings.call_reservations.clone() {
        Some(shared) => {
            let opened =
                Reservations::open(shared, quota, ip).map_err(SetupError::CallReservations)?;
            (Some(opened.0), opened.1)
        }
        None => (None, Vec::new()),
    };
    let waiting = Arc::clone(waiting);
    Ok(Some(Permits::new(quota, reservations, others, waiting)))
}

/// Parses a list of local addresses, separated by commas or line ends. Rejects duplicates and addresses that no machine
/// can have.
pub fn parse_addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for word in text.split([',', '\n']).map(str::trim) {
        let address: IpAddr = word.parse().map_err(|_| {
            format!(
                "`{word}` is not an IP address; write local addresses like 10.0.0.1 or 2001:db8::1"
            )
        })?;
        let address = address.to_canonical();
        if address.is_unspecified() || address.is_multicast() {
            return Err(format!(
                "`{word}` is not the address of a single machine; `ip address` shows the addresses of this machine"
            ));
        }
        if addresses.contains(&address) {
            return Err(format!("`{word}` is listed twice; leave one of them out"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// Checks that calls to this URL can be sent from these addresses of this machine; sends nothing.
pub fn check_addresses(addresses: &[IpAddr], base_url: &str) -> Result<(), SetupError> {
    let Some(url) = Url::parse(base_url).ok().filter(|_| !addresses.is_empty()) else {
        return Ok(());
    };
    // If the host name is not found, the calls report it.
    let system = url.socket_addrs(|| None).unwrap_or_default();
    for &address in addresses {
        check_address(address, &system).map_err(|why| SetupError::LocalAddress { address, why })?;
    }
    Ok(())
}

fn check_address(address: IpAddr, system: &[SocketAddr]) -> Result<(), String> {
    let socket = UdpSocket::bind((address, 0)).map_err(|why| {
        format!("this machine has no such address ({why}); `ip address` shows its addresses")
    })?;
    if system.is_empty() {
        return Ok(());
    }
    let same_family = |other: &&SocketAddr| other.is_ipv4() == address.is_ipv4();
    let mut reachable = system.iter().filter(same_family).peekable();
    let Some(first) = reachable.peek() else {
        let (its, own) = if address.is_ipv4() {
            ("IPv6", "IPv4")
        } else {
            ("IPv4", "IPv6")
        };
        return Err(format!(
            "it is an {own} address, and the API has {its} addresses only; list {its} addresses of this machine"
        ));
    };
    let first = first.ip();
    // Connecting a datagram socket looks up the route and sends nothing.
    let found = reachable.map(|there| socket.connect(there));
    match found.reduce(Result::or) {
        Some(Err(why)) => Err(format!(
            "{first} cannot be reached from it ({why}); list an address that has a route to the API"
        )),
        Some(Ok(())) | None => Ok(()),
    }
}
