//! Hugging Face and ModelScope: lists the files of a repository, selects those of the model, and downloads them.

use std::fs;
use std::path::Path;

use mynah_core::{CancelFlag, ModelFamily};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::{Client, RemoteFile};
use super::{Failure, Fetched, Meter, StoredFile, require_space};
use crate::Error;
use crate::catalogue::{HubFile, VoiceFile};
use crate::disk::bytes_below;
use crate::settings::Settings;

/// The two kinds of hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Huggingface,
    Modelscope,
}

/// A repository's files.
struct Listing {
    /// Commit, where the hub reports it.
    commit: Option<String>,
    files: Vec<RemoteFile>,
}

/// A repository on a hub.
pub(super) struct Repository<'a> {
    pub(super) kind: Kind,
    pub(super) repo: &'a str,
    pub(super) revision: &'a str,
    /// The files; if empty, the family selects them.
    pub(super) files: &'a [HubFile],
    pub(super) family: &'a dyn ModelFamily,
}

/// Downloads the checkpoint of a repository.
pub(super) fn fetch(
    repository: &Repository<'_>,
    settings: &Settings,
    partial: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancelFlag,
) -> Result<Fetched, Failure> {
    let Repository { kind, repo, revision, files, family } = *repository;
    let (endpoint, token) = match kind {
        Kind::Huggingface => (&settings.hf_endpoint, settings.hf_token.clone()),
        Kind::Modelscope => (&settings.modelscope_endpoint, None),
    };
    let endpoint = parse(endpoint)?;
    let client = Client::new(&endpoint, token, settings.download_timeouts, cancel)?;
    let listing = match kind {
        Kind::Huggingface => list_huggingface(&client, &endpoint, repo, revision)?,
        Kind::Modelscope => list_modelscope(&client, &endpoint, repo, revision)?,
    };
    let (chosen, extra) = if files.is_empty() {
        let names: Vec<&str> = listing.files.iter().map(|file| file.name.as_str()).collect();
        let names = family.select_files(&names).map_err(|reason| Failure::Refused(reason.to_owned()))?;
        let chosen = listing.files.iter().filter(|file| names.contains(&file.name.as_str()));
        (chosen.cloned().collect(), Vec::new())
    } else {
        (pinned(&listing, files)?, elsewhere(repository, &endpoint))
    };

    // Files of different commits must not be mixed, so each commit has its own folder.
    let revision = listing.commit.as_deref().unwrap_or(revision);
    let key = format!("{kind:?}-{repo}-{revision}")
        .replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "_");
    let folder = partial.join(key);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let total: Option<u64> = chosen.iter().map(|file| file.bytes).sum();
    require_space(&folder, total.unwrap_or(0).saturating_sub(bytes_below(&folder)))?;

    meter.begin(total);
    let mut stored: Vec<StoredFile> =
        chosen.iter().map(|file| client.fetch(file, &folder, meter)).collect::<Result<_, _>>()?;
    for (file, optional) in extra {
        match client.fetch(&file, &folder, meter) {
            Ok(file) => stored.push(file),
            Err(Failure::Unreachable(reason) | Failure::Refused(reason)) if optional => {
                tracing::warn!("skipped {}, which could not be downloaded: {reason}", file.name);
            }
            Err(failure) => return Err(failure),
        }
    }
    meter.report();
    Ok(Fetched { folder, revision: revision.to_owned(), files: stored })
}

/// The listed files that the catalogue names, with its checksums.
fn pinned(listing: &Listing, files: &[HubFile]) -> Result<Vec<RemoteFile>, Failure> {
    let own = files.iter().filter(|file| file.repo.is_none() && file.revision.is_none());
    let mut chosen = Vec::new();
    for file in own {
        match listing.files.iter().find(|listed| listed.name == file.path) {
            Some(listed) => {
                let sha256 = file.sha256.clone().or_else(|| listed.sha256.clone());
                chosen.push(RemoteFile { sha256, ..listed.clone() });
            }
            None if file.optional => {}
            None => return Err(Failure::Refused(format!("it has no {}", file.path))),
        }
    }
    Ok(chosen)
}

/// Files of other repositories or revisions, and whether they are optional.
fn elsewhere(repository: &Repository<'_>, endpoint: &Url) -> Vec<(RemoteFile, bool)> {
    let other = repository.files.iter().filter(|file| file.repo.is_some() || file.revision.is_some());
    let remote = |file: &HubFile| {
        let repo = file.repo.as_deref().unwrap_or(repository.repo);
        let revision = file.revision.as_deref().unwrap_or(repository.revision);
        let url = match repository.kind {
            Kind::Huggingface => huggingface_url(endpoint, repo, revision, &file.path),
            Kind::Modelscope => modelscope_url(endpoint, repo, revision, &file.path),
        };
        let remote = RemoteFile { name: file.path.clone(), url, bytes: None, sha256: file.sha256.clone() };
        (remote, file.optional)
    };
    other.map(remote).collect()
}

/// Downloads one file with a known checksum from a Hugging Face repository.
pub(super) fn fetch_file(
    file: &VoiceFile,
    settings: &Settings,
    folder: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancelFlag,
) -> Result<StoredFile, Failure> {
    let endpoint = parse(&settings.hf_endpoint)?;
    let client = Client::new(&endpoint, settings.hf_token.clone(), settings.download_timeouts, cancel)?;
    let remote = RemoteFile {
        name: file.name().to_owned(),
        url: huggingface_url(&endpoint, &file.repo, &file.revision, &file.path),
        bytes: Some(file.bytes),
        sha256: Some(file.sha256.clone()),
    };
    require_space(folder, file.bytes)?;
    meter.begin(Some(file.bytes));
    let stored = client.fetch(&remote, folder, meter)?;
    meter.report();
    Ok(stored)
}

fn parse(endpoint: &str) -> Result<Url, Error> {
    Url::parse(endpoint)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            Error::Settings(format!("{endpoint:?} is not a valid hub address; it must begin with https://"))
        })
}

fn list_huggingface(
    client: &Client<'_>,
    endpoint: &Url,
    repo: &str,
    revision: &str,
) -> Result<Listing, Failure> {
    #[derive(Deserialize)]
    struct Model {
        sha: Option<String>,
        siblings: Vec<Sibling>,
    }
    #[derive(Deserialize)]
    struct Sibling {
        rfilename: String,
        size: Option<u64>,
        lfs: Option<Lfs>,
    }
    #[derive(Deserialize)]
    struct Lfs {
        sha256: Option<String>,
        size: Option<u64>,
    }

    let mut url = below(endpoint, &["api", "models"], repo, &["revision", revision]);
    // Includes sizes and checksums of the files.
    url.query_pairs_mut().append_pair("blobs", "true");
    let model: Model = read_json(client, url)?;
    let commit = model.sha.as_deref().unwrap_or(revision);
    let file = |sibling: &Sibling| RemoteFile {
        url: huggingface_url(endpoint, repo, commit, &sibling.rfilename),
        name: sibling.rfilename.clone(),
        bytes: sibling.lfs.as_ref().and_then(|lfs| lfs.size).or(sibling.size),
        sha256: sibling.lfs.as_ref().and_then(|lfs| lfs.sha256.clone()),
    };
    Ok(Listing { files: model.siblings.iter().map(file).collect(), commit: model.sha.clone() })
}

fn list_modelscope(
    client: &Client<'_>,
    endpoint: &Url,
    repo: &str,
    revision: &str,
) -> Result<Listing, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Data {
        files: Vec<File>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct File {
        path: String,
        size: Option<u64>,
        sha256: Option<String>,
    }

    let mut url = below(endpoint, &["api", "v1", "models"], repo, &["repo", "files"]);
    // Includes the contents of folders.
    url.query_pairs_mut().append_pair("Revision", revision).append_pair("Recursive", "true");
    let answer: Answer = read_json(client, url)?;
    let data = answer.data.ok_or_else(|| Failure::Refused("it lists no files".to_owned()))?;
    let file = |file: File| RemoteFile {
        url: modelscope_url(endpoint, repo, revision, &file.path),
        name: file.path,
        bytes: file.size,
        sha256: file.sha256.filter(|sha256| !sha256.is_empty()),
    };
    Ok(Listing { commit: None, files: data.files.into_iter().map(file).collect() })
}

fn read_json<T: DeserializeOwned>(client: &Client<'_>, url: Url) -> Result<T, Failure> {
    let body = client.read(&url)?;
    serde_json::from_slice(&body)
        .map_err(|error| Failure::Refused(format!("its list of files cannot be parsed: {error}")))
}

fn huggingface_url(endpoint: &Url, repo: &str, revision: &str, path: &str) -> Url {
    let mut place = vec!["resolve", revision];
    place.extend(path.split('/'));
    below(endpoint, &[], repo, &place)
}

fn modelscope_url(endpoint: &Url, repo: &str, revision: &str, path: &str) -> Url {
    let mut url = below(endpoint, &["api", "v1", "models"], repo, &["repo"]);
    url.query_pairs_mut().append_pair("Revision", revision).append_pair("FilePath", path);
    url
}

/// `endpoint/before.../owner/name/after...`, each part escaped.
fn below(endpoint: &Url, before: &[&str], repo: &str, after: &[&str]) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(before).extend(repo.split('/')).extend(after);
    }
    url
}
