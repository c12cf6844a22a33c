//! Events → terminal, and everything else that a user sees.
//!
//! Results go to standard output, everything else to standard error. A closed pipe never stops a run. Text from a file
//! or a server is shown with [`visible`], so that nothing in it can control the terminal.

mod closing;
mod page;
mod palette;
mod problems;
mod progress;
mod progress_json;
mod progress_text;
#[cfg(test)]
mod progress_text_tests;
mod prompt;
mod redrawn;
mod size;
mod snapshot;
mod stream;
mod time_left;
mod wrap;

pub use crate::domain::{count, counted, duration, form, lines, one_or_many, per_second, visible};
pub use closing::{Closing, Count, Reason, closing};
pub use page::{Page, is_paged};
pub use palette::Tone;
pub use problems::problems;
pub use progress::{Mode, Progress, Source};
pub use prompt::{ask, can_ask, confirm};
pub use redrawn::Redrawn;
pub use size::bytes;
pub use stream::{
    OutWriter, err, error, help, lost, note, out, out_as_is, out_bytes, out_columns, printed,
    set_colour, warning,
};
pub use wrap::{columns_of, shortened};
