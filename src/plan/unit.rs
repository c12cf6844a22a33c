//! Units: the lines that are carried out together.

use crate::domain::{Change, Line, NewAccount};

/// All lines of one customer, in the order of the file. They agree on the new account ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The lines; at least one.
    pub changes: Vec<Change>,
}

impl Member {
    /// Returns the requested change of the account ID.
    pub fn new_account(&self) -> &NewAccount {
        let asking = self.changes.iter().find(|change| change.new_account.asks());
        asking.map_or(&NewAccount::Keep, |change| &change.new_account)
    }

    /// The lowest line.
    pub fn first_line(&self) -> Line {
        self.changes
            .iter()
            .map(|change| change.line)
            .min()
            .unwrap_or(0)
    }
}

/// How the members of a unit depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One customer that waits for no other customer.
    Single,
    /// Each member frees the account ID that the next one takes.
    Chain,
    /// A chain in which the last member frees the ID that the first one takes: the first member is parked.
    Cycle,
}

/// The operations that must run one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The lowest line, which identifies the unit.
    pub number: Line,
    /// How the members depend on each other.
    pub shape: Shape,
    /// The members in the order of execution. The first member of a cycle is parked first and gets its new ID last.
    pub members: Vec<Member>,
}

impl Unit {
    /// Makes a unit of a line that is related to no other line.
    pub fn single(change: Change) -> Self {
        Self {
            number: change.line,
            shape: Shape::Single,
            members: vec![Member {
                changes: vec![change],
            }],
        }
    }

    /// All lines, in the order of execution.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.members.iter().flat_map(|member| member.changes.iter())
    }

    /// The numbers of all lines.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        self.changes().map(|change| change.line)
    }
}

/// What a file requests, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Data lines.
    pub lines: u64,
    /// Lines that ask for another account ID.
    pub renames: u64,
    /// Lines that ask for the account ID to be removed.
    pub clears: u64,
    /// Lines that ask for something at a location.
    pub locations: u64,
    /// Lines that ask for nothing.
    pub nothing: u64,
    /// Lines that repeat the request of an earlier line.
    pub duplicates: u64,
    /// Chains of at least two customers.
    pub chains: u64,
    /// Customers of the longest chain.
    pub longest_chain: u64,
    /// Cycles of two.
    pub swaps: u64,
    /// Cycles of more than two.
    pub cycles: u64,
    /// Customers of the longest cycle.
    pub longest_cycle: u64,
}

impl Counts {
    /// Counts one line.
    pub fn add_line(&mut self, change: &Change) {
        self.lines += 1;
        match &change.new_account {
            NewAccount::Keep => {}
            NewAccount::Clear => self.clears += 1,
            NewAccount::Set(new) => {
                self.renames += u64::from(change.account.as_ref() != Some(new));
            }
        }
        self.locations += u64::from(change.asks_location());
        self.nothing += u64::from(!change.asks_anything());
    }

    /// Adds the counts of another part of the file.
    pub fn merge(&mut self, other: &Self) {
        self.lines += other.lines;
        self.renames += other.renames;
        self.clears += other.clears;
        self.locations += other.locations;
        self.nothing += other.nothing;
        self.duplicates += other.duplicates;
        self.chains += other.chains;
        self.swaps += other.swaps;
        self.cycles += other.cycles;
        self.longest_chain = self.longest_chain.max(other.longest_chain);
        self.longest_cycle = self.longest_cycle.max(other.longest_cycle);
    }

    /// Counts one arranged unit.
    pub fn add_unit(&mut self, unit: &Unit) {
        let members = u64::try_from(unit.members.len()).unwrap_or(u64::MAX);
        match unit.shape {
            Shape::Single => {}
            Shape::Chain => {
                self.chains += 1;
                self.longest_chain = self.longest_chain.max(members);
            }
            Shape::Cycle => {
                self.swaps += u64::from(members == 2);
                self.cycles += u64::from(members > 2);
                self.longest_cycle = self.longest_cycle.max(members);
            }
        }
        for member in &unit.members {
            for (at, change) in member.changes.iter().enumerate() {
                let same = |other: &Change| {
                    let wish = |change: &Change| {
                        (
                            change.new_account.clone(),
                            change.location.clone(),
                            change.service.clone(),
                            change.profile,
                        )
                    };
                    wish(other) == wish(change)
                };
                self.duplicates += u64::from(member.changes[..at].iter().any(same));
            }
        }
    }
}
