//! The numbers and rules that differ between the systems and that other modules need.

use std::fmt;

/// Which remote system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemKind {
    /// Plume Cloud.
    Plume,
    /// Adobe VIP Marketplace.
    Adobe,
    /// `CloudCockpit`.
    CloudCockpit,
}

/// What other modules need to know about a system.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each read alone"
)]
pub struct Capabilities {
    /// The name of options, files and reports.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// The default limit: calls per second.
    pub rate_per_s: f64,
    /// The default quota: the number of calls, and the window in seconds.
    pub quota: Option<(u32, u64)>,
    /// Whether two customers may never have one account ID, so that order matters.
    pub unique_accounts: bool,
    /// Whether the system itself is known to refuse a duplicate account ID.
    pub refuses_duplicates: bool,
    /// Whether each search calls the system. Otherwise searches use a list that was read earlier and does not show what
    /// changed afterwards.
    pub searches_live: bool,
    /// The longest account ID, in characters.
    pub max_account_chars: usize,
    /// The shortest account ID that raises no warning, in characters.
    pub min_account_chars: usize,
    /// Characters that an account ID must not contain.
    pub forbidden_in_account: &'static str,
    /// Keywords that a search refuses.
    pub forbidden_accounts: &'static [&'static str],
    /// Whether a customer has locations with service IDs and profiles.
    pub has_locations: bool,
    /// Whether the account ID belongs to the relationship of a reseller and a customer.
    pub per_reseller: bool,
    /// Whether the IDs of customers and resellers are GUIDs, which are compared without regard to case.
    pub ids_are_guids: bool,
    /// Whether an account ID can be removed.
    pub can_clear: bool,
    /// Whether the answer to a write may show values that do not persist, so that the write is checked again.
    pub answers_may_mislead: bool,
    /// Whether a write that carries contacts makes the system send e-mails to them.
    pub sends_emails: bool,
}

impl SystemKind {
    /// All systems.
    pub const ALL: [Self; 3] = [Self::Plume, Self::Adobe, Self::CloudCockpit];

    /// The system of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.capabilities().name == name)
    }

    /// Returns what is fixed about the system. The sources are the API documents of each.
    pub const fn capabilities(self) -> &'static Capabilities {
        match self {
            Self::Plume => &Capabilities {
                name: "plume",
                title: "Plume",
                rate_per_s: 6.0,
                quota: Some((2000, 300)),
                unique_accounts: true,
                refuses_duplicates: true,
                searches_live: true,
                max_account_chars: 255,
                min_account_chars: 6,
                forbidden_in_account: "",
                forbidden_accounts: &["null"],
                has_locations: true,
                per_reseller: false,
                ids_are_guids: false,
                can_clear: false,
                answers_may_mislead: false,
                sends_emails: false,
            },
            Self::Adobe => &Capabilities {
                name: "adobe",
                title: "Adobe VIP Marketplace",
                rate_per_s: 5.0,
                quota: None,
                unique_accounts: false,
                refuses_duplicates: false,
                searches_live: false,
                max_account_chars: 35,
                min_account_chars: 0,
                forbidden_in_account: "<>[]\"",
                forbidden_accounts: &[],
                has_locations: false,
                per_reseller: false,
                ids_are_guids: false,
                can_clear: false,
                answers_may_mislead: true,
                sends_emails: true,
            },
            Self::CloudCockpit => &Capabilities {
                name: "cloudcockpit",
                title: "CloudCockpit",
                rate_per_s: 5.0,
                quota: None,
                unique_accounts: true,
                refuses_duplicates: false,
                searches_live: true,
                max_account_chars: 255,
                min_account_chars: 0,
                forbidden_in_account: "",
                forbidden_accounts: &[],
                has_locations: false,
                per_reseller: true,
                ids_are_guids: true,
                can_clear: true,
                answers_may_mislead: false,
                sends_emails: false,
            },
        }
    }
}

impl fmt::Display for SystemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.capabilities().name)
    }
}
