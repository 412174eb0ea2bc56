//! Hard sentences and how they are read aloud.

use mynah_text::english::{Dialect, normalise};

#[test]
fn hard_sentences_are_read_as_people_read_them() {
    let table = include_str!("../data/english_readings.tsv");
    let (mut lines, mut failures) = (0, Vec::new());
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        lines += 1;
        let [dialects, text, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("a line has three columns, not {line:?}");
        };
        let dialects: &[Dialect] = match dialects {
            "us" => &[Dialect::American],
            "gb" => &[Dialect::British],
            "both" => &[Dialect::American, Dialect::British],
            other => panic!("unknown dialect {other:?}"),
        };
        for dialect in dialects {
            let reading = normalise(text, *dialect).unwrap_or_else(|error| error.to_string());
            if reading.trim() != expected {
                failures.push(format!("{dialect:?}: {text}\n  expected {expected}\n  read     {reading}"));
            }
        }
    }
    assert!(lines >= 200, "only {lines} sentences");
    assert!(failures.is_empty(), "{} misread:\n{}", failures.len(), failures.join("\n"));
}
