//! Where the turns of a target come from when several processes call it, perhaps on several machines: one rate, one quota
//! for each address, and holds that concern all. The caller says where that is: a database that they share.

use crate::limits::{TurnsAsk, TurnsGrant};
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// Ends with the answer, or with why there is none.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<TurnsGrant, String>> + Send + 'a>>;

/// Gives out the turns of a target to all its processes.
pub trait SharedRate: fmt::Debug + Send + Sync {
    /// The next turns. A turn that was granted and is not used is only lost time, so a process may end at any moment.
    fn grant(&self, ask: TurnsAsk) -> Granting<'_>;

    /// The system refuses calls: no process makes any for this time, and all make them more slowly afterwards where
    /// `slows`. `answered`: calls that find and that write, accepted since the last question. Does not wait.
    fn hold_target(&self, wait: Duration, slows: bool, answered: [u32; 2]);

    /// A firewall blocks this address: no process makes calls from it for this time. Does not wait.
    fn hold_address(&self, from: Option<IpAddr>, wait: Duration);

    /// A person sets the rate of all processes that are at work. Does not wait.
    fn order(&self, per_second: f64, gap: Duration);

    /// Turns that will not be used: the number of their grant, and how many. Does not wait.
    fn give_back(&self, unused: &[(i64, u32)]);
}
