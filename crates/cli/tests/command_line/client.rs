//! The commands that ask a running server. What they are answered here is what Xinference 4.1 answers.

use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scripted::Scripted;
use crate::{mynah, run};

/// Runs a command against this server: its exit code, standard output and standard error.
fn ask(server: &Scripted, arguments: &[&str]) -> (i32, String, String) {
    run_for_output(mynah(&TempDir::new().unwrap()).args(arguments).args(["--endpoint", &server.address]))
}

fn run_for_output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn fine(stdout: &str) -> (i32, String, String) {
    (0, stdout.to_owned(), String::new())
}

#[test]
fn running_models_are_a_table() {
    let server = Scripted::start(false, |_| {
        let model = |uid: &str, name: &str| json!({"id": uid, "model_type": "audio", "model_name": name});
        (
            200,
            json!({"object": "list", "data": [model("whisper-1", "whisper-large-v3"), model("a/b", "ChatTTS")]}),
        )
    });
    let table = "UID        Type    Name\n---------  ------  ----------------\n\
                 whisper-1  audio   whisper-large-v3\na/b        audio   ChatTTS\n";
    assert_eq!(ask(&server, &["list"]), fine(table));
    assert_eq!(server.lines(), ["GET /v1/models"]);
    assert_eq!(ask(&Scripted::start(false, |_| (200, json!({"data": []}))), &["list"]), fine(""));
}

#[test]
fn under_xinferences_name_tables_go_where_xinference_writes_them() {
    let server = Scripted::start(false, |_| {
        (200, json!({"data": [{"id": "w", "model_type": "audio", "model_name": "w"}]}))
    });
    let home = TempDir::new().unwrap();
    let link = home.path().join("xinference");
    symlink(env!("CARGO_BIN_EXE_mynah"), &link).unwrap();
    let mut command = Command::new(&link);
    command.env("HOME", home.path()).env("XINFERENCE_ENDPOINT", &server.address);
    let (code, stdout, stderr) = run_for_output(command.args(["--log-level", "INFO", "list"]));
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert_eq!(stderr, "UID    Type    Name\n-----  ------  ------\nw      audio   w\n");
}

#[test]
fn a_launch_is_watched_until_it_is_ready() {
    let looks = AtomicUsize::new(0);
    let server = Scripted::start(false, move |asked| match asked.line.split(['?', ' ']).nth(1).unwrap() {
        "/v1/models" => (200, json!({"model_uid": "cli"})),
        "/v1/models/cli/progress" => (200, json!({"progress": 0.8, "stage": "loading"})),
        "/v1/models/instances" => {
            let status = if looks.fetch_add(1, Ordering::Relaxed) == 0 { "CREATING" } else { "READY" };
            (200, json!([{"model_uid": "cli", "status": status}]))
        }
        other => panic!("{other}"),
    });
    let arguments = "launch -n whisper-tiny.en -t audio -en transformers -u cli -mp /w/hf --device cpu --beams 5 --env A B";
    let arguments: Vec<_> = arguments.split(' ').collect();
    assert_eq!(ask(&server, &arguments), fine("Model uid: cli\n"));
    assert_eq!(
        server.lines(),
        [
            "POST /v1/models?wait_ready=False",
            "GET /v1/models/instances?model_name=whisper-tiny.en&model_uid=cli",
            "GET /v1/models/cli/progress",
            "GET /v1/models/instances?model_name=whisper-tiny.en&model_uid=cli",
        ]
    );
    assert_eq!(
        server.asked()[0].body,
        json!({
            "model_uid": "cli", "model_name": "whisper-tiny.en", "model_engine": "transformers",
            "peft_model_config": null, "model_type": "audio", "model_size_in_billions": null, "model_format": null,
            "quantization": null, "replica": 1, "n_worker": 1, "n_gpu": "auto", "request_limits": null,
            "worker_ip": null, "gpu_idx": null, "replica_config": null, "model_path": "/w/hf",
            "enable_thinking": false, "enable_virtual_env": null, "virtual_env_packages": null,
            "virtual_env_find_links": null, "envs": {"A": "B"}, "trust_remote_code": true,
            "device": "cpu", "beams": 5,
        })
    );
}

#[test]
fn a_failed_launch_is_exit_code_1_with_its_reason() {
    let server = Scripted::start(false, |asked| match asked.line.starts_with("POST") {
        true => (200, json!({"model_uid": "nope"})),
        false => (
            200,
            json!([{"status": "ERROR", "replica_statuses": [{"error_message": "Audio model nope not found"}]}]),
        ),
    });
    let (code, stdout, stderr) = ask(&server, &["launch", "--model-name", "nope"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "mynah: Failed to launch model nope: Audio model nope not found\n");

    let refusing = Scripted::start(false, |_| (400, json!({"detail": "no such engine"})));
    let (code, _, stderr) = ask(&refusing, &["launch", "--model-name", "w"]);
    assert_eq!((code, stderr.as_str()), (1, "mynah: Failed to launch model, detail: no such engine\n"));
}

#[test]
fn models_are_terminated_under_any_name() {
    let server = Scripted::start(false, |_| (200, Value::Null));
    assert_eq!(ask(&server, &["terminate", "--model-uid", "a/b"]), fine(""));
    assert_eq!(server.lines(), ["DELETE /v1/models/a%2Fb"]);
    let refusing =
        Scripted::start(false, |_| (400, json!({"detail": "Model not found in the model list, uid: x"})));
    let (code, _, stderr) = ask(&refusing, &["terminate", "--model-uid", "x"]);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "mynah: Failed to terminate model, detail: Model not found in the model list, uid: x\n"
    );
}

#[test]
fn registrations_come_and_go() {
    let server = Scripted::start(false, |asked| match asked.line.starts_with("GET") {
        true => (
            200,
            json!([{"model_name": "w", "model_family": "whisper", "multilingual": true, "is_builtin": false}]),
        ),
        false => (200, Value::Null),
    });
    let table = "Type    Name    Family    Multilingual    Is-built-in\n\
                 ------  ------  --------  --------------  -------------\n\
                 audio   w       whisper   True            False\n";
    assert_eq!(ask(&server, &["registrations", "-t", "audio"]), fine(table));

    let home = TempDir::new().unwrap();
    let file = home.path().join("w.json");
    std::fs::write(&file, "{\"model_name\": \"w\"}").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(ask(&server, &["register", "-t", "audio", "--file", file, "--persist"]), fine(""));
    assert_eq!(ask(&server, &["unregister", "-t", "audio", "-n", "w"]), fine(""));
    assert_eq!(
        server.lines(),
        [
            "GET /v1/model_registrations/audio?detailed=true",
            "POST /v1/model_registrations/audio",
            "DELETE /v1/model_registrations/audio/w",
        ]
    );
    let body = json!({"model": "{\"model_name\": \"w\"}", "worker_ip": null, "persist": true});
    assert_eq!(server.asked()[1].body, body);
    assert_eq!(ask(&server, &["register", "--file", "missing.json"]).0, 2);
}

#[test]
fn the_cache_is_listed_and_emptied() {
    let server = Scripted::start(false, |asked| match asked.line.split(['?', ' ']).nth(1).unwrap() {
        "/v1/cache/models" if asked.line.starts_with("GET") => {
            (200, json!({"list": [{"model_name": "w", "path": "/p", "quantization": null}]}))
        }
        "/v1/cache/models" => (200, json!({"result": !asked.line.contains("busy")})),
        _ => (200, json!({"paths": if asked.line.contains("none") { json!([]) } else { json!(["/p/a"]) }})),
    });
    let (code, stdout, _) = ask(&server, &["cached", "-n", "w"]);
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("cached_model: \n+------------+------+--------------+\n| model_name | path |"),
        "{stdout}"
    );
    assert_eq!(server.lines(), ["GET /v1/cache/models?model_name=w"]);

    let remove = |version, more: &[&str]| ask(&server, &[&["remove-cache", "-n", version], more].concat());
    assert_eq!(remove("w", &["--check"]), fine("Cache directory w has been deleted.\n"));
    assert_eq!(remove("none", &[]), fine("There is no model version named none.\n"));
    let (code, stdout, stderr) = remove("w", &[]);
    assert_eq!((code, stderr.as_str()), (1, "mynah: Aborted!\n"), "no one said yes");
    assert!(stdout.contains("/p/a\nDo you want to proceed with the deletion? [y/N]: "), "{stdout}");
    let deleted = server.lines().into_iter().filter(|line| line.starts_with("DELETE")).count();
    assert_eq!(deleted, 1);
    assert_eq!(remove("busy", &["--check"]).0, 1);
}

#[test]
fn keys_are_shown_only_where_they_are_wanted() {
    let none = |_: &crate::scripted::Asked| (200, json!({"data": []}));
    let (open, locked) = (Scripted::start(false, none), Scripted::start(true, none));
    for server in [&open, &locked] {
        assert_eq!(ask(server, &["list", "-ak", "sk-secret"]), fine(""));
    }
    assert_eq!(open.asked()[0].authorization, None);
    assert_eq!(locked.asked()[0].authorization.as_deref(), Some("Bearer sk-secret"));
    let (code, _, stderr) = ask(&locked, &["list"]);
    assert!(code == 1 && stderr.contains("Cannot find access token, please login first!"), "{stderr}");
}

#[test]
fn a_login_serves_the_commands_that_follow() {
    let server = Scripted::start(true, |asked| match asked.line.as_str() {
        "POST /token" if asked.body["password"] == "right" => {
            (200, json!({"access_token": "a.b.c", "token_type": "bearer"}))
        }
        "POST /token" => (401, json!({"detail": "Incorrect username or password"})),
        _ => (200, json!({"data": []})),
    });
    let home = TempDir::new().unwrap();
    let command = |arguments: &[&str]| {
        run_for_output(mynah(&home).env("XINFERENCE_ENDPOINT", &server.address).args(arguments))
    };
    let (code, _, stderr) = command(&["login", "--username", "ann", "--password", "wrong"]);
    assert!(code == 1 && stderr.contains("Incorrect username or password"), "{stderr}");
    assert_eq!(command(&["login", "--username", "ann", "--password", "right"]), fine(""));
    assert_eq!(command(&["list"]), fine(""));
    assert_eq!(server.asked().last().unwrap().authorization.as_deref(), Some("Bearer a.b.c"));
}

#[test]
fn servers_that_are_not_there_are_named() {
    let home = TempDir::new().unwrap();
    let output = run(&home, &["list", "--endpoint", "http://127.0.0.1:1"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && stderr.contains("cannot connect to http://127.0.0.1:1/"),
        "{stderr}"
    );
    assert_eq!(run(&home, &["list", "--endpoint", "nonsense"]).status.code(), Some(2));
}
