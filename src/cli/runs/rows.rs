//! The list of runs as rows for a person. On a terminal, each row is fitted into one line if possible: columns that
//! `runs show` has too are left out, and long values are shortened in their middle.

use crate::ui;

/// Minimum width, in columns, of a shortened target address and of a shortened file name.
const LEAST_TARGET: usize = 16;
const LEAST_FILE: usize = 12;
/// The space between two columns.
const GAP: &str = "  ";

/// The values that are shown of one run.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) run: String,
    pub(super) command: String,
    pub(super) state: String,
    pub(super) age: String,
    pub(super) duration: String,
    pub(super) target: String,
    /// The number of its lines by status, in colour.
    pub(super) counts: String,
    pub(super) input: Input,
}

/// Where the lines of a run come from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// A file of this name.
    File(String),
    /// An earlier run with this ID, which this run undoes.
    Undone(String),
}

/// Which columns are shown, and the maximum width of the columns that can be shortened.
#[derive(Debug, Clone, Copy)]
struct Layout {
    has_age: bool,
    has_duration: bool,
    /// 0: the column is left out.
    target: usize,
    file: usize,
    /// The maximum length of the ID of an undone run.
    undone: usize,
}

/// The layout with all columns, and nothing shortened.
const WHOLE: Layout = Layout {
    has_age: true,
    has_duration: true,
    target: usize::MAX,
    file: usize::MAX,
    undone: usize::MAX,
};

/// Returns a row for each run, of at most `columns` columns if possible; `None`: nothing is shortened. If all runs have the
/// same target and its column is left out, also returns a heading with the target.
pub(super) fn rows(runs: &[Row], columns: Option<usize>) -> (Option<String>, Vec<String>) {
    let layout = columns.map_or(WHOLE, |columns| fitting(runs, columns));
    let first = runs.first().filter(|_| layout.target == 0);
    let heading = first.map(|run| format!("target: {}", run.target));
    (heading, layout.lines(runs))
}

/// Returns the layout that shows the most among those that fit.
fn fitting(runs: &[Row], columns: usize) -> Layout {
    let is_one_target = runs.windows(2).all(|two| two[0].target == two[1].target);
    // A target that is the same in all rows is not shortened: it is printed once as a heading.
    let least = match runs.first().filter(|_| is_one_target) {
        Some(run) => ui::columns_of(&run.target),
        None => LEAST_TARGET,
    };
    let without_duration = Layout {
        has_duration: false,
        ..WHOLE
    };
    // The ID of a run contains the time when it was begun.
    let without_age = Layout {
        has_age: false,
        ..without_duration
    };
    for layout in [WHOLE, without_duration, without_age] {
        let rest = Layout {
            target: 0,
            ..layout
        };
        let room = columns.checked_sub(rest.width(runs) + GAP.len());
        if let Some(target) = room.filter(|room| *room >= least) {
            return Layout { target, ..layout };
        }
        if is_one_target && rest.width(runs) <= columns {
            return rest;
        }
    }
    // The first part of an ID, up to the seconds, is enough to name a run.
    let least = Layout {
        target: if is_one_target { 0 } else { LEAST_TARGET },
        undone: "20261120-223015".len(),
        file: LEAST_FILE,
        ..without_age
    };
    let spare = columns.saturating_sub(least.width(runs));
    Layout {
        file: LEAST_FILE + spare,
        ..least
    }
}

impl Layout {
    /// Returns the cells of a run's row. The last cell has the counts and the input together, because it is not padded.
    fn cells(self, run: &Row) -> Vec<String> {
        let mut cells = vec![run.run.clone(), run.command.clone()];
        cells.push(ui::Tone::of_state(&run.state).paint(&run.state));
        if self.has_age {
            cells.push(format!("{} ago", run.age));
        }
        if self.has_duration {
            cells.push(run.duration.clone());
        }
        if self.target > 0 {
            cells.push(ui::shortened(&run.target, self.target));
        }
        let input = match &run.input {
            Input::File(name) => ui::shortened(name, self.file),
            Input::Undone(run) => format!("of {}", run.get(..self.undone).unwrap_or(run)),
        };
        cells.push(format!("{}{GAP}{input}", run.counts));
        cells
    }

    fn lines(self, runs: &[Row]) -> Vec<String> {
        let runs: Vec<Vec<String>> = runs.iter().map(|run| self.cells(run)).collect();
        let padded = runs.first().map_or(0, |cells| cells.len() - 1);
        let width = |at: usize| runs.iter().map(|cells| ui::columns_of(&cells[at])).max();
        let widths: Vec<usize> = (0..padded).filter_map(width).collect();
        let line = |cells: &Vec<String>| {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                let blank = width - ui::columns_of(cell);
                line.push_str(&format!("{cell}{}{GAP}", " ".repeat(blank)));
            }
            line.push_str(&cells[padded]);
            line.trim_end().to_owned()
        };
        runs.iter().map(line).collect()
    }

    /// Returns the width of the longest row.
    fn width(self, runs: &[Row]) -> usize {
        let lines = self.lines(runs);
        lines
            .iter()
            .map(|line| ui::columns_of(line))
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(command: &str, target: &str, counts: &str, input: Input) -> Row {
        Row {
            run: "20261120-223015-k3f9".to_owned(),
            command: command.to_owned(),
            state: "finished".to_owned(),
            age: "3 h".to_owned(),
            duration: "16 min 40 s".to_owned(),
            target: target.to_owned(),
            counts: ui::Tone::Good.paint(counts),
            input,
        }
    }

    fn file(name: &str) -> Input {
        Input::File(name.to_owned())
    }

    fn night() -> Vec<Row> {
        let plume = "plume at https://plume.example.com";
        let undone = Input::Undone("20261119-223015-k3f9".to_owned());
        vec![
            row("plan", plume, "would_change 12,390", file("moves.csv")),
            row(
                "apply",
                plume,
                "changed 12,390, failed 10",
                file("moves.csv"),
            ),
            row("undo", plume, "changed 1, failed 1", undone),
        ]
    }

    fn shown(runs: &[Row], columns: Option<usize>) -> String {
        let (heading, rows) = rows(runs, columns);
        let text = heading
            .into_iter()
            .chain(rows)
            .collect::<Vec<_>>()
            .join("\n");
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn row_fits_the_terminal_and_omits_columns_without_room() {
        insta::assert_snapshot!(shown(&night(), Some(80)), @r"
        target: plume at https://plume.example.com
        20261120-223015-k3f9  plan   finished  would_change 12,390  moves.csv
        20261120-223015-k3f9  apply  finished  changed 12,390, failed 10  moves.csv
        20261120-223015-k3f9  undo   finished  changed 1, failed 1  of 20261119-223015
        ");
        insta::assert_snapshot!(shown(&night(), Some(120)), @r"
        target: plume at https://plume.example.com
        20261120-223015-k3f9  plan   finished  3 h ago  16 min 40 s  would_change 12,390  moves.csv
        20261120-223015-k3f9  apply  finished  3 h ago  16 min 40 s  changed 12,390, failed 10  moves.csv
        20261120-223015-k3f9  undo   finished  3 h ago  16 min 40 s  changed 1, failed 1  of 20261119-223015-k3f9
        ");
        insta::assert_snapshot!(shown(&night(), None), @r"
        20261120-223015-k3f9  plan   finished  3 h ago  16 min 40 s  plume at https://plume.example.com  would_change 12,390  moves.csv
        20261120-223015-k3f9  apply  finished  3 h ago  16 min 40 s  plume at https://plume.example.com  changed 12,390, failed 10  moves.csv
        20261120-223015-k3f9  undo   finished  3 h ago  16 min 40 s  plume at https://plume.example.com  changed 1, failed 1  of 20261119-223015-k3f9
        ");
    }

    #[test]
    fn long_target_is_shortened_so_that_all_rows_fit_the_terminal() {
        let mut runs = night();
        let long =
            "plume at https://a-very-long-name.of-a-host.in-the-network.example.com/v1/customers";
        runs[1].target = long.to_owned();
        for columns in [110, 140, 200] {
            let text = shown(&runs, Some(columns));
            let width = text.lines().map(ui::columns_of).max().unwrap();
            assert!(width <= columns, "{columns}: {text}");
        }
        assert!(shown(&runs, Some(110)).contains("…"));
    }
}
