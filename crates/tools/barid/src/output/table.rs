//! Tables that are as narrow as what stands in them.

use std::fmt;

use super::plain;

/// Rows below a heading. Columns are as wide as their widest cell; the last one goes on to the end of the line.
pub(crate) struct Table<const N: usize> {
    heading: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A column whose heading begins with `>` stands on the right.
    pub(crate) fn new(heading: [&'static str; N]) -> Self {
        Self { heading, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = self.heading.map(|title| title.trim_start_matches('>').to_owned());
        let mut widths = heading.each_ref().map(|title| title.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (index, row) in std::iter::once(&heading).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for ((cell, width), title) in row.iter().zip(widths).zip(self.heading) {
                let cell = if title.starts_with('>') { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
                line.push_str(&cell);
            }
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_headings() {
        let mut table = Table::new(["WHO", ">N", "WHY"]);
        table.row(["a".to_owned(), "100".to_owned(), "it waits\nfor the other".to_owned()]);
        table.row(["بريد".to_owned(), "2".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "WHO     N  WHY\na     100  it waits for the other\nبريد    2");
    }
}
