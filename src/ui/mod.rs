//! Events → terminal, and everything else that a person sees.
//!
//! Results go to standard output, everything else to standard error. A closed pipe never stops a run. Whatever
//! comes from a file or a server is shown with [`visible`], so that nothing in it can drive the terminal.

mod closing;
mod problems;
mod progress;
mod prompt;
mod stream;
mod time_left;

pub use crate::domain::{count, counted, duration, form, lines, one_or_many, visible};
pub use closing::{Closing, closing};
pub use problems::problems;
pub use progress::{Calls, Mode, Progress};
pub use prompt::{ask, can_ask, confirm};
pub use stream::{err, lost, out, out_bytes, printed, set_colour};
