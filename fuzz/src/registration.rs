//! Descriptions of models that users register, and the records that a process reads at start.

use mynah_engine::{Engine, Settings};

/// Registers the description, and starts with it as a record of each kind.
pub fn run(input: &[u8]) {
    let home = tempfile::tempdir().expect("a folder");
    let settings = || {
        let mut settings = Settings::new(home.path());
        settings.offline = true;
        settings
    };
    for kind in ["registered", "running"] {
        let folder = home.path().join("state").join(kind);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("input.json"), input).expect("a record");
    }
    let engine = Engine::open(settings(), mynah_models::registry()).expect("a damaged record is skipped");
    let before = engine.registrations().len();
    if let Ok(text) = str::from_utf8(input) {
        let added = engine.register(text, true).is_ok();
        assert!(!(added && before > 0), "the record has the same name");
        for registration in engine.registrations() {
            assert!(engine.models().iter().any(|model| model.entry.name == registration.entry.name));
            let _ = (engine.resolve(&registration.entry.name), engine.loadable(&registration.entry.name));
        }
        let _ = (engine.resolve(text), engine.select(text), engine.find_running(text));
    }
    // No file is outside the folder of records.
    let files = std::fs::read_dir(home.path().join("state/registered")).expect("the folder").count();
    assert!(files <= 2, "{files} files");
}
