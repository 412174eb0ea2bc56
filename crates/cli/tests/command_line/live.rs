//! The commands that ask a running server, against the real one.

use tempfile::TempDir;

use crate::serve::{Server, output};
use crate::{run, write_chattts};

#[test]
fn a_model_lives_and_dies_by_commands() {
    let home = TempDir::new().unwrap();
    write_chattts(&home.path().join("weights"));
    let server = Server::start(&home, &[]);
    let endpoint = server.endpoint();
    let ask = |line: &str| {
        let words: Vec<_> = line.split(' ').chain(["-e", &endpoint]).collect();
        output(&home, &words, "")
    };
    assert_eq!(ask("list"), "");
    // The path is this command's, not the server's.
    assert_eq!(
        ask("launch -n ChatTTS -t audio -u team/voice -mp weights --compile False"),
        "Model uid: team/voice"
    );
    let table = "UID         Type    Name\n----------  ------  -------\nteam/voice  audio   ChatTTS";
    assert_eq!(ask("list"), table);
    assert_eq!(ask("terminate --model-uid team/voice"), "");
    assert_eq!(ask("list"), "");

    for (line, reason) in [
        ("launch --model-name nope", "nope"),
        ("launch -n ChatTTS -mp /no/such/folder", "/no/such/folder"),
        ("terminate --model-uid nope", "Model not found in the model list, uid: nope"),
    ] {
        let words: Vec<_> = line.split(' ').chain(["-e", &endpoint]).collect();
        let failed = run(&home, &words);
        let stderr = String::from_utf8(failed.stderr).unwrap();
        assert!(failed.status.code() == Some(1) && stderr.contains(reason), "{line}: {stderr}");
    }
}

#[test]
fn models_are_registered_and_removed_by_commands() {
    let home = TempDir::new().unwrap();
    write_chattts(&home.path().join("weights"));
    let server = Server::start(&home, &[]);
    let endpoint = server.endpoint();
    let ask = |line: &str| {
        let words: Vec<_> = line.split(' ').chain(["-e", &endpoint]).collect();
        output(&home, &words, "")
    };
    let is_listed = |table: &str| table.lines().any(|line| line.starts_with("audio   my-voice "));
    let builtin = ask("registrations");
    assert!(builtin.starts_with("Type    Name") && builtin.contains("whisper-base"), "{builtin}");
    assert!(!is_listed(&builtin), "{builtin}");

    let weights = home.path().join("weights");
    let definition = serde_json::json!({
        "model_name": "my-voice", "model_family": "ChatTTS", "multilingual": true, "model_id": null,
        "model_revision": null, "model_uri": format!("file://{}", weights.display()),
    });
    std::fs::write(home.path().join("my-voice.json"), definition.to_string()).unwrap();
    assert_eq!(ask("register -t audio -f my-voice.json -p"), "");
    let table = ask("registrations -t audio");
    let line = table.lines().find(|line| line.starts_with("audio   my-voice ")).unwrap_or_default();
    assert!(line.contains("ChatTTS") && line.ends_with("False"), "{table}");
    assert_eq!(ask("launch -n my-voice"), "Model uid: my-voice");
    assert_eq!(ask("terminate --model-uid my-voice"), "");
    assert_eq!(ask("unregister -t audio -n my-voice"), "");
    assert!(!is_listed(&ask("registrations")));

    assert_eq!(ask("cached -n no-such-model"), "There are no cache files.");
    assert_eq!(ask("remove-cache -n no-such-model"), "There is no model version named no-such-model.");
    assert!(ask("engine -n whisper-base").contains("whisper-base"));
}

#[test]
fn a_server_is_stopped_by_a_command() {
    let home = TempDir::new().unwrap();
    let server = Server::start(&home, &[]);
    let said = output(&home, &["stop-cluster", "--endpoint", &server.endpoint(), "--check"], "");
    assert_eq!(said, "Cluster stopped: True");
    server.ended();
}
