//! Tables as Xinference's command line draws them, which scripts cut into columns.

/// Columns with a rule of dashes below their names. A column is two wider than its name at least.
pub(crate) fn simple<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(head[column].chars().count() + 2)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let rule: [String; N] = widths.map(|width| "-".repeat(width));
    let mut text = line(head) + &line(std::array::from_fn(|column| rule[column].as_str()));
    for row in rows {
        text += &line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

/// A frame around everything, cells in the middle of their columns.
pub(crate) fn framed(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(head[column].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    let rule = format!("+{rule}+\n");
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:^width$} "));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{rule}{}{rule}{body}{rule}", line(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_room_for_names_and_cells() {
        let rows = [["whisper-1", "audio", "w"].map(str::to_owned)];
        assert_eq!(
            simple(["UID", "Type", "Name"], &rows),
            "UID        Type    Name\n---------  ------  ------\nwhisper-1  audio   w\n"
        );
        assert_eq!(simple(["UID"], &[]), "UID\n-----\n");
    }

    #[test]
    fn frames_centre_their_cells() {
        let rows = [vec!["abcd".to_owned(), "-".to_owned()]];
        assert_eq!(
            framed(&["a".to_owned(), "bcd".to_owned()], &rows),
            "+------+-----+\n|  a   | bcd |\n+------+-----+\n| abcd |  -  |\n+------+-----+\n"
        );
    }
}
