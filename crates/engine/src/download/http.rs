//! Downloads over HTTP: resumed after an interruption, verified by size and sha256.

use std::fs::{self, File};
use std::future::Future;
use std::future::poll_fn;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mynah_core::CancelFlag;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::{Failure, Meter, StoredFile};
use crate::Error;
use crate::disk::hex;
use crate::settings::DownloadTimeouts;

/// Consecutive attempts without a new byte after which a source is given up.
const MAX_FAILED_ATTEMPTS: u32 = 3;

/// A file of a repository.
#[derive(Clone)]
pub(super) struct RemoteFile {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) bytes: Option<u64>,
    /// Lower-case hexadecimal, where the hub reports it.
    pub(super) sha256: Option<String>,
}

/// Client of one hub. Its methods block; they return soon after `cancel` is set.
pub(super) struct Client<'a> {
    runtime: Runtime,
    http: reqwest::Client,
    hub: Url,
    token: Option<String>,
    timeouts: DownloadTimeouts,
    cancel: &'a CancelFlag,
}

/// Why an attempt ended.
enum Broken {
    /// Another attempt can resume where this one stopped.
    Retry(Failure),
    GiveUp(Failure),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken::GiveUp(Failure::Stop(error))
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(
        hub: &Url,
        token: Option<String>,
        timeouts: DownloadTimeouts,
        cancel: &'a CancelFlag,
    ) -> Result<Self, Failure> {
        // Fails if the process already has a provider, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mynah/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .redirect(reqwest::redirect::Policy::none());
        if hub.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host)) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Failure::Unreachable(format!(
                "no secure connections: {}; are root certificates installed?",
                cause(&error)
            ))
        })?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("no runtime for downloads: {error}")))?;
        Ok(Self { runtime, http, hub: hub.clone(), token, timeouts, cancel })
    }

    /// Downloads a short document.
    pub(super) fn read(&self, url: &Url) -> Result<Vec<u8>, Failure> {
        const MAX_BYTES: usize = 32 << 20;
        self.block_on(async {
            let (mut response, _) = self.get(url, 0).await.map_err(Broken::into_failure)?;
            let mut body = Vec::new();
            while let Some(piece) = self.next_piece(&mut response).await.map_err(Broken::into_failure)? {
                body.extend_from_slice(&piece);
                if body.len() > MAX_BYTES {
                    return Err(Failure::Refused("its response is too long".to_owned()));
                }
            }
            Ok(body)
        })
    }

    /// Downloads a file into `folder`; resumes a partial one.
    pub(super) fn fetch(
        &self,
        file: &RemoteFile,
        folder: &Path,
        meter: &mut Meter<'_>,
    ) -> Result<StoredFile, Failure> {
        let path = folder.join(&file.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        }
        if path.exists() {
            let mut download = Download::open(&path, self.cancel)?;
            if file.bytes.is_none_or(|bytes| bytes == download.bytes) && download.checksum_matches(file) {
                meter.keep(download.bytes);
                return Ok(download.into_stored(file));
            }
            fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
        let part = folder.join(format!("{}.part", file.name));
        let mut download = Download::open(&part, self.cancel)?;
        meter.keep(download.bytes);
        self.block_on(self.fill(&mut download, file, &part, meter))?;
        download.file.sync_all().map_err(|e| Error::io(&part, e))?;
        fs::rename(&part, &path).map_err(|e| Error::io(&path, e))?;
        Ok(download.into_stored(file))
    }

    async fn fill(
        &self,
        download: &mut Download,
        file: &RemoteFile,
        part: &Path,
        meter: &mut Meter<'_>,
    ) -> Result<(), Failure> {
        let mut fruitless = 0;
        let mut begun_again = false;
        loop {
            let before = download.bytes;
            let failure = match self.attempt(download, file, part, meter).await {
                Ok(()) if download.checksum_matches(file) => return Ok(()),
                Ok(()) => {
                    let reason = format!("{} arrived damaged: its sha256 differs from the hub's", file.name);
                    meter.discard(download.bytes);
                    download.truncate(part)?;
                    if begun_again {
                        return Err(Failure::Refused(reason));
                    }
                    begun_again = true;
                    continue;
                }
                Err(Broken::GiveUp(failure)) => return Err(failure),
                Err(Broken::Retry(failure)) => failure,
            };
            fruitless = if download.bytes > before { 0 } else { fruitless + 1 };
            if fruitless >= MAX_FAILED_ATTEMPTS {
                return Err(failure);
            }
            sleep(Duration::from_millis(500) * fruitless).await;
        }
    }

    /// One request for the missing bytes.
    async fn attempt(
        &self,
        download: &mut Download,
        file: &RemoteFile,
        part: &Path,
        meter: &mut Meter<'_>,
    ) -> Result<(), Broken> {
        if file.bytes.is_some_and(|bytes| bytes == download.bytes) {
            return Ok(());
        }
        let (mut response, linked_sha256) = match self.get(&file.url, download.bytes).await {
            Err(Broken::GiveUp(Failure::Refused(_))) if download.bytes > 0 => {
                // The server does not support this range; request the whole file.
                meter.discard(download.bytes);
                download.truncate(part)?;
                self.get(&file.url, 0).await?
            }
            other => other?,
        };
        download.linked_sha256 = linked_sha256.or(download.linked_sha256.take());
        if download.bytes > 0 && !continues_at(&response, download.bytes) {
            meter.discard(download.bytes);
            download.truncate(part)?;
        }
        let expected = file.bytes.or_else(|| Some(response.content_length()? + download.bytes));
        while let Some(piece) = self.next_piece(&mut response).await? {
            download.append(&piece, part)?;
            meter.add(piece.len() as u64);
            if expected.is_some_and(|expected| download.bytes > expected) {
                meter.discard(download.bytes);
                download.truncate(part)?;
                return Err(refused(format!("{} is longer than announced", file.name)));
            }
        }
        match expected {
            Some(expected) if download.bytes < expected => {
                Err(Broken::Retry(Failure::Refused(format!("{} broke off", file.name))))
            }
            _ => Ok(()),
        }
    }

    /// Follows redirects manually: the token is for the hub only, and the hub sends the checksum with the redirect.
    async fn get(&self, url: &Url, from_byte: u64) -> Result<(Response, Option<String>), Broken> {
        const MAX_REDIRECTS: usize = 10;
        let mut url = url.clone();
        let mut sha256 = None;
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.http.get(url.clone());
            if from_byte > 0 {
                request = request.header(RANGE, format!("bytes={from_byte}-"));
            }
            if let Some(token) = &self.token
                && url.origin() == self.hub.origin()
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = match timeout(self.timeouts.answer, request.send()).await {
                Err(_) => {
                    return Err(Broken::Retry(Failure::Unreachable(format!(
                        "{} does not answer",
                        host(&url)
                    ))));
                }
                Ok(Err(error)) => return Err(Broken::Retry(Failure::Unreachable(unreachable(&url, &error)))),
                Ok(Ok(response)) => response,
            };
            sha256 = sha256.or_else(|| linked_sha256(&response));
            if !response.status().is_redirection() {
                return Ok((self.accept(response)?, sha256));
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next
                .filter(|next| url.scheme() != "https" || next.scheme() == "https")
                .ok_or_else(|| refused(format!("{} redirects to an unsafe address", host(&url))))?;
        }
        Err(refused(format!("{} redirects too often", host(&url))))
    }

    fn accept(&self, response: Response) -> Result<Response, Broken> {
        let status = response.status();
        let status_text = format!("{} answered {status}", host(response.url()));
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
            // Hugging Face also answers anonymous requests for missing repositories with 401.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.token.is_some() => {
                Err(refused(format!("{status_text}; HF_TOKEN has no access to it, or it does not exist")))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(refused(format!("{status_text}; set HF_TOKEN if the model needs a login")))
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Broken::Retry(Failure::Refused(status_text)))
            }
            status if status.is_server_error() => Err(Broken::Retry(Failure::Refused(status_text))),
            _ => Err(refused(status_text)),
        }
    }

    async fn next_piece(&self, response: &mut Response) -> Result<Option<Bytes>, Broken> {
        let reason = match timeout(self.timeouts.stall, response.chunk()).await {
            Ok(Ok(piece)) => return Ok(piece),
            Ok(Err(error)) => format!("{} broke off: {}", host(response.url()), cause(&error)),
            Err(_) => format!("{} stopped sending", host(response.url())),
        };
        Err(Broken::Retry(Failure::Refused(reason)))
    }

    fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut wake = None;
        let cancelled = poll_fn(|context| {
            wake = Some(self.cancel.wake_task_on_cancel(context.waker().clone()));
            if self.cancel.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
        });
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancelled => Err(Failure::Stop(Error::Cancelled)),
                result = work => result,
            }
        })
    }
}

impl Broken {
    fn into_failure(self) -> Failure {
        match self {
            Broken::Retry(failure) | Broken::GiveUp(failure) => failure,
        }
    }
}

/// The bytes of a file so far, and the state of their checksum.
struct Download {
    file: File,
    bytes: u64,
    sha256: Sha256,
    /// Checksum in the hub's response.
    linked_sha256: Option<String>,
}

impl Download {
    /// Opens or creates the file and hashes its contents.
    fn open(path: &Path, cancel: &CancelFlag) -> Result<Self, Error> {
        let io = |e| Error::io(path, e);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut sha256 = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match file.read(&mut buffer).map_err(io)? {
                0 => return Ok(Self { file, bytes, sha256, linked_sha256: None }),
                read => {
                    sha256.update(&buffer[..read]);
                    bytes += read as u64;
                }
            }
        }
    }

    fn append(&mut self, piece: &[u8], path: &Path) -> Result<(), Error> {
        self.file.write_all(piece).map_err(|e| Error::io(path, e))?;
        self.sha256.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    fn truncate(&mut self, path: &Path) -> Result<(), Error> {
        let emptied: io::Result<u64> = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| Error::io(path, e))?;
        self.bytes = 0;
        self.sha256 = Sha256::new();
        Ok(())
    }

    /// Whether the checksum matches the hub's, from its list or its response.
    fn checksum_matches(&mut self, file: &RemoteFile) -> bool {
        let expected = file.sha256.as_ref().or(self.linked_sha256.as_ref());
        expected.is_none_or(|expected| expected.eq_ignore_ascii_case(&self.hex()))
    }

    fn hex(&self) -> String {
        hex(&self.sha256.clone().finalize())
    }

    fn into_stored(self, file: &RemoteFile) -> StoredFile {
        StoredFile { name: file.name.clone(), bytes: self.bytes, sha256: self.hex() }
    }
}

/// Whether the response is the rest of the file, starting at `byte`.
fn continues_at(response: &Response, byte: u64) -> bool {
    response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok())
            == Some(byte)
}

/// Hugging Face's checksum of a large file: its entity tag, if that is a sha256.
fn linked_sha256(response: &Response) -> Option<String> {
    let tag = response.headers().get("x-linked-etag")?.to_str().ok()?;
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    (tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| tag.to_owned())
}

fn refused(reason: String) -> Broken {
    Broken::GiveUp(Failure::Refused(reason))
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("the hub")
}

fn unreachable(url: &Url, error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("{} does not answer", host(url));
    }
    format!("no connection to {}: {}", host(url), cause(error))
}

/// The innermost cause; the outer errors only name the request.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
