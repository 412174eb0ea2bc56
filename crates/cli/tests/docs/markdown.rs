//! As much of Markdown as the checks need: fenced blocks, headings and links.

use std::collections::{HashMap, HashSet};

/// A file, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Path from the root of the repository, with slashes.
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
    /// Names that a link to this page can have after `#`.
    pub(crate) anchors: HashSet<String>,
    pub(crate) links: Vec<Link>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Line of the fence, from 1.
    pub(crate) line: usize,
    /// First word of the info string: `sh` of `sh,no-run`.
    pub(crate) language: String,
    /// The words after it: `no-run`.
    pub(crate) flags: Vec<String>,
    pub(crate) text: String,
    pub(crate) is_closed: bool,
}

impl Block {
    pub(crate) fn is_shell(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "bash")
    }

    /// Commands with their output.
    pub(crate) fn is_console(&self) -> bool {
        self.language == "console"
    }

    pub(crate) fn is_run(&self) -> bool {
        !self.flags.iter().any(|flag| flag == "no-run")
    }
}

/// A link or an image within the repository or outside of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) target: String,
}

impl Page {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let mut page =
            Self { name: name.to_owned(), blocks: Vec::new(), anchors: HashSet::new(), links: Vec::new() };
        let mut open: Option<(String, usize, Block)> = None;
        let mut slugs: HashMap<String, usize> = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            let start = line.trim_start();
            let indent = line.len() - start.len();
            if let Some((fence, indent, block)) = &mut open {
                if start.starts_with(fence.as_str()) && start.trim_end().trim_matches(['`', '~']).is_empty() {
                    block.is_closed = true;
                    page.blocks.extend(open.take().map(|(_, _, block)| block));
                } else {
                    let margin = (line.len() - start.len()).min(*indent);
                    block.text += &line[margin..];
                    block.text.push('\n');
                }
                continue;
            }
            if let Some(fence) = fence(start) {
                let mut words = start[fence.len()..].split([',', ' ']).filter(|word| !word.is_empty());
                let block = Block {
                    line: n + 1,
                    language: words.next().unwrap_or_default().to_owned(),
                    flags: words.map(str::to_owned).collect(),
                    text: String::new(),
                    is_closed: false,
                };
                open = Some((fence.to_owned(), indent, block));
                continue;
            }
            if let Some(title) = heading(start) {
                let slug = slug(title);
                let times = slugs.entry(slug.clone()).or_default();
                page.anchors.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
                *times += 1;
            }
            let line = without_code(line);
            for name in ["id=\"", "name=\""] {
                page.anchors.extend(attributes(&line, name));
            }
            page.links.extend(links(&line).into_iter().map(|target| Link { line: n + 1, target }));
        }
        page.blocks.extend(open.map(|(_, _, block)| block));
        page
    }

    /// Whether it has blocks that are run, or that say they are not.
    pub(crate) fn has_commands(&self) -> bool {
        self.blocks.iter().any(|block| block.is_shell() || block.is_console() || block.language == "python")
    }
}

/// The fence that a line opens a block with.
fn fence(line: &str) -> Option<&str> {
    let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == sign).count();
    // Three backticks around code within a line are no fence.
    (length >= 3 && !line[length..].contains('`')).then(|| &line[..length])
}

fn heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    ((1..=6).contains(&level) && title.starts_with(' ')).then(|| title.trim())
}

/// A heading's anchor, as GitHub makes it.
pub(crate) fn slug(title: &str) -> String {
    let title = title.replace('`', "");
    // Of a link only the text is shown.
    let mut shown = String::new();
    let mut rest = title.as_str();
    while let Some((before, after)) = rest.split_once('[') {
        shown += before;
        let (text, after) = after.split_once(']').unwrap_or((after, ""));
        shown += text;
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').map_or("", |(_, rest)| rest),
            None => after,
        };
    }
    shown += rest;
    let letters = shown.trim().chars().flat_map(char::to_lowercase);
    letters
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The line with the contents of code spans left out.
fn without_code(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        out += &rest[..at];
        let ticks = rest[at..].chars().take_while(|c| *c == '`').count();
        let (open, after) = rest[at..].split_at(ticks);
        match after.find(open) {
            Some(end) => {
                out += "code";
                rest = &after[end + ticks..];
            }
            None => {
                out += open;
                rest = after;
            }
        }
    }
    out + rest
}

/// Targets of the links in a line: `[text](target)`, `[name]: target`, `href` and `src`.
fn links(line: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("](") {
        let mut depth = 1;
        let end = after.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let Some(end) = end else { break };
        // A title may follow.
        targets.extend(
            after[..end].split_whitespace().next().map(|target| target.trim_matches(['<', '>']).to_owned()),
        );
        rest = &after[end..];
    }
    if let Some((_, target)) = line.trim_start().strip_prefix('[').and_then(|line| line.split_once("]: ")) {
        targets.extend(
            target.split_whitespace().next().map(|target| target.trim_matches(['<', '>']).to_owned()),
        );
    }
    for name in ["href=\"", "src=\""] {
        targets.extend(attributes(line, name));
    }
    targets
}

/// Values of an attribute of HTML tags in a line.
fn attributes(line: &str, name: &str) -> Vec<String> {
    line.split(name).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}
