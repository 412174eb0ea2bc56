//! Runs the commands of a page as a reader would: in order, in one shell, in an empty folder.
//!
//! - `mynah` is the program under test. Weights come from a store that all pages share; keys and settings are the page's
//!   own. The ports 9997 to 9999 stand for free ones.
//! - The first command that fails fails the page: in a list joined by `&&` and in a pipe too, unless `head` ends the pipe.
//! - Of `console` blocks the lines after `$ ` are run, and their standard output must be the lines that follow.
//! - A server runs in the background, with `&` or without, until the page ends or another one takes its port. The next
//!   command runs once it accepts connections.
//! - `python` blocks are programs of their own, with the clients of `clients/requirements.txt`.
//! - Commands of cargo are checked by [`crate::cargo`].
//! - Blocks with `no-run` are counted and listed.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::markdown::Page;
use crate::support::{clients, folder, must, mynah, once};
use crate::{Faults, cargo, root};

const TIME_LIMIT: Duration = Duration::from_secs(600);
/// The ports of the documents; the first is the default of `mynah serve`.
const PORTS: [&str; 3] = ["9997", "9998", "9999"];

/// What the shell does before the first command.
const PREAMBLE: &str = r#"
set -eo pipefail
declare -A docs_servers
docs_place="the start"
trap 'docs_status=$?; [ $docs_status = 0 ] || echo "== $docs_place failed with status $docs_status"' EXIT
# step FILE PLACE: shows the command and runs it in this shell.
step() {
    docs_place="$2"
    echo "== $2"
    cat "$1"
    . "$1"
}
# compare FILE PLACE EXPECTED: the same, and its standard output must be that of EXPECTED.
compare() {
    docs_place="$2"
    echo "== $2"
    cat "$1"
    . "$1" >"$DOCS_STEPS/stdout"
    diff -u --label documented --label real "$3" "$DOCS_STEPS/stdout"
}
stop_server() {
    local pid="${docs_servers[$1]:-}"
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "docs_servers[$1]"
}
await_server() {
    local pid="$!" n
    docs_servers[$1]="$pid"
    for n in $(seq 600); do
        kill -0 "$pid" 2>/dev/null || { echo "the server ended"; return 1; }
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    echo "no server on port $1"
    return 1
}
"#;

/// A page as a program for the shell.
#[derive(Debug, Default)]
struct Script {
    text: String,
    /// Files that it reads.
    files: Vec<(String, String)>,
    commands: usize,
    programs: usize,
    cargo_commands: usize,
    /// Lines of blocks that are not run, with their first command.
    not_run: Vec<(usize, String)>,
    faults: Faults,
}

/// Runs a page of the documents.
#[expect(clippy::print_stdout, reason = "what was run, and what was not")]
pub(crate) fn run(page: &Page) -> Faults {
    let ports = free_ports();
    let script = Script::new(page, &ports);
    println!(
        "{}: {} commands and {} Python programs to run, {} cargo commands checked, {} blocks not run",
        page.name,
        script.commands,
        script.programs,
        script.cargo_commands,
        script.not_run.len()
    );
    for (line, first) in &script.not_run {
        println!("    not run: {}:{line}: {first}", page.name);
    }
    let mut faults = script.faults.clone();
    if script.commands + script.programs > 0 {
        match script.run(ports[0]) {
            Ok(output) if std::env::var_os("MYNAH_DOCS_VERBOSE").is_some() => println!("{output}"),
            Ok(_) => {}
            Err(output) => faults.push(output),
        }
    }
    faults
}

/// Runs a page that a test made up; its output, or why it failed.
pub(crate) fn run_text(text: &str) -> Result<String, String> {
    let ports = free_ports();
    let script = Script::new(&Page::new("page.md", text), &ports);
    if script.faults.is_empty() { script.run(ports[0]) } else { Err(script.faults.join("\n")) }
}

impl Script {
    fn new(page: &Page, ports: &[u16; PORTS.len()]) -> Self {
        let mut script = Self { text: PREAMBLE.to_owned(), ..Self::default() };
        for block in &page.blocks {
            let is_python = block.language == "python";
            if !is_python && !block.is_shell() && !block.is_console() {
                continue;
            }
            if !block.is_run() {
                let first = block.text.lines().next().unwrap_or_default().to_owned();
                script.not_run.push((block.line, first));
                continue;
            }
            let text = with_ports(&block.text, ports);
            if is_python {
                let program = format!("block_{}.py", block.line);
                let place = format!("{}:{}", page.name, block.line);
                script.step(&place, &format!("python3 \"$DOCS_STEPS/{program}\"\n"));
                script.files.push((program, text));
                script.programs += 1;
                continue;
            }
            if block.is_console() {
                for (line, command, output) in session(&text) {
                    script.comparison(&format!("{}:{}", page.name, block.line + 1 + line), &command, output);
                }
                continue;
            }
            match commands(&text) {
                Ok(commands) => {
                    for (line, command) in commands {
                        script.command(
                            &format!("{}:{}", page.name, block.line + 1 + line),
                            &command,
                            ports[0],
                        );
                    }
                }
                Err(fault) => script.faults.push(format!("{}:{}: {fault}", page.name, block.line)),
            }
        }
        script
    }

    fn command(&mut self, place: &str, command: &str, port: u16) {
        let command = cargo::run_as_program(command);
        if cargo::is_cargo(&command) {
            self.cargo_commands += 1;
            self.faults.extend(cargo::fault(&root(), &command).map(|fault| format!("{place}: {fault}")));
            return;
        }
        self.commands += 1;
        let Some(server_port) = server_port(&command, port) else {
            self.step(place, &command);
            return;
        };
        self.text += &format!("stop_server {server_port}\n");
        let command = without_comment(&command);
        let command = if command.ends_with('&') { command.to_owned() } else { format!("{command} &") };
        self.step(place, &format!("{command}\n"));
        self.text += &format!("await_server {server_port}\n");
    }

    fn comparison(&mut self, place: &str, command: &str, output: String) {
        self.commands += 1;
        let number = self.files.len();
        let (step, expected) = (format!("step_{number}.sh"), format!("output_{number}"));
        self.text += &format!("compare \"$DOCS_STEPS/{step}\" {place} \"$DOCS_STEPS/{expected}\"\n");
        self.files.extend([(step, command.to_owned()), (expected, output)]);
    }

    fn step(&mut self, place: &str, command: &str) {
        let file = format!("step_{}.sh", self.files.len());
        // What writes to `head` may find that nothing reads any more.
        let ends_early = command.contains("| head");
        let (before, after) = if ends_early { ("set +o pipefail\n", "set -o pipefail\n") } else { ("", "") };
        self.text += &format!("{before}step \"$DOCS_STEPS/{file}\" {place}\n{after}");
        self.files.push((file, command.to_owned()));
    }

    /// The output of all commands; an error where one of them failed.
    fn run(&self, port: u16) -> Result<String, String> {
        let scratch = Scratch::new();
        for (name, text) in &self.files {
            fs::write(scratch.steps().join(name), text).unwrap();
        }
        let script = scratch.steps().join("page.sh");
        fs::write(&script, &self.text).unwrap();
        let log = scratch.steps().join("output");
        let file = File::create(&log).unwrap();
        let mut command = scratch.shell(port);
        command.arg(&script).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut shell = command.process_group(0).spawn().expect("these tests need bash");
        let began = Instant::now();
        let status = loop {
            match shell.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if began.elapsed() > TIME_LIMIT => break None,
                None => sleep(Duration::from_millis(20)),
            }
        };
        end_group(shell.id());
        // It has ended, or was killed with its group.
        let _ = shell.wait();
        let output = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
        match status {
            Some(status) if status.success() => Ok(output),
            Some(_) => Err(output),
            None => Err(format!("{output}\n== not done after {TIME_LIMIT:?}")),
        }
    }
}

/// Ends all processes of a group, servers that the page started among them.
fn end_group(leader: u32) {
    for signal in ["-TERM", "-KILL"] {
        let group = format!("-{leader}");
        let sent = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
        if !sent.expect("these tests need kill").success() {
            return;
        }
        sleep(Duration::from_millis(300));
    }
}

/// Whole commands of a block with their lines, from 0; a command may have several lines.
pub(crate) fn commands(text: &str) -> Result<Vec<(usize, String)>, String> {
    let mut commands = Vec::new();
    let (mut first, mut command) = (0, String::new());
    for (n, line) in text.lines().enumerate() {
        if command.is_empty() {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            first = n;
        }
        command += line;
        command.push('\n');
        if is_complete(&command) {
            commands.push((first, std::mem::take(&mut command)));
        }
    }
    if command.is_empty() { Ok(commands) } else { Err(format!("the shell wants more after {command:?}")) }
}

/// Whether the shell would run it now.
fn is_complete(command: &str) -> bool {
    if command.trim_end_matches('\n').ends_with('\\') {
        return false;
    }
    let output = Command::new("bash").args(["-n", "-c", command]).output().expect("these tests need bash");
    // A document in the command that is not ended yet is only warned of.
    output.status.success() && output.stderr.is_empty()
}

/// The port of the server that a command starts.
pub(crate) fn server_port(command: &str, default: u16) -> Option<u16> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let start = words.windows(2).position(|pair| pair[0] == "mynah" && pair[1] == "serve")?;
    let is_first =
        words[..start].iter().all(|word| word.contains('=') || *word == "exec" || *word == "nohup");
    let options = words[start..].split(|word| word.starts_with('#')).next().unwrap_or_default();
    if !is_first || options.iter().any(|option| matches!(*option, "--print-config" | "--help" | "-h")) {
        return None;
    }
    let at = options.iter().position(|option| matches!(*option, "--port" | "-p"));
    let named = at.and_then(|at| options.get(at + 1)?.parse().ok());
    let joined = options.iter().find_map(|option| option.strip_prefix("--port=")?.parse().ok());
    Some(named.or(joined).unwrap_or(default))
}

/// The command without the comment at its end.
fn without_comment(command: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in command.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return command[..at].trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    command.trim_end()
}

fn free_ports() -> [u16; PORTS.len()] {
    // All are bound at once, so that they differ.
    let listeners = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// The text with its ports replaced, each once: a free one may contain the digits of another.
fn with_ports(text: &str, ports: &[u16; PORTS.len()]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((at, n)) =
        PORTS.iter().enumerate().filter_map(|(n, port)| Some((rest.find(port)?, n))).min()
    {
        out += &rest[..at];
        out += &ports[n].to_string();
        rest = &rest[at + PORTS[n].len()..];
    }
    out + rest
}

/// Commands of a session (lines from `$ `, continued by `> `) with their lines, from 0, and their output.
pub(crate) fn session(text: &str) -> Vec<(usize, String, String)> {
    let mut commands: Vec<(usize, String, String)> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((n, format!("{command}\n"), String::new()));
        } else if let Some((_, command, output)) = commands.last_mut() {
            match line.strip_prefix("> ").filter(|_| output.is_empty()) {
                Some(rest) => *command += &format!("{rest}\n"),
                None => *output += &format!("{line}\n"),
            }
        }
    }
    commands
}

/// Folders of a page.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        for name in ["bin", "home", "steps", "user", "work"] {
            fs::create_dir(scratch.0.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mynah"), scratch.0.path().join("bin/mynah")).unwrap();
        for name in ["models", "cache"] {
            let shared = store().join(name);
            if shared.exists() {
                link_all(&shared, &scratch.0.path().join("home").join(name)).unwrap();
            }
        }
        scratch
    }

    fn steps(&self) -> PathBuf {
        self.0.path().join("steps")
    }

    /// A shell in the page's folder.
    fn shell(&self, port: u16) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["MYNAH_", "XINFERENCE_", "OPENAI_", "HF_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&*name);
            }
        }
        let folder = self.0.path();
        command
            .current_dir(folder.join("work"))
            .env("PATH", format!("{}:{}:{path}", folder.join("bin").display(), venv().join("bin").display()))
            .env("HOME", folder.join("user"))
            .env("DOCS_STEPS", self.steps())
            .env("MYNAH_HOME", folder.join("home"))
            .env("MYNAH_PORT", port.to_string())
            .env("XINFERENCE_ENDPOINT", format!("http://127.0.0.1:{port}"))
            .env("XINFERENCE_HOME", folder.join("xinference"))
            // What pip has comes through pip, so that no hub is asked.
            .env("XINFERENCE_MODEL_SRC", "pip")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Hard links of all files below a folder: what a page deletes is gone for that page alone.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true if entry.file_name().to_string_lossy().starts_with('.') => {}
            true => link_all(&entry.path(), &target)?,
            false => fs::hard_link(entry.path(), target)?,
        }
    }
    Ok(())
}

/// The store of the tests with real speech, with the models of the documents.
fn store() -> &'static Path {
    static STORE: OnceLock<PathBuf> = OnceLock::new();
    STORE.get_or_init(|| {
        let home = folder().join("home");
        for model in ["whisper-base", "whisper-tiny.en", "hibari"] {
            must(mynah(&home).args(["--quiet", "pull", model]));
        }
        home
    })
}

/// Python with the clients of `clients/requirements.txt`, as the tests of the clients have it.
fn venv() -> &'static Path {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    VENV.get_or_init(|| {
        let venv = folder().join("venv");
        let requirements = clients().join("requirements.txt");
        once(&venv, std::slice::from_ref(&requirements), || {
            must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
            must(Command::new(venv.join("bin/python")).args(pip).arg(&requirements));
        });
        venv
    })
}
