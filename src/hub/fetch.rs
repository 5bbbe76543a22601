//! One file: from where it broke off to its end, checked, and only then under its name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ureq::Body;
use ureq::http::Response;

use super::HubError;
use super::client::{Client, Trouble};
use crate::project::{AtomicError, sync_folder};

/// Times that nothing more arrives before it is given up.
const TRIES: u32 = 4;
/// How often a wait looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes read at once, and so between two looks at the cancel flag.
const CHUNK: usize = 256 * 1024;

/// A number and who states it.
#[derive(Clone, Debug)]
pub(super) struct Stated<T> {
    pub(super) value: T,
    pub(super) by: &'static str,
}

/// A file that is wanted.
pub(super) struct Wanted {
    pub(super) url: String,
    /// How messages call it.
    pub(super) path: String,
    pub(super) target: PathBuf,
    pub(super) size: Option<Stated<u64>>,
    pub(super) sha256: Option<Stated<String>>,
}

impl Wanted {
    /// Where the bytes are until all are there and right.
    fn part(&self) -> PathBuf {
        let mut name = self.target.clone().into_os_string();
        name.push(".part");
        name.into()
    }

    /// Bytes that an earlier pull left.
    pub(super) fn started(&self) -> u64 {
        fs::metadata(self.part()).map_or(0, |about| about.len())
    }
}

/// How long to wait and when to stop.
pub(super) struct Patience<'a> {
    /// Before the second try; twice that before the third, and so on.
    pub(super) wait: Duration,
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

impl Patience<'_> {
    pub(super) fn check(&self) -> Result<(), HubError> {
        if (self.cancelled)() {
            Err(HubError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Asks until it works, is hopeless, or brought nothing [`TRIES`] times. `ask` says with a broken
    /// request whether something arrived: then the connection is alive and counts anew.
    pub(super) fn retry<T>(
        &self,
        path: &str,
        mut ask: impl FnMut(&mut bool) -> Result<T, Trouble>,
    ) -> Result<T, HubError> {
        let mut tries = 0;
        loop {
            self.check()?;
            let mut arrived = false;
            let reason = match ask(&mut arrived) {
                Ok(got) => return Ok(got),
                Err(Trouble::Final(why)) => return Err(why),
                Err(Trouble::Broken(reason)) => reason,
            };
            tries = if arrived { 1 } else { tries + 1 };
            if tries == TRIES {
                return Err(HubError::Broken {
                    path: path.to_owned(),
                    reason,
                });
            }
            self.pause(self.wait * 2u32.pow(tries - 1))?;
        }
    }

    fn pause(&self, wait: Duration) -> Result<(), HubError> {
        let over = crossbeam_channel::after(wait);
        while over.recv_timeout(LOOK).is_err() {
            self.check()?;
        }
        Ok(())
    }
}

/// Downloads a file; gives its SHA-256. `progress` is told how many bytes of it are there.
pub(super) fn fetch(
    client: &Client,
    wanted: &Wanted,
    patience: &Patience<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<String, HubError> {
    let mut part = Part::open(&wanted.part(), patience)?;
    progress(part.len);
    // Getting as far as before is no progress: a hub that starts over each time would never end.
    let mut furthest = part.len;
    let all = patience.retry(&wanted.path, |arrived| {
        let result = go_on(client, wanted, &mut part, patience, progress);
        *arrived = part.len > furthest;
        furthest = furthest.max(part.len);
        result
    });
    if let Err(why) = all {
        if part.len == 0 {
            part.remove();
        }
        return Err(why);
    }
    let found = hex(part.hash.clone());
    if let Some(stated) = wanted.sha256.as_ref().filter(|hash| hash.value != found) {
        part.remove();
        return Err(HubError::Hash {
            path: wanted.path.clone(),
            stated: stated.value.clone(),
            by: stated.by,
            found,
        });
    }
    part.take_name(&wanted.target)?;
    Ok(found)
}

/// One request: what is missing is asked for and appended.
fn go_on(
    client: &Client,
    wanted: &Wanted,
    part: &mut Part,
    patience: &Patience<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Trouble> {
    let size = wanted.size.as_ref();
    if size.is_some_and(|size| part.len == size.value) {
        return Ok(());
    }
    let response = client.get(&wanted.url, part.len)?;
    let sent = match response.status().as_u16() {
        // The part on disk is longer than the file, or the file is another one by now.
        416 => {
            part.clear()?;
            return Err(Trouble::Broken("the hub has no more bytes to send".into()));
        }
        206 => match content_range(&response) {
            Some((from, total)) if from == part.len => total,
            _ => {
                part.clear()?;
                return Err(Trouble::Broken(
                    "the hub sent other bytes than were asked for".into(),
                ));
            }
        },
        // Whole, whatever was asked for.
        _ => {
            part.clear()?;
            response.body().content_length()
        }
    };
    if let (Some(size), Some(sent)) = (size, sent)
        && size.value != sent
    {
        part.remove();
        return Err(Trouble::Final(wrong_size(wanted, size, sent)));
    }
    let end = size.map(|size| size.value).or(sent);
    let mut body = response
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader();
    let mut chunk = vec![0; CHUNK];
    loop {
        patience.check()?;
        let read = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(why) => return Err(Trouble::Broken(broke_off(part.len, end, &why.to_string()))),
        };
        part.append(&chunk[..read])?;
        if let Some(size) = size.filter(|size| part.len > size.value) {
            let found = part.len;
            part.remove();
            return Err(Trouble::Final(wrong_size(wanted, size, found)));
        }
        progress(part.len);
    }
    match end {
        Some(end) if part.len < end => Err(Trouble::Broken(broke_off(
            part.len,
            Some(end),
            "no more came",
        ))),
        _ => Ok(()),
    }
}

fn broke_off(at: u64, end: Option<u64>, why: &str) -> String {
    match end {
        Some(end) => format!("the connection broke off at byte {at} of {end}: {why}"),
        None => format!("the connection broke off at byte {at}: {why}"),
    }
}

fn wrong_size(wanted: &Wanted, size: &Stated<u64>, found: u64) -> HubError {
    HubError::Size {
        path: wanted.path.clone(),
        stated: size.value,
        by: size.by,
        found,
    }
}

/// First byte and total of `bytes 5-9/10`; a total of `*` is unknown.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let header = response.headers().get("content-range")?.to_str().ok()?;
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.parse().ok()?, total.parse().ok()))
}

/// The bytes that are there, with the checksum over them. Kept when a pull stops, so that the next one
/// goes on.
struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    hash: Sha256,
}

impl Part {
    fn open(path: &Path, patience: &Patience<'_>) -> Result<Self, HubError> {
        let failed = |why| HubError::Write(AtomicError::from_io(path, why));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(HubError::Busy(path.to_owned())),
            // A disk without locks: two pulls at once would spoil the file, and the checksum tell.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let (len, hash) = digest(&mut file, patience).map_err(|why| why.at(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
            hash,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        let written = self.file.write_all(bytes);
        written.map_err(|why| AtomicError::from_io(&self.path, why))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), HubError> {
        let cleared = self.file.set_len(0);
        cleared.map_err(|why| AtomicError::from_io(&self.path, why))?;
        self.hash = Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// What is no good is not kept. One that cannot be removed is found out again by its checksum.
    fn remove(&mut self) {
        let _ = fs::remove_file(&self.path);
    }

    fn take_name(self, target: &Path) -> Result<(), HubError> {
        let failed = |why| HubError::Write(AtomicError::from_io(target, why));
        self.file.sync_all().map_err(failed)?;
        if target.exists() {
            return Err(AtomicError::Exists(target.to_owned()).into());
        }
        fs::rename(&self.path, target).map_err(failed)?;
        sync_folder(target);
        Ok(())
    }
}

/// The SHA-256 of a file that is there.
pub(super) fn hash_file(path: &Path, patience: &Patience<'_>) -> Result<String, HubError> {
    let failed = |why| HubError::from(AtomicError::from_io(path, why));
    let mut file = File::open(path).map_err(failed)?;
    let (_, hash) = digest(&mut file, patience).map_err(|why| why.at(path))?;
    Ok(hex(hash))
}

enum DigestError {
    Read(std::io::Error),
    Stopped(HubError),
}

impl DigestError {
    fn at(self, path: &Path) -> HubError {
        match self {
            Self::Read(why) => AtomicError::from_io(path, why).into(),
            Self::Stopped(why) => why,
        }
    }
}

fn digest(file: &mut File, patience: &Patience<'_>) -> Result<(u64, Sha256), DigestError> {
    let (mut len, mut hash) = (0, Sha256::new());
    let mut chunk = vec![0; CHUNK];
    loop {
        patience.check().map_err(DigestError::Stopped)?;
        match file.read(&mut chunk).map_err(DigestError::Read)? {
            0 => return Ok((len, hash)),
            read => {
                hash.update(&chunk[..read]);
                len += read as u64;
            }
        }
    }
}

fn hex(hash: Sha256) -> String {
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
