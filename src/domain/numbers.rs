//! Formats numbers for people. Every count that is shown with a noun is formatted here, in singular or plural.

use indicatif::HumanCount;

/// Formats a number with thousands separators: `12,400`.
pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Formats a rate per second: `0.4`, `19.8`, `20`, `1,250`. It has one decimal if it is below 100 and the decimal is not 0.
pub fn per_second(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for a person; what is too large is shown as the largest number"
    )]
    let tenths = (rate * 10.0).round() as u64;
    if tenths >= 1000 || tenths.is_multiple_of(10) {
        count((tenths + 5) / 10)
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// `1 line`, `12,400 lines`.
pub fn lines(number: u64) -> String {
    counted(number, "line")
}

/// `1 unit`, `12,400 units`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `1 line has failed`, `12,400 lines have failed`.
pub fn one_or_many(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), form(number, one, many))
}

/// Returns `one` for the number 1, and `many` for all others.
pub fn form<'a>(number: u64, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

/// `1 h 13 min`, `4 min 10 s`, `9 s`.
pub fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) if m < 10 => format!("{m} min {s} s"),
        (0, m, _) => format!("{m} min"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators_and_durations_are_rounded() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(12_400), "12,400");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(count(123_456), "123,456");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        for (rate, words) in [
            (0.0, "0"),
            (0.44, "0.4"),
            (19.83, "19.8"),
            (19.97, "20"),
            (100.4, "100"),
            (1250.0, "1,250"),
        ] {
            assert_eq!(per_second(rate), words);
        }
        assert_eq!(lines(1), "1 line");
        assert_eq!(lines(12_400), "12,400 lines");
        assert_eq!(counted(1, "longer cycle"), "1 longer cycle");
        assert_eq!(one_or_many(1, "line is", "lines are"), "1 line is");
        assert_eq!(one_or_many(0, "line is", "lines are"), "0 lines are");
        assert_eq!(duration(9), "9 s");
        assert_eq!(duration(250), "4 min 10 s");
        assert_eq!(duration(4380), "1 h 13 min");
    }
}
