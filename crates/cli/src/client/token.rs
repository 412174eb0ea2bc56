//! Tokens of logins: one file for each server, named by the sha256 of its address, as Xinference keeps them.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::exit::Failure;
use crate::output::write_secret;

/// The token of the last login at this server.
pub(super) fn read(endpoint: &str) -> Result<String, Failure> {
    let name = file_name(endpoint);
    let token = folders().into_iter().find_map(|folder| fs::read_to_string(folder.join(&name)).ok());
    token.map(|token| token.trim().to_owned()).ok_or_else(|| {
        let message = "Cannot find access token, please login first! (mynah login, or --api-key)";
        Failure::Failed(Some(message.to_owned()))
    })
}

/// Keeps the token of a login, for this user alone.
pub(super) fn write(endpoint: &str, token: &str) -> Result<(), Failure> {
    let Some(folder) = folders().into_iter().next() else {
        let message = "there is no home folder for the token; set MYNAH_HOME";
        return Err(Failure::Failed(Some(message.to_owned())));
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        Failure::Failed(Some(format!("cannot create the folder {}: {error}", folder.display())))
    })?;
    write_secret(&folder.join(file_name(endpoint)), token)
}

/// Where tokens may lie; new ones go to the first.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_home = |folder: &str| env::home_dir().map(|home| home.join(folder));
    let homes = [
        variable("MYNAH_HOME").or_else(|| in_home(".mynah")),
        variable("XINFERENCE_HOME").or_else(|| in_home(".xinference")),
    ];
    homes.into_iter().flatten().map(|home| home.join("auth")).collect()
}

fn file_name(endpoint: &str) -> String {
    Sha256::digest(endpoint.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn files_are_named_as_xinference_names_them() {
        assert_eq!(
            super::file_name("http://127.0.0.1:9997"),
            "873c6f9a04faad636477a99fe9389f2a6d00ba47ad8a1088a7a4063549c0cdf0"
        );
    }
}
