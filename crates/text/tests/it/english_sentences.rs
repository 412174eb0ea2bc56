//! Where sentences end.

use mynah_text::english::sentences;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<&str> = sentences(text, 1000).map(|sentence| sentence.text).collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn marks_end_sentences_and_abbreviations_do_not() {
    for text in [
        "Dr. Smith met Mr. J. K. Rowling and Mrs. A. B. Cee.",
        "George W. Bush spoke.",
        "The U.S. Army and the U.K. Navy met.",
        "Apple Inc. Chief Tim Cook spoke.",
        "Bring pens, paper, etc. and go.",
        "See Fig. 3 and No. 5, pp. 12 to 15.",
        "It is 3.5 km away, e.g. Rome.",
        "He said \"Stop!\" and left.",
        "Wait... what is it?",
        "We meet at 5 p.m. Monday.",
        "St. John met St. Paul on Mt. Sinai.",
        "Ask J. A. Smith.",
        "1. First of all, this.",
        "Visit example.com/a.b today.",
    ] {
        check(text, &[text]);
    }
    check("One. Two! Three? Four…  Five", &["One.", "Two!", "Three?", "Four…", "Five"]);
    check(
        "\"Stop.\" She left. (Really.) 'Yes.' No.",
        &["\"Stop.\"", "She left.", "(Really.)", "'Yes.'", "No."],
    );
    check("We left at 5 p.m. The rain fell.", &["We left at 5 p.m.", "The rain fell."]);
    check("Take vitamin C. It helps.", &["Take vitamin C.", "It helps."]);
    check("I live on Main St. We like it.", &["I live on Main St.", "We like it."]);
    check("She is in the U.S. He is not.", &["She is in the U.S.", "He is not."]);
    check("That was World War I. The next came.", &["That was World War I.", "The next came."]);
    check("It ended. 50 people left.", &["It ended.", "50 people left."]);
    check("", &[]);
    check(" \n\t ", &[]);
    check("...", &["..."]);
}

#[test]
fn paragraphs_headings_and_wrapped_lines() {
    let text = "A heading\n\nThe first line of a paragraph that somebody wrapped\nat a fixed width. It ends\nhere.\n- an item\n- another item\nLast";
    let found: Vec<(&str, bool)> =
        sentences(text, 1000).map(|sentence| (sentence.text, sentence.ends_paragraph)).collect();
    assert_eq!(
        found,
        [
            ("A heading", true),
            ("The first line of a paragraph that somebody wrapped\nat a fixed width.", false),
            ("It ends\nhere.", true),
            ("- an item", true),
            ("- another item", true),
            ("Last", true),
        ]
    );
}

#[test]
fn long_sentences_are_cut_at_clauses_then_words_then_anywhere() {
    let clauses = "One clause here, another clause there; a third clause follows and never ends";
    let found: Vec<&str> = sentences(clauses, 40).map(|sentence| sentence.text).collect();
    assert_eq!(found, ["One clause here, another clause there;", "a third clause follows and never ends"]);
    let words = "word ".repeat(30);
    assert!(
        sentences(&words, 22)
            .all(|sentence| sentence.text == "word word word word" || sentence.text == "word word")
    );
    let letters = "é".repeat(100);
    let found: Vec<&str> = sentences(&letters, 33).map(|sentence| sentence.text).collect();
    assert!(found.iter().all(|text| text.len() <= 33));
    assert_eq!(found.concat(), letters);
}

#[test]
fn ranges_are_places_in_the_input() {
    let text = "  First here.  Then “this”! \n\n Und é so weiter…";
    for sentence in sentences(text, 1000) {
        assert_eq!(&text[sentence.range.clone()], sentence.text);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_cut_without_loss(text in "\\PC{0,200}|[A-Za-z. \"'()\n!?,]{0,200}", limit in 0_usize..60) {
        let mut end = 0;
        for sentence in sentences(&text, limit) {
            proptest::prop_assert!(text[end..sentence.range.start].trim().is_empty());
            proptest::prop_assert_eq!(&text[sentence.range.clone()], sentence.text);
            proptest::prop_assert!(!sentence.text.is_empty() && sentence.text.len() <= limit.max(16));
            end = sentence.range.end;
        }
        proptest::prop_assert!(text[end..].trim().is_empty());
    }
}
