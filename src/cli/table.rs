//! A table whose columns are as wide as what is in them.

use super::format::{Style, cut, harmless, width};
use super::output::Screen;

const GAP: usize = 2;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A piece of text and what it means.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: harmless(text.as_ref()),
            style,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Style::Plain)
    }
}

#[derive(Debug)]
enum Row {
    Cells(Vec<Cell>),
    /// Runs over all columns and makes none wider.
    Line(Vec<Cell>),
}

/// A title and rows. A column in which nothing is written is left out.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells beyond the last column are not shown.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(Row::Cells(cells.into()));
    }

    /// Adds a line across the columns, of pieces with a space between.
    pub(super) fn line(&mut self, pieces: Vec<Cell>) {
        self.rows.push(Row::Line(pieces));
    }

    pub(super) fn render(&self, screen: &Screen) -> String {
        let widths = self.widths();
        let titles: Vec<Cell> = self
            .columns
            .iter()
            .map(|(title, _)| Cell::new(title, Style::Dim))
            .collect();
        let mut text = self.render_row(&titles, &widths, screen);
        for row in &self.rows {
            text.push_str(&match row {
                Row::Cells(cells) => self.render_row(cells, &widths, screen),
                Row::Line(pieces) => {
                    let mut line = Line::new(screen);
                    for (index, piece) in pieces.iter().enumerate() {
                        line.pad(usize::from(index > 0));
                        line.put(piece);
                    }
                    line.end()
                }
            });
        }
        text
    }

    /// Of each column; 0 leaves it out.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = width(&cell.text).max(*widest);
            }
        }
        for (widest, (title, _)) in widths.iter_mut().zip(&self.columns) {
            if *widest > 0 {
                *widest = width(title).max(*widest);
            }
        }
        widths
    }

    fn render_row(&self, cells: &[Cell], widths: &[usize], screen: &Screen) -> String {
        let mut line = Line::new(screen);
        let mut first = true;
        for ((cell, widest), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            if *widest == 0 {
                continue;
            }
            let missing = widest.saturating_sub(width(&cell.text));
            let (before, after) = match align {
                Align::Left => (0, missing),
                Align::Right => (missing, 0),
            };
            line.pad(before + if first { 0 } else { GAP });
            line.put(cell);
            line.pad(after);
            first = false;
        }
        line.end()
    }
}

/// One line that is cut where the terminal ends, without spaces at its end.
struct Line<'a> {
    screen: &'a Screen,
    text: String,
    used: usize,
    pending: usize,
}

impl<'a> Line<'a> {
    fn new(screen: &'a Screen) -> Self {
        Self {
            screen,
            text: String::new(),
            used: 0,
            pending: 0,
        }
    }

    fn pad(&mut self, columns: usize) {
        self.pending += columns;
    }

    fn put(&mut self, cell: &Cell) {
        if cell.text.is_empty() {
            return;
        }
        let start = self.used + self.pending;
        let text = match self.screen.size {
            Some((columns, _)) => cut(&cell.text, columns.saturating_sub(start)),
            None => cell.text.clone(),
        };
        if text.is_empty() {
            return;
        }
        self.text.push_str(&" ".repeat(self.pending));
        self.text
            .push_str(&cell.style.paint(&text, self.screen.colour));
        self.used = start + width(&text);
        self.pending = 0;
    }

    fn end(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("N", Align::Right),
            ("WHY", Align::Left),
        ]);
        table.row(["école".into(), "7".into(), "".into()]);
        table.line(vec!["a line that is longer than any cell".into()]);
        table.row([
            "日本".into(),
            "1234".into(),
            Cell::new("refused", Style::Bad),
        ]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let expected = "\
NAME      N  WHY
école     7
a line that is longer than any cell
日本   1234  refused
";
        assert_eq!(sample().render(&Screen::default()), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 1..40 {
            let screen = Screen {
                size: Some((columns, 24)),
                colour: false,
            };
            let text = sample().render(&screen);
            assert!(
                text.lines().all(|line| width(line) <= columns),
                "{columns}:\n{text}"
            );
            assert_eq!(text.lines().count(), 4, "{columns}:\n{text}");
        }
    }

    #[test]
    fn an_empty_column_is_left_out() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Left), ("C", Align::Left)]);
        table.row(["a".into(), "".into(), "c".into()]);
        assert_eq!(table.render(&Screen::default()), "A  C\na  c\n");
    }

    #[test]
    fn colours_take_no_room() {
        let screen = Screen {
            size: Some((80, 24)),
            colour: true,
        };
        let text = sample().render(&screen);
        assert!(
            text.contains("日本   1234  \x1b[1;31mrefused\x1b[0m\n"),
            "{text}"
        );
    }
}
