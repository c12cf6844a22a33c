//! What the check of one value finds: certain damage, or a doubt that the column decides.

use super::doubt::DoubtKind;

/// Certain damage of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// `1.23457E+11`
    Scientific,
    /// `#N/A`, `########`, `Err:502`
    SheetError,
    /// `NULL`, `n/a`, `-----`, `(blank)`, `CRM-20...`
    Placeholder,
    /// A mark that idshift put in the place of a cell that it could not read.
    Mark,
    /// `=A1&B1`
    Formula,
    /// `'CRM-2000'`, `„CRM-2000“`
    Quoted,
    /// `'+4930123`
    Escaped,
}

impl Damage {
    /// The stable word for scripts.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Scientific => "spreadsheet_scientific",
            Self::SheetError => "spreadsheet_error",
            Self::Placeholder => "placeholder",
            Self::Mark => "unmended",
            Self::Formula => "formula",
            Self::Quoted => "quoted_value",
            Self::Escaped => "escaped_value",
        }
    }

    /// What is wrong.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Scientific => {
                "a spreadsheet turned a long number into scientific notation, and its last digits are lost"
            }
            Self::SheetError => "this is a spreadsheet error, not an ID",
            Self::Placeholder => "this stands for a missing value and is not an ID",
            Self::Mark => {
                "the line could not be read exactly when it was first read, and was not corrected since"
            }
            Self::Formula => "this is a spreadsheet formula, not an ID",
            Self::Quoted => "the value is wrapped in quotes, which would become part of the ID",
            Self::Escaped => {
                "an apostrophe keeps a spreadsheet from running the value as a formula, and would become part of the ID"
            }
        }
    }

    /// What to do.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Scientific => {
                "export the list again with the column as text, without opening it in a spreadsheet"
            }
            Self::SheetError => "correct the formula or the width of the column, and export again",
            Self::Placeholder => "leave the cell empty, or put the real ID there",
            Self::Mark => "take the line from the original file and correct it",
            Self::Formula => "export the values of the cells instead of their formulas",
            Self::Quoted => "remove the quotes",
            Self::Escaped => "remove the apostrophe",
        }
    }
}

/// What the check of a value found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The value is damaged, whatever else the column holds.
    Sure(Damage),
    /// The value may be damaged; the column decides.
    Doubt(DoubtKind),
}
