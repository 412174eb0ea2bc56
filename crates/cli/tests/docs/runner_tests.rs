//! The checker itself: on pages made up for it, it finds what is wrong and passes what is right.

use std::path::Path;

use crate::markdown::{Page, slug};
use crate::{cargo, data, links, page, root};

pub(crate) const ALL: [(&str, fn()); 8] = [
    ("blocks, headings and links are found", markdown),
    ("dead links are found", dead_links),
    ("wrong data and unknown languages are found", wrong_data),
    ("commands are recognised", commands),
    ("a failed command fails the page", failures),
    ("commands share a shell, and a server is waited for", server),
    ("python programs have the clients", python),
    ("cargo commands are checked", cargo_commands),
];

fn markdown() {
    let text = "# A `b` C!\n\n```sh,no-run\n# not a heading\n[x](y)\n```\n\n- item\n  ```json\n  {}\n  ```\n\
                See [one](a.md#b), `[two](b.md)`, ![three](c%20d.svg \"title\") and <a href=\"e.md\">.\n\n# A b C\n";
    let page = Page::new("page.md", text);
    assert_eq!(page.blocks.len(), 2, "{page:?}");
    assert!(page.blocks[0].is_shell() && !page.blocks[0].is_run() && page.blocks[0].line == 3);
    assert_eq!((page.blocks[1].language.as_str(), page.blocks[1].text.as_str()), ("json", "{}\n"));
    let targets: Vec<&str> = page.links.iter().map(|link| link.target.as_str()).collect();
    assert_eq!(targets, ["a.md#b", "c%20d.svg", "e.md"]);
    assert!(page.anchors.contains("a-b-c") && page.anchors.contains("a-b-c-1"), "{:?}", page.anchors);
    assert_eq!(slug("`mynah keys add`"), "mynah-keys-add");
    assert_eq!(slug("Section `[limits]`"), "section-limits");
}

fn dead_links() {
    let one = Page::new(
        "docs/one.md",
        "# One\n[a](two.md#two) [b](#one) [c](../README.md) [d](https://example.com)",
    );
    let two = Page::new("docs/two.md", "# Two\n[a](none.md)\n[b](one.md#none)\n[c](../../outside.md)");
    let exists = |path: &Path| {
        ["docs/one.md", "docs/two.md", "README.md"].iter().any(|known| path == Path::new(known))
    };
    let faults = links::faults(&[one, two], &exists);
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, place) in faults.iter().zip(["docs/two.md:2", "docs/two.md:3", "docs/two.md:4"]) {
        assert!(fault.starts_with(place), "{fault}");
    }
}

fn wrong_data() {
    let good = "```json\n{\"a\": 1}\n```\n```toml\n[package]\nname = \"x\"\n```\n```toml\nport = 1\n```\n```text\n{\n```\n";
    assert_eq!(data::faults(&[Page::new("good.md", good)]), Vec::<String>::new());
    for bad in [
        "```json\n{\"a\": }\n```",
        "```toml\na = \n```",
        "```toml\nport = \"x\"\n```",
        "```toml\nport = 1\nno_such_setting = 2\n```",
        "```shell\ntrue\n```",
        "```sh,norun\ntrue\n```",
        "```sh\ntrue\n",
    ] {
        assert_eq!(data::faults(&[Page::new("bad.md", bad)]).len(), 1, "{bad}");
    }
}

fn commands() {
    let text = "# a comment\n\none \\\n  --two\ncat > file <<'END'\n# text\nEND\nfor x in 1 2; do\n  echo $x\ndone\n\nlast # comment\n";
    let found = page::commands(text).unwrap();
    let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 4, 7, 11], "{found:?}");
    assert!(page::commands("echo 'never closed\n").is_err());
    let session = page::session("$ one \\\n>   --two\nout\n$ three\n");
    assert_eq!(session[0], (0, "one \\\n  --two\n".to_owned(), "out\n".to_owned()));
    assert_eq!(session[1], (3, "three\n".to_owned(), String::new()));

    assert_eq!(page::server_port("mynah serve &\n", 7), Some(7));
    assert_eq!(page::server_port("A=b mynah serve --port 80 # it\n", 7), Some(80));
    assert_eq!(page::server_port("mynah serve --print-config > file\n", 7), None);
    assert_eq!(page::server_port("echo mynah serve\n", 7), None);
}

#[track_caller]
fn fails(text: &str, wanted: &str) {
    let output = page::run_text(text).expect_err(text);
    assert!(output.contains(wanted), "{wanted:?} is not in {output}");
}

fn failures() {
    fails("```sh\ntrue\nfalse\necho after\n```", "== page.md:3 failed with status 1");
    fails("```sh\nfalse && true\ntrue\n```", "page.md:2 failed");
    fails("```sh\nfalse | cat\ntrue\n```", "page.md:2 failed");
    fails("```sh\n(exit 3)\n```\n```sh\ntrue\n```", "status 3");
    fails("```python\nraise SystemExit(4)\n```", "page.md:1 failed with status 4");
    fails("```sh\nmynah serve --port 9997 --config missing.toml &\n```", "the server ended");
    fails("```sh\nmynah --no-such-option\n```", "status 2");
    fails("```console\n$ echo one\ntwo\n```", "+one");
    fails("```console\n$ false\n```", "status 1");
    assert!(page::run_text("```console\n$ true\n$ echo one\none\n```").is_ok());
    assert!(page::run_text("```sh\nseq 1000000 | head -n 1\n```").is_ok());
    assert!(page::run_text("```sh\nfalse || echo saved\nif false; then echo no; fi\n```").is_ok());
    assert!(page::run_text("```sh,no-run\nfalse\n```\n```sh\ntrue\n```").is_ok());
}

fn server() {
    let text = "```sh\nmkdir folder && cd folder\nexport NAME=value\n```\n\
                ```sh\n[ \"$NAME\" = value ] && [ \"$(basename \"$PWD\")\" = folder ]\n\
                mynah serve --port 9997 &\ncurl -fsS http://127.0.0.1:9997/health\n```\n\
                ```sh\nmynah serve --api-key sk-another-server-here # in the place of the first\n\
                [ \"$(curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:9997/v1/models)\" = 401 ]\n```\n";
    let output = page::run_text(text).unwrap_or_else(|output| panic!("{output}"));
    assert!(output.matches("curl").count() == 2, "{output}");
}

fn python() {
    let text = "```sh\nmynah serve --port 9997 &\n```\n```python\nfrom openai import OpenAI\n\
                client = OpenAI(base_url=\"http://127.0.0.1:9997/v1\", api_key=\"none\")\n\
                assert any(model.id == \"whisper-base\" for model in client.models.list())\n```\n";
    page::run_text(text).unwrap_or_else(|output| panic!("{output}"));
}

fn cargo_commands() {
    let root = root();
    assert_eq!(
        cargo::run_as_program("cargo run --release -- models && cargo run -- pull x\n"),
        "mynah models && mynah pull x\n"
    );
    for good in [
        "cargo test --release --workspace",
        "RUST_LOG=debug cargo test --release -p mynah --test docs -- README   # a part",
        "cargo install --locked --path crates/cli --features otel",
        "cargo build --locked --profile dist -p mynah --target x86_64-unknown-linux-musl",
        "cargo run --release -p mynah-kernels --example throughput",
    ] {
        assert!(cargo::is_cargo(good));
        assert_eq!(cargo::fault(&root, good), None, "{good}");
    }
    for bad in [
        "cargo frobnicate",
        "cargo test -p mynah-nothing",
        "cargo test -p mynah --test nothing",
        "cargo install --path crates/nothing",
        "cargo build --profile nothing",
        "cargo build -p mynah --features nothing",
        "cargo build && rm -r x",
    ] {
        assert!(cargo::fault(&root, bad).is_some(), "{bad}");
    }
    assert!(!cargo::is_cargo("mynah models"));
}
