//! The first line: which column means what.

use super::column::{Column, fold};
use super::{InputError, Rules, Settings, cell};

/// Columns that idshift itself adds to its reports; dropped when a report is read again.
const OWN: &str = "idshift_";
/// More columns than any customer file has.
const MOST_COLUMNS: usize = 2000;

/// What the header says.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// All names as they came.
    pub(super) all: Vec<String>,
    /// The places of the columns that are the user's own.
    pub(super) kept: Vec<usize>,
    /// Where each column that counts is.
    places: [Option<usize>; 7],
}

impl Header {
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// Whether the file is a report of an earlier run, whose cells were defused.
    pub(super) fn is_report(&self) -> bool {
        self.kept.len() < self.all.len()
    }

    pub(super) fn read(
        names: &[String],
        settings: &Settings,
        rules: &Rules,
        wrong: impl Fn(String, String) -> InputError,
    ) -> Result<Self, InputError> {
        if names.len() > MOST_COLUMNS {
            return Err(wrong(
                format!("the header has {} columns", names.len()),
                "is this another kind of file?".to_owned(),
            ));
        }
        let names: Vec<String> = names
            .iter()
            .map(|name| cell::arm(name.trim()).into_owned())
            .collect();
        let own = |name: &str| name.to_ascii_lowercase().starts_with(OWN);
        let kept: Vec<usize> = (0..names.len()).filter(|at| !own(&names[*at])).collect();
        let mut places = [None; 7];
        for (column, spelling) in &settings.map {
            let found = kept.iter().copied().find(|at| names[*at] == *spelling);
            let found = found.or_else(|| {
                kept.iter()
                    .copied()
                    .find(|at| fold(&names[*at]) == fold(spelling))
            });
            places[*column as usize] = Some(found.ok_or_else(|| {
                wrong(
                    format!("--map names a column `{spelling}` that the header does not have"),
                    format!("it has {}", list(&names)),
                )
            })?);
        }
        for at in kept.iter().copied() {
            let Some(column) = Column::parse(&names[at]) else {
                continue;
            };
            let mapped = settings.map.iter().any(|(known, _)| *known == column);
            match places[column as usize] {
                _ if mapped => {}
                None => places[column as usize] = Some(at),
                Some(first) => {
                    return Err(wrong(
                        format!(
                            "the columns `{}` and `{}` both mean {}",
                            names[first],
                            names[at],
                            column.name()
                        ),
                        "rename one of them, or say which one counts with --map".to_owned(),
                    ));
                }
            }
        }
        twice(&names, &kept, &wrong)?;
        let header = Self {
            all: names,
            kept,
            places,
        };
        header.check(rules, wrong)?;
        Ok(header)
    }

    fn check(
        &self,
        rules: &Rules,
        wrong: impl Fn(String, String) -> InputError,
    ) -> Result<(), InputError> {
        if self.place(Column::AccountId).is_none() && self.place(Column::CustomerId).is_none() {
            return Err(wrong(
                "the header has neither an accountId nor a customerId column".to_owned(),
                format!(
                    "it has {}; name the right one with --map accountId=COLUMN, or is the header missing?",
                    list(&self.all)
                ),
            ));
        }
        let wishes = [Column::NewAccountId, Column::ServiceId, Column::Profile];
        if wishes.iter().all(|column| self.place(*column).is_none()) {
            return Err(wrong(
                "no column says what is to be changed (newAccountId, serviceId, profile)"
                    .to_owned(),
                format!(
                    "the header has {}; name the right one with --map newAccountId=COLUMN",
                    list(&self.all)
                ),
            ));
        }
        if rules.per_reseller
            && self.place(Column::ResellerId).is_none()
            && rules.reseller.is_none()
        {
            return Err(wrong(
                "nothing says whose relationship is meant".to_owned(),
                "add a resellerId column (a reseller's ID, or `own`), or give --reseller own or --reseller ID"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// A column name that stands twice: nobody can say which one is meant.
fn twice(
    names: &[String],
    kept: &[usize],
    wrong: &impl Fn(String, String) -> InputError,
) -> Result<(), InputError> {
    for (nth, at) in kept.iter().enumerate() {
        let same = kept[..nth]
            .iter()
            .find(|other| !names[*at].is_empty() && names[**other] == names[*at]);
        if same.is_some() {
            return Err(wrong(
                format!("the column `{}` stands twice", names[*at]),
                "rename one of them".to_owned(),
            ));
        }
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    let mut all: Vec<String> = names
        .iter()
        .take(12)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > 12 {
        all.push(format!("and {} more", names.len() - 12));
    }
    all.join(", ")
}

/// The delimiter that the header speaks for: the one that splits it into the most columns that count.
pub(super) fn delimiter(line: &str) -> u8 {
    let score = |delimiter: &u8| {
        let cells: Vec<&str> = line.split(char::from(*delimiter)).collect();
        let known = cells
            .iter()
            .filter(|cell| Column::parse(cell.trim_matches('"')).is_some())
            .count();
        (known, cells.len())
    };
    // The first of equals wins, so the comma comes last in this order.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(score)
        .unwrap_or(b',')
}
