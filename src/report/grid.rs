//! A table as a value, a head and rows, and its three renderings: text, Markdown and HTML.

use crate::text::{inert, markup};

/// Characters of a cell.
const CELL: usize = 300;

/// A table. A row that is shorter than the head ends early.
pub(crate) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// The head of a column. Numbers are set right.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
}

/// A column of words.
pub(crate) fn words(title: &'static str) -> Column {
    Column { title, right: false }
}

/// A column of numbers.
pub(crate) fn numbers(title: &'static str) -> Column {
    Column { title, right: true }
}

/// Text from anywhere; made harmless where it is rendered.
#[derive(Clone)]
pub(crate) struct Cell {
    text: String,
    /// What a reader must not miss.
    strong: bool,
}

impl Cell {
    pub(crate) fn strong(text: impl Into<String>) -> Self {
        Self { text: text.into(), strong: true }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), strong: false }
    }
}

impl Grid {
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub(crate) fn row<T: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The same table without some of its columns.
    pub(crate) fn without(mut self, titles: &[&str]) -> Self {
        let kept: Vec<bool> = self.columns.iter().map(|column| !titles.contains(&column.title)).collect();
        for row in &mut self.rows {
            let mut kept = kept.iter();
            row.retain(|_| *kept.next().unwrap_or(&true));
        }
        let mut kept = kept.iter();
        self.columns.retain(|_| *kept.next().unwrap_or(&true));
        self
    }

    /// Columns as wide as their widest cell. Not fitted to a terminal: broken numbers are worse than
    /// wrapped lines.
    pub(crate) fn text(&self) -> String {
        let shown = |cell: &Cell| one_line(&cell.text);
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| Some(shown(row.get(at)?).chars().count()));
            cells.chain([self.columns[at].title.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: Vec<String>| {
            let columns = self.columns.iter().zip(&widths).zip(cells);
            let padded = columns.map(|((column, width), cell)| {
                if column.right { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") }
            });
            padded.collect::<String>().trim_end().to_owned() + "\n"
        };
        let head = line(self.columns.iter().map(|column| column.title.to_owned()).collect());
        head + &self.rows.iter().map(|row| line(row.iter().map(shown).collect())).collect::<String>()
    }

    /// A table of GitHub's Markdown, with an empty line behind it.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|column| cell(column.title)).collect());
        text += &line(
            self.columns.iter().map(|column| if column.right { "---:" } else { "---" }.to_owned()).collect(),
        );
        for row in &self.rows {
            let mut cells: Vec<String> = row
                .iter()
                .map(|one| if one.strong { format!("**{}**", cell(&one.text)) } else { cell(&one.text) })
                .collect();
            cells.resize(self.columns.len(), String::new());
            text += &line(cells);
        }
        text + "\n"
    }

    /// A table for the page, which scrolls by itself where it is too wide.
    pub(crate) fn html(&self) -> String {
        let class = |at: usize| match self.columns.get(at) {
            Some(column) if column.right => " class=\"n\"",
            _ => "",
        };
        let mut text = String::from("<div class=\"scroll\"><table><thead><tr>");
        for (at, column) in self.columns.iter().enumerate() {
            text += &format!("<th scope=\"col\"{}>{}</th>", class(at), markup(column.title));
        }
        text += "</tr></thead><tbody>";
        for row in &self.rows {
            text += "<tr>";
            for (at, cell) in row.iter().enumerate() {
                let shown = markup(&inert(&cell.text, CELL));
                let shown = if cell.strong { format!("<strong>{shown}</strong>") } else { shown };
                text += &format!("<td{}>{shown}</td>", class(at));
            }
            text += "</tr>";
        }
        text + "</tbody></table></div>"
    }
}

fn one_line(text: &str) -> String {
    inert(text, CELL).replace(['\n', '\t'], " ")
}

/// Text that stays inside a Markdown cell and is no markup.
pub(crate) fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new([words("kind"), numbers("gap"), words("note")]);
        grid.row(["prompt", "9.0 ms"]);
        grid.row([Cell::from("<b>|`"), Cell::strong("12.5 ms"), Cell::from("a\nb")]);
        grid
    }

    #[test]
    fn one_table_in_three_forms() {
        assert_eq!(grid().text(), " kind        gap  note\n prompt   9.0 ms\n <b>|`   12.5 ms  a b\n");
        assert_eq!(
            grid().markdown(),
            "| kind | gap | note |\n| --- | ---: | --- |\n| prompt | 9.0 ms |  |\n| &lt;b&gt;\\|\\` | **12.5 ms** | a b |\n\n"
        );
        let html = grid().html();
        assert!(html.contains("<th scope=\"col\" class=\"n\">gap</th>"), "{html}");
        assert!(
            html.contains("<tr><td>&lt;b&gt;|`</td><td class=\"n\"><strong>12.5 ms</strong></td>"),
            "{html}"
        );
    }

    #[test]
    fn a_column_is_left_out_with_its_cells() {
        let narrow = grid().without(&["gap"]);
        assert_eq!(narrow.text(), " kind    note\n prompt\n <b>|`   a b\n");
        assert!(!narrow.is_empty());
    }
}
