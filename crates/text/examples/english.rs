//! Prints how English text is read: `english words|phonemes|sentences [VOICE_FOLDER] [--british] < text`, a line each.

use std::io::Read as _;
use std::path::Path;

use mynah_text::english::{Dialect, G2p, normalise, sentences};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let british = arguments.iter().position(|argument| argument == "--british");
    let dialect = match british.map(|at| arguments.remove(at)) {
        Some(_) => Dialect::British,
        None => Dialect::American,
    };
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let lines = text.lines();
    let mut out = String::new();
    match arguments.first().map(String::as_str) {
        Some("words") => {
            for line in lines {
                out += &normalise(line, dialect).unwrap_or_else(|error| format!("({error})"));
                out.push('\n');
            }
        }
        Some("sentences") => {
            for sentence in sentences(&text, 1000) {
                out += &format!(
                    "{}{}\n",
                    sentence.text.replace('\n', " "),
                    if sentence.ends_paragraph { "\n" } else { "" }
                );
            }
        }
        Some("phonemes") => {
            let folder = arguments.get(1).ok_or("which voice folder?")?;
            let start = std::time::Instant::now();
            let g2p = G2p::open(Path::new(folder), dialect)?;
            let opened = start.elapsed();
            for line in lines {
                match g2p.phonemes(line) {
                    Ok(words) => out.extend(words.iter().map(|word| word.phonemes.as_str())),
                    Err(error) => out += &format!("({error})"),
                }
                out.push('\n');
            }
            let took = start.elapsed() - opened;
            writeln(&mut std::io::stderr(), &format!("opened in {opened:.1?}, read in {took:.1?}\n"))?;
        }
        _ => return Err("usage: english words|phonemes|sentences [VOICE_FOLDER] [--british]".into()),
    }
    writeln(&mut std::io::stdout(), &out)
}

fn writeln(out: &mut dyn std::io::Write, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    Ok(out.write_all(text.as_bytes())?)
}
