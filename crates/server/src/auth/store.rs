//! The file of keys and users, shared by the server and the command line. A writer holds a lock, reads the file again and
//! replaces it atomically; a reader checks for a new version once per second, so that a revoked key is refused without a
//! restart.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::key::{self, KeyHash, NewKey, StoredKey};
use super::password::{self, MIN_PASSWORD_CHARS};
use super::scopes::Scopes;
use super::time::unix_now;
use super::{AuthError, random};

/// Interval at which the file is checked for changes.
const FRESH: Duration = Duration::from_secs(1);

/// Maximum length of the name of a key or a user.
const MAX_NAME_CHARS: usize = 100;

/// Contents of the file.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Id of the next key.
    next_id: u64,
    /// Secret with which tokens are signed, base64.
    token_secret: Option<String>,
    users: Vec<StoredUser>,
    keys: Vec<StoredKey>,
}

/// A user as stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredUser {
    /// User name.
    pub name: String,
    /// Hash of the password, a PHC string.
    pub password: String,
    /// Scopes of the user.
    pub scopes: Scopes,
    /// Unix seconds.
    pub created_at: u64,
}

impl Contents {
    /// All keys, oldest first.
    pub fn keys(&self) -> &[StoredKey] {
        &self.keys
    }

    /// All users, oldest first.
    pub fn users(&self) -> &[StoredUser] {
        &self.users
    }

    pub(super) fn token_secret(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.token_secret.as_ref()?).ok()
    }
}

/// The file. It is created with the first key or user.
pub struct Store {
    path: PathBuf,
    seen: Mutex<Seen>,
}

struct Seen {
    contents: Option<Arc<Contents>>,
    /// What identifies a version of the file: modification time in seconds and nanoseconds, size, inode.
    stamp: Option<(i64, i64, u64, u64)>,
    looked: Instant,
}

impl Store {
    /// Opens the store in this file, which need not exist.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, AuthError> {
        let path = path.into();
        let (contents, stamp) = read(&path)?;
        let seen = Seen { contents: contents.map(Arc::new), stamp, looked: Instant::now() };
        Ok(Self { path, seen: Mutex::new(seen) })
    }

    /// Its contents; `None` if there was never a key or a user.
    pub fn contents(&self) -> Option<Arc<Contents>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.elapsed() >= FRESH {
            self.check(&mut seen);
        }
        seen.contents.clone()
    }

    /// Checks the file for changes now.
    pub(super) fn refresh(&self) {
        self.check(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// If the file is deleted or cannot be read, the previous contents stay valid, so that this never disables authentication.
    fn check(&self, seen: &mut Seen) {
        seen.looked = Instant::now();
        let stamp = fs::metadata(&self.path).ok().map(|found| stamp(&found));
        if stamp == seen.stamp {
            return;
        }
        match read(&self.path) {
            Ok((Some(contents), stamp)) => {
                (seen.contents, seen.stamp) = (Some(Arc::new(contents)), stamp);
                tracing::info!("reloaded keys from {}", self.path.display());
            }
            Ok((None, _)) => {
                seen.stamp = None;
                tracing::error!(
                    "{} was deleted; its keys stay valid until the server stops",
                    self.path.display()
                );
            }
            Err(error) => {
                seen.stamp = stamp;
                tracing::error!("{error}; keeping the previous keys");
            }
        }
    }

    /// Creates a key; returns it as stored and, only here, in plain text.
    ///
    /// # Errors
    /// The name or the key is invalid, or the file cannot be written.
    pub fn add_key(&self, new: NewKey) -> Result<(StoredKey, String), AuthError> {
        check_name(&new.name)?;
        let key = match new.key {
            Some(key) => {
                key::check_own(&key).map_err(AuthError::Refused)?;
                key
            }
            None => key::generate().map_err(|error| AuthError::Io { path: self.path.clone(), error })?,
        };
        let sha256 = KeyHash::of(key.as_bytes());
        let stored = self.change(|contents| {
            if contents.keys.iter().any(|other| other.sha256.is(&sha256)) {
                return Err(AuthError::Refused("this key exists already".to_owned()));
            }
            let stored = StoredKey {
                id: contents.next_id.max(1),
                name: new.name,
                prefix: key::prefix(&key),
                sha256,
                scopes: new.scopes,
                created_at: unix_now(),
                expires_at: new.expires_at,
                requests_per_minute: new.requests_per_minute,
            };
            contents.next_id = stored.id + 1;
            contents.keys.push(stored.clone());
            Ok(stored)
        })?;
        Ok((stored, key))
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// There is no such key, or the file cannot be written.
    pub fn revoke_key(&self, id: u64) -> Result<StoredKey, AuthError> {
        self.change(|contents| {
            let at = contents.keys.iter().position(|key| key.id == id);
            Ok(contents.keys.remove(at.ok_or_else(|| AuthError::Unknown(format!("there is no key {id}")))?))
        })
    }

    /// Adds a user, or changes the password and scopes of one.
    ///
    /// # Errors
    /// The name or the password is invalid, or the file cannot be written.
    pub fn set_user(&self, name: &str, password: &str, scopes: Scopes) -> Result<(), AuthError> {
        check_name(name)?;
        if password.chars().count() < MIN_PASSWORD_CHARS {
            let message = format!("Password must be at least {MIN_PASSWORD_CHARS} characters");
            return Err(AuthError::Refused(message));
        }
        let password = password::hash(password).map_err(AuthError::Refused)?;
        let user = StoredUser { name: name.to_owned(), password, scopes, created_at: unix_now() };
        self.change(|contents| {
            match contents.users.iter_mut().find(|user| user.name == name) {
                Some(known) => *known = user,
                None => contents.users.push(user),
            }
            Ok(())
        })
    }

    /// Removes a user.
    ///
    /// # Errors
    /// There is no such user, or the file cannot be written.
    pub fn remove_user(&self, name: &str) -> Result<(), AuthError> {
        self.change(|contents| {
            let at = contents.users.iter().position(|user| user.name == name);
            contents
                .users
                .remove(at.ok_or_else(|| AuthError::Unknown(format!("there is no user {name:?}")))?);
            Ok(())
        })
    }

    /// Applies one change under the lock, atomically.
    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T, AuthError>) -> Result<T, AuthError> {
        let io_error = |error| AuthError::Io { path: self.path.clone(), error };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error)?;
        let lock = File::create(self.path.with_extension("lock")).map_err(io_error)?;
        lock.lock().map_err(io_error)?;

        let mut contents = read(&self.path)?.0.unwrap_or_default();
        let outcome = change(&mut contents)?;
        if contents.token_secret.is_none() {
            contents.token_secret = Some(URL_SAFE_NO_PAD.encode(random::<32>().map_err(io_error)?));
        }
        // Temporary files are readable by their owner only.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io_error)?;
        serde_json::to_writer_pretty(&mut file, &contents).map_err(|error| io_error(error.into()))?;
        file.write_all(b"\n").and_then(|()| file.as_file().sync_all()).map_err(io_error)?;
        file.persist(&self.path).map_err(|error| io_error(error.error))?;
        self.refresh();
        Ok(outcome)
    }
}

fn check_name(name: &str) -> Result<(), AuthError> {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        let message = format!("a name must have 1 to {MAX_NAME_CHARS} visible characters");
        return Err(AuthError::Refused(message));
    }
    Ok(())
}

type Stamp = (i64, i64, u64, u64);

fn stamp(file: &fs::Metadata) -> Stamp {
    (file.mtime(), file.mtime_nsec(), file.size(), file.ino())
}

/// Contents and stamp, if the file exists.
fn read(path: &Path) -> Result<(Option<Contents>, Option<Stamp>), AuthError> {
    let open = || -> io::Result<(File, Stamp)> {
        let file = File::open(path)?;
        let stamp = stamp(&file.metadata()?);
        Ok((file, stamp))
    };
    match open() {
        Ok((file, stamp)) => match serde_json::from_reader(io::BufReader::new(file)) {
            Ok(contents) => Ok((Some(contents), Some(stamp))),
            Err(error) => Err(AuthError::Malformed { path: path.to_owned(), reason: error.to_string() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((None, None)),
        Err(error) => Err(AuthError::Io { path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            key: None,
            scopes: Scopes::default_client(),
            expires_at: None,
            requests_per_minute: None,
        }
    }

    #[test]
    fn keys_are_stored_as_hashes_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/keys.json");
        let store = Store::open(&path).unwrap();
        assert!(store.contents().is_none());
        let (kept, key) = store.add_key(new("one")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(&kept.sha256.to_string()) && !text.contains(&key));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(kept.sha256.is(&KeyHash::of(key.as_bytes())));

        assert_eq!(Store::open(&path).unwrap().contents().unwrap().keys()[0].name, "one");
        store.revoke_key(kept.id).unwrap();
        assert!(matches!(store.revoke_key(kept.id), Err(AuthError::Unknown(_))));
        assert_eq!(store.add_key(new("two")).unwrap().0.id, 2, "ids are not reused");
        assert!(store.contents().is_some(), "an empty store is still one");
    }

    #[test]
    fn changes_by_another_process_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let (here, there) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
        there.add_key(new("one")).unwrap();
        here.refresh();
        assert_eq!(here.contents().unwrap().keys().len(), 1);
        fs::write(&path, "{").unwrap();
        here.refresh();
        fs::remove_file(&path).unwrap();
        here.refresh();
        assert_eq!(here.contents().unwrap().keys().len(), 1, "a damaged file disables nothing");
    }

    #[test]
    fn damaged_files_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "{\"keys\": 7}").unwrap();
        let error = Store::open(&path).err().unwrap().to_string();
        assert!(error.contains("keys.json"), "{error}");
    }

    #[test]
    fn names_passwords_and_keys_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("keys.json")).unwrap();
        for name in ["", " ", "a\nb", &"x".repeat(101)] {
            assert!(matches!(store.add_key(new(name)), Err(AuthError::Refused(_))), "{name:?}");
        }
        assert!(matches!(store.set_user("ann", "short", Scopes::all()), Err(AuthError::Refused(_))));
        let own = || NewKey { key: Some("sk-72tkvudyGLPMi".to_owned()), ..new("own") };
        store.add_key(own()).unwrap();
        assert!(matches!(store.add_key(own()), Err(AuthError::Refused(_))), "the same key twice");
        assert!(store.contents().unwrap().users().is_empty());
    }
}
