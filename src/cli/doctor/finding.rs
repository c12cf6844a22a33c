//! One finding of `doctor`: what it checked, and the result.

/// The result of a check.
pub(super) enum Found {
    Good(String),
    /// It works, but something may surprise the user.
    Odd(String),
    Bad(String),
}

impl From<Result<String, String>> for Found {
    fn from(result: Result<String, String>) -> Self {
        match result {
            Ok(words) => Self::Good(words),
            Err(why) => Self::Bad(why),
        }
    }
}

/// What was checked, and the result.
pub(super) struct Finding {
    pub(super) what: &'static str,
    pub(super) found: Found,
}

impl Finding {
    pub(super) fn is_good(&self) -> bool {
        !matches!(self.found, Found::Bad(_))
    }

    pub(super) fn is_warning(&self) -> bool {
        matches!(self.found, Found::Odd(_))
    }

    pub(super) fn words(&self) -> &str {
        match &self.found {
            Found::Good(words) | Found::Odd(words) | Found::Bad(words) => words,
        }
    }
}
