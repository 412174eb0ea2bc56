//! Models on disk: in the store, and in caches of other programs.

use std::fs;
use std::path::{Path, PathBuf};

use mynah_core::CancelFlag;
use mynah_engine::{Engine, Error, ModelStatus, Origin, Settings};
use mynah_testkit::hub::{Hub, Repository};
use tempfile::TempDir;

use crate::download::settings;

fn status(engine: &Engine, name: &str) -> ModelStatus {
    engine.models().into_iter().find(|model| model.entry.name == name).unwrap()
}

fn write(folder: &Path, files: &[&str]) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    for file in files {
        fs::write(folder.join(file), b"0123456789").unwrap();
    }
    folder.to_owned()
}

/// An engine with whisper-small in its store.
fn with_a_model(home: &TempDir, hub: &Hub) -> (Engine, PathBuf) {
    let engine = Engine::open(settings(home, &hub.url()), mynah_models::registry()).unwrap();
    let folder = engine.pull("whisper-small", &mut |_| (), &CancelFlag::new()).unwrap();
    (engine, folder)
}

fn hub() -> Hub {
    let repository = Repository::new();
    Hub::start(move |request| repository.answer(request))
}

#[test]
fn a_model_is_listed_and_removed() {
    let (home, hub) = (tempfile::tempdir().unwrap(), hub());
    let (engine, folder) = with_a_model(&home, &hub);
    let on_disk = status(&engine, "whisper-small").on_disk.unwrap();
    assert_eq!((&on_disk.path, on_disk.origin), (&folder, Origin::Store));
    assert_eq!(on_disk.bytes, Repository::new().checkpoint_bytes());
    assert_eq!(status(&engine, "whisper-base").on_disk, None);

    assert!(engine.remove("small").unwrap() >= on_disk.bytes);
    assert!(!folder.exists());
    assert_eq!(status(&engine, "whisper-small").on_disk, None);
    assert!(matches!(engine.remove("whisper-small"), Err(Error::NotOnDisk(name)) if name == "whisper-small"));
    assert!(matches!(engine.remove("whisper-smal"), Err(Error::UnknownModel { .. })));
}

#[test]
fn a_damaged_model_is_downloaded_again() {
    let (home, hub) = (tempfile::tempdir().unwrap(), hub());
    let (engine, folder) = with_a_model(&home, &hub);
    fs::write(folder.join("model.safetensors"), b"cut").unwrap();
    assert_eq!(status(&engine, "whisper-small").on_disk, None);
    engine.pull("whisper-small", &mut |_| (), &CancelFlag::new()).unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), Repository::new().weights());
}

#[test]
fn leftovers_of_a_killed_process_are_harmless() {
    let (home, hub) = (tempfile::tempdir().unwrap(), hub());
    let models = home.path().join("mynah/models");
    // Killed while deleting, while unpacking, and by an older version without a manifest.
    write(&models.join(".trash/x/model"), &["model.safetensors"]);
    write(
        &models.join(".partial/whisper-small/Huggingface-openai_whisper-small-c0ffee"),
        &["config.json", "model.safetensors", "tokenizer.json.part"],
    );
    write(&models.join("whisper-small"), &["model.safetensors"]);
    let (_, folder) = with_a_model(&home, &hub);
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), Repository::new().weights());
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), Repository::new().files["config.json"]);
    assert!(!models.join(".trash/x").exists());
}

#[test]
fn caches_of_other_programs_are_used_and_not_changed() {
    let home = tempfile::tempdir().unwrap();
    let hub_cache = home.path().join("hub");
    let repository = hub_cache.join("models--openai--whisper-base");
    // The commit that the user's other programs use; the catalogue's is missing.
    let snapshot =
        write(&repository.join("snapshots/abc"), &["model.safetensors", "config.json", "tokenizer.json"]);
    write(&repository.join("refs"), &[]);
    fs::write(repository.join("refs/main"), "abc").unwrap();
    // Another one lacks its weights.
    write(&hub_cache.join("models--openai--whisper-tiny/snapshots/abc"), &["config.json", "tokenizer.json"]);
    let xinference = write(
        &home.path().join("xinference/v2/whisper-tiny_en"),
        &["pytorch_model.bin", "config.json", "vocab.json", "merges.txt"],
    );
    let engine = Engine::open(
        Settings {
            hf_caches: vec![hub_cache],
            xinference_caches: vec![home.path().join("xinference")],
            offline: true,
            ..Settings::new(home.path().join("mynah"))
        },
        mynah_models::registry(),
    )
    .unwrap();

    let found = status(&engine, "whisper-base").on_disk.unwrap();
    assert_eq!((found.path, found.bytes, found.origin), (snapshot.clone(), 30, Origin::HuggingFaceCache));
    let found = status(&engine, "whisper-tiny.en").on_disk.unwrap();
    assert_eq!((found.path, found.bytes, found.origin), (xinference, 40, Origin::XinferenceCache));
    assert_eq!(status(&engine, "whisper-tiny").on_disk, None);

    assert_eq!(engine.pull("whisper-1", &mut |_| (), &CancelFlag::new()).unwrap(), snapshot);
    assert!(matches!(engine.remove("whisper-base"), Err(Error::NotOurs { path, .. }) if path == snapshot));
    assert!(snapshot.join("config.json").exists());
}

#[test]
fn an_unwritable_home_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, b"").unwrap();
    let engine =
        Engine::open(Settings { hf_endpoint: hub().url(), ..Settings::new(&file) }, mynah_models::registry())
            .unwrap();
    let error = engine.pull("whisper-small", &mut |_| (), &CancelFlag::new()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.starts_with(&file)), "{error:?}");
}
