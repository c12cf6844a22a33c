//! The wall clock, for stamps only.

/// Milliseconds since 1970, UTC.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
