//! Groups entangled lines by customer, finds contradictions and makes units. Here the IDs are compared as text.

use super::order::{self, current, moves, target};
use super::{Counts, Member, Unit};
use crate::domain::{
    AccountId, Change, CustomerId, Line, LocationId, NewAccount, Problem, Reseller, Severity,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The units and the contradictions of the entangled lines.
#[derive(Debug, Default)]
pub struct Arrangement {
    /// The units, sorted by number.
    pub units: Vec<Unit>,
    /// Contradictions, one problem for each line that takes part.
    pub problems: Vec<Problem>,
    /// Counts of the units; lines are counted elsewhere.
    pub counts: Counts,
}

/// Groups the lines of each customer, finds contradictions, and orders the other lines.
///
/// No unit has a line with an error, or a line that needs an account ID which a line with an error was to free.
pub fn group(changes: Vec<Change>, unique_accounts: bool) -> Arrangement {
    let mut problems = Problems::default();
    let mut members = by_customer(changes);
    if !unique_accounts {
        members = members.into_iter().flat_map(apart).collect();
    }
    for member in &members {
        agree(member, &mut problems);
    }
    locations(&members, &mut problems);
    targets(&members, unique_accounts, &mut problems);
    if unique_accounts {
        needs(&members, &mut problems);
    }
    let sound = members.into_iter().filter_map(|member| {
        let changes: Vec<Change> = member
            .changes
            .into_iter()
            .filter(|change| !problems.has(change.line))
            .collect();
        (!changes.is_empty()).then_some(Member { changes })
    });
    let mut units = order::units(sound.collect(), unique_accounts);
    units.sort_by_key(|unit| unit.number);
    let mut counts = Counts::default();
    for unit in &units {
        counts.add_unit(unit);
    }
    Arrangement {
        units,
        problems: problems.list,
        counts,
    }
}

#[derive(Default)]
struct Problems {
    list: Vec<Problem>,
    lines: HashSet<Line>,
}

/// One contradiction, reported for each of its lines.
struct Clash<'a> {
    code: &'static str,
    column: &'static str,
    severity: Severity,
    message: &'a str,
    help: &'a str,
}

impl Problems {
    fn has(&self, line: Line) -> bool {
        self.lines.contains(&line)
    }

    fn clash(&mut self, lines: &[(Line, String)], clash: &Clash<'_>) {
        for (line, value) in lines {
            let others: Vec<String> = lines
                .iter()
                .filter(|(other, _)| other != line)
                .take(3)
                .map(|(other, value)| match value.as_str() {
                    "" => format!("line {other}"),
                    value => format!("line {other} says `{value}`"),
                })
                .collect();
            self.list.push(Problem {
                line: *line,
                column: clash.column.to_owned(),
                value: value.clone(),
                severity: clash.severity,
                code: clash.code,
                message: format!("{}: {}", clash.message, others.join(", ")),
                help: clash.help.to_owned(),
            });
            if clash.severity == Severity::Error {
                self.lines.insert(*line);
            }
        }
    }
}

type Scope = Option<Reseller>;

/// Groups the lines that have the same account ID or the same customer ID, transitively: they are about one customer.
fn by_customer(changes: Vec<Change>) -> Vec<Member> {
    let mut by_account: HashMap<(AccountId, Scope), usize> = HashMap::new();
    let mut by_customer: HashMap<(CustomerId, Scope), usize> = HashMap::new();
    let mut parent: Vec<usize> = (0..changes.len()).collect();
    for (at, change) in changes.iter().enumerate() {
        let scope = &change.reseller;
        let known = [
            change.account.as_ref().and_then(|id| {
                let first = by_account.entry((id.clone(), scope.clone())).or_insert(at);
                (*first != at).then_some(*first)
            }),
            change.customer.as_ref().and_then(|id| {
                let first = by_customer.entry((id.clone(), scope.clone())).or_insert(at);
                (*first != at).then_some(*first)
            }),
        ];
        for other in known.into_iter().flatten() {
            let (a, b) = (root(&mut parent, other), root(&mut parent, at));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut groups: HashMap<usize, Vec<Change>> = HashMap::new();
    let mut firsts = Vec::new();
    for (at, change) in changes.into_iter().enumerate() {
        let root = root(&mut parent, at);
        if root == at {
            firsts.push(root);
        }
        groups.entry(root).or_default().push(change);
    }
    let members = firsts.into_iter().filter_map(|root| groups.remove(&root));
    members.map(|changes| Member { changes }).collect()
}

/// Splits a member by customer ID if all its lines name their customer: several customers may have one account ID.
fn apart(member: Member) -> Vec<Member> {
    if member
        .changes
        .iter()
        .any(|change| change.customer.is_none())
    {
        return vec![member];
    }
    let mut members: Vec<Member> = Vec::new();
    for change in member.changes {
        let same = |other: &&mut Member| other.changes[0].customer == change.customer;
        match members.iter_mut().find(same) {
            Some(other) => other.changes.push(change),
            None => members.push(Member {
                changes: vec![change],
            }),
        }
    }
    members
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

/// Reports lines of one customer that contradict each other about its IDs or its new account ID.
fn agree(member: &Member, problems: &mut Problems) {
    let accounts: BTreeSet<&AccountId> = member
        .changes
        .iter()
        .filter_map(|change| change.account.as_ref())
        .collect();
    if accounts.len() > 1 {
        let lines = values(member, |change| change.account.as_ref());
        problems.clash(
            &lines,
            &Clash {
                code: "two_accounts_one_customer",
                column: "accountId",
                severity: Severity::Error,
                message: "one customer ID is given for two account IDs",
                help: "keep the line that is right",
            },
        );
    }
    let customers: BTreeSet<&CustomerId> = member
        .changes
        .iter()
        .filter_map(|change| change.customer.as_ref())
        .collect();
    if customers.len() > 1 {
        let lines = values(member, |change| change.customer.as_ref());
        problems.clash(
            &lines,
            &Clash {
                code: "two_customers_one_account",
                column: "customerId",
                severity: Severity::Error,
                message: "one account ID is given for two customer IDs",
                help: "keep the line that is right",
            },
        );
    }
    let wishes: HashSet<&NewAccount> = member
        .changes
        .iter()
        .map(|change| &change.new_account)
        .filter(|wish| wish.asks())
        .collect();
    if wishes.len() > 1 {
        let asking = member
            .changes
            .iter()
            .filter(|change| change.new_account.asks());
        let lines: Vec<(Line, String)> = asking
            .map(|change| {
                let wish = change
                    .new_account
                    .id()
                    .map_or(String::new(), ToString::to_string);
                (change.line, wish)
            })
            .collect();
        problems.clash(
            &lines,
            &Clash {
                code: "two_new_ids",
                column: "newAccountId",
                severity: Severity::Error,
                message: "this account is given another new ID as well",
                help: "keep the line that is right",
            },
        );
    }
}

fn values<'a, T: ToString + 'a>(
    member: &'a Member,
    value: impl Fn(&'a Change) -> Option<&'a T>,
) -> Vec<(Line, String)> {
    let known = member
        .changes
        .iter()
        .filter_map(|change| Some((change.line, value(change)?)));
    known
        .map(|(line, value)| (line, value.to_string()))
        .collect()
}

#[derive(PartialEq, Eq, Hash)]
enum Place<'a> {
    Named(&'a LocationId),
    OnlyOneOf(usize),
}

/// Reports a location that is given two service IDs or two profiles.
fn locations(members: &[Member], problems: &mut Problems) {
    let mut services: HashMap<Place<'_>, Vec<(Line, String)>> = HashMap::new();
    let mut profiles: HashMap<Place<'_>, Vec<(Line, String)>> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        for change in &member.changes {
            let place = || {
                change
                    .location
                    .as_ref()
                    .map_or(Place::OnlyOneOf(at), Place::Named)
            };
            if let Some(service) = &change.service {
                let all = services.entry(place()).or_default();
                all.push((change.line, service.to_string()));
            }
            if let Some(profile) = change.profile {
                let all = profiles.entry(place()).or_default();
                all.push((change.line, profile.to_string()));
            }
        }
    }
    for (all, code, column) in [
        (services, "two_service_ids", "serviceId"),
        (profiles, "two_profiles", "profile"),
    ] {
        let mut clashes: Vec<Vec<(Line, String)>> = all
            .into_values()
            .filter(|lines| lines.iter().any(|(_, value)| *value != lines[0].1))
            .collect();
        clashes.sort();
        for lines in clashes {
            problems.clash(
                &lines,
                &Clash {
                    code,
                    column,
                    severity: Severity::Error,
                    message: "this location is given another value as well",
                    help: "keep the line that is right, or name the locations in `locationId`",
                },
            );
        }
    }
}

/// A member that will have an account ID in the end.
struct End<'a> {
    member: &'a Member,
    /// Whether the member has another ID now.
    moving: bool,
}

/// Reports account IDs that two accounts would have in the end.
fn targets(members: &[Member], unique_accounts: bool, problems: &mut Problems) {
    let mut ends: HashMap<(AccountId, Scope), Vec<End<'_>>> = HashMap::new();
    for member in members {
        let asks = member
            .changes
            .iter()
            .any(|change| change.new_account.asks());
        let end = target(member).or_else(|| current(member).filter(|_| !asks));
        if let Some(end) = end {
            ends.entry(end).or_default().push(End {
                member,
                moving: asks && moves(member),
            });
        }
    }
    let mut clashes: Vec<_> = ends.into_iter().filter(|(_, all)| all.len() > 1).collect();
    clashes.sort_by_key(|(_, all)| all.iter().map(|end| end.member.first_line()).min());
    for ((id, _), all) in clashes {
        let keeper = all
            .iter()
            .find(|end| !end.moving)
            .map(|end| end.member.first_line());
        let stays = keeper.is_some();
        // The line of the account that keeps the ID is correct; each line that wants this ID gets the error.
        let lines: Vec<(Line, String)> = all
            .iter()
            .filter(|end| end.moving)
            .flat_map(|end| &end.member.changes)
            .filter(|change| change.new_account.id() == Some(&id))
            .map(|change| (change.line, id.to_string()))
            .collect();
        let message = keeper.map_or_else(
            || "two accounts would get this ID".to_owned(),
            |line| format!("line {line} is about the account that has this ID and keeps it"),
        );
        problems.clash(
            &lines,
            &Clash {
                code: if stays {
                    "target_stays"
                } else {
                    "duplicate_target"
                },
                column: "newAccountId",
                severity: if unique_accounts {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                message: &message,
                help: "account IDs are unique: give one of them another ID",
            },
        );
    }
}

/// Reports lines that need an ID which a line with an error was to free: they cannot be carried out either.
fn needs(members: &[Member], problems: &mut Problems) {
    let renames_fail = |member: &Member, problems: &Problems| {
        let mut asking = member
            .changes
            .iter()
            .filter(|change| change.new_account.asks());
        asking.all(|change| problems.has(change.line))
    };
    let leaves: HashMap<_, usize> = members
        .iter()
        .enumerate()
        .filter(|(_, member)| moves(member))
        .filter_map(|(at, member)| Some((current(member)?, at)))
        .collect();
    let mut waiting: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, member) in members
        .iter()
        .enumerate()
        .filter(|(_, member)| moves(member))
    {
        if let Some(holder) = target(member).and_then(|wish| leaves.get(&wish)) {
            waiting.entry(*holder).or_default().push(at);
        }
    }
    let mut failed: Vec<usize> = (0..members.len())
        .filter(|at| moves(&members[*at]) && renames_fail(&members[*at], problems))
        .collect();
    while let Some(at) = failed.pop() {
        for waiter in waiting.remove(&at).unwrap_or_default() {
            if renames_fail(&members[waiter], problems) {
                continue;
            }
            let blocker = members[at].first_line();
            let asking = members[waiter]
                .changes
                .iter()
                .filter(|change| change.new_account.asks());
            let lines: Vec<(Line, String)> = asking
                .map(|change| {
                    (
                        change.line,
                        change
                            .new_account
                            .id()
                            .map_or(String::new(), ToString::to_string),
                    )
                })
                .collect();
            for line in &lines {
                problems.clash(
                    std::slice::from_ref(line),
                    &Clash {
                        code: "needs_line",
                        column: "newAccountId",
                        severity: Severity::Error,
                        message: &format!(
                            "line {blocker} must free this ID first, but it cannot be carried out"
                        ),
                        help: "correct that line first",
                    },
                );
            }
            failed.push(waiter);
        }
    }
}
