/// Columns of text on stdout: the last one to the left, all others to the right, two spaces apart.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With the words over its columns.
    pub(super) fn new(heads: &[&str]) -> Self {
        Self {
            rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()],
        }
    }

    /// One more row, with a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, each ended.
    pub(super) fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                match column + 1 == columns {
                    true => text += cell,
                    false => text += &format!("{cell:>width$}  ", width = widths[column]),
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["PSNR", "clip"]);
        table.row(vec!["30.125".to_owned(), "a longer name".to_owned()]);
        table.row(vec!["–".to_owned(), "b".to_owned()]);
        assert_eq!(
            table.text(),
            "  PSNR  clip\n30.125  a longer name\n     –  b\n"
        );
    }
}
