//! A vault in an S3 bucket. Objects are stored in one request that does not overwrite and contains
//! the hash; the bucket checks both.

mod answer;
mod client;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, DateTime, Length};
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, ObjectLockLegalHoldStatus, ObjectLockMode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::vault::outcome::{Operation, counted};
use crate::vault::{Contents, ObjectName, Put, READ_BYTES_MAX, Vault, VaultError};

use answer::{Refusal, refusal};

/// Slowest transfer that is waited for, in bytes per second.
const RATE_MIN: u64 = 128 * 1024;
/// Most versions of one object that are deleted at once; there is only one unless something else
/// writes to the bucket.
const VERSIONS_MAX: usize = 16;
/// Name of the object that [`Vault::check`] stores once and reads each time.
const CHECK_NAME: &str = "check";
const CHECK_BYTES: &[u8] = b"cabildo";

/// The location of a bucket and the credentials.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// URL of the service; `None` is the AWS endpoint of the region. Plain http is accepted, since
    /// objects are sealed.
    pub endpoint: Option<String>,
    /// Region for which requests are signed.
    pub region: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Prefix of every name, without a slash at either end; may be empty.
    pub prefix: String,
    /// Whether the name of the bucket is in the path instead of the host name.
    pub path_style: bool,
    /// Access key id of the credentials.
    pub access_key_id: String,
    /// Secret access key of the credentials.
    pub secret_access_key: Secret<String>,
    /// PEM file of the only authorities that are trusted; `None` trusts those of the platform.
    pub ca: Option<PathBuf>,
    /// How many days the bucket keeps each object, whatever anybody asks (Object Lock in compliance
    /// mode, which the bucket must support). It can't be shortened afterwards.
    pub object_lock_days: Option<u32>,
    /// Time limits of requests.
    pub timeouts: S3Timeouts,
}

/// Time limits of requests to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3Timeouts {
    /// Time until a connection is established.
    pub connect: Duration,
    /// Time until a request is answered, in addition to one second per 128 KiB transferred.
    pub answer: Duration,
}

impl Default for S3Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(30) }
    }
}

/// A vault in an S3 bucket.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
    bucket: String,
    prefix: String,
    object_lock: Option<Duration>,
    answer: Duration,
    clock: Clock,
}

/// The result of a request to store an object.
enum Answer {
    Stored,
    AlreadyThere,
    Unanswered(VaultError),
}

/// The properties of an object that exists already.
struct Found {
    size: Option<u64>,
    sha256: Option<String>,
    version: Option<String>,
    is_locked: bool,
}

impl S3 {
    /// Makes a vault in the bucket of `options` without sending a request. Refused when the options
    /// can't be valid.
    pub fn new(options: &S3Options) -> Result<Self, VaultError> {
        if options.bucket.is_empty() || options.region.is_empty() {
            return Err(VaultError::Refused("the bucket and the region must be given".to_owned()));
        }
        let day = Duration::from_hours(24);
        Ok(Self {
            client: client::build(options)?,
            bucket: options.bucket.clone(),
            prefix: options.prefix.trim_matches('/').to_owned(),
            object_lock: options.object_lock_days.map(|days| day * days),
            answer: options.timeouts.answer,
            clock: Clock::system(),
        })
    }

    fn key_of(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    /// Waits for an answer as long as is reasonable for a transfer of `bytes`.
    async fn in_time<T>(
        &self,
        bytes: u64,
        work: impl Future<Output = Result<T, VaultError>>,
    ) -> Result<T, VaultError> {
        let limit = self.answer.saturating_add(Duration::from_secs(bytes / RATE_MIN));
        let late = |_| Err(VaultError::Unavailable("the bucket did not answer in time".to_owned()));
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }

    /// Stores an object unless one with that name exists.
    async fn put_once(
        &self,
        key: &str,
        body: ByteStream,
        size: u64,
        sha256: [u8; 32],
    ) -> Result<Answer, VaultError> {
        let until = self.object_lock.map(|span| self.clock.now().after(span).unix_s());
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .checksum_sha256(STANDARD.encode(sha256))
            .content_type("application/octet-stream")
            .set_object_lock_mode(until.map(|_| ObjectLockMode::Compliance))
            .set_object_lock_retain_until_date(until.map(DateTime::from_secs))
            .body(body);
        let put = async {
            match request.send().await {
                Ok(_) => Ok(Answer::Stored),
                Err(error) => match refusal(&error) {
                    Refusal::AlreadyThere => Ok(Answer::AlreadyThere),
                    Refusal::Unanswered(error) => Ok(Answer::Unanswered(error)),
                    Refusal::Other(error) => Err(error),
                },
            }
        };
        // Boxed because the futures of the S3 client are large.
        self.in_time(size, Box::pin(put)).await
    }

    /// The properties of the object with this key.
    async fn find(&self, key: &str) -> Result<Found, VaultError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        let request = request.checksum_mode(ChecksumMode::Enabled);
        let find = async { request.send().await.map_err(|error| refusal(&error).into()) };
        let head = self.in_time(0, find).await?;
        let is_whole = head.checksum_type() != Some(&ChecksumType::Composite);
        let now = self.clock.now().unix_s();
        let is_retained =
            head.object_lock_retain_until_date().is_some_and(|until| until.secs() > now);
        let is_held = head.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On);
        Ok(Found {
            size: head.content_length().and_then(|size| u64::try_from(size).ok()),
            sha256: head.checksum_sha256.filter(|_| is_whole),
            version: head.version_id.filter(|version| version != "null"),
            is_locked: is_retained || is_held,
        })
    }

    /// Whether the stored object has this size and hash.
    async fn compare(&self, key: &str, size: u64, sha256: [u8; 32]) -> Result<Put, VaultError> {
        let found = match self.find(key).await {
            // Another client is writing it now, or has just deleted it.
            Err(VaultError::NotFound) => {
                return Err(VaultError::Unavailable(
                    "other clients are changing the same object".to_owned(),
                ));
            }
            found => found?,
        };
        let is_same = if found.size.is_some_and(|found| found != size) {
            false
        } else if let Some(found) = found.sha256 {
            found == STANDARD.encode(sha256)
        } else {
            self.hash(key, size).await? == sha256
        };
        if is_same { Ok(Put::AlreadyThere) } else { Err(VaultError::Conflict) }
    }

    /// Computes the hash of an object, for buckets that do not store it.
    async fn hash(&self, key: &str, size: u64) -> Result<[u8; 32], VaultError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let read = async {
            let mut object = request.send().await.map_err(|error| refusal(&error))?;
            let mut hash = Sha256::new();
            while let Some(piece) = object.body.next().await {
                hash.update(piece.map_err(|_| cut_off())?);
            }
            Ok(hash.finalize().into())
        };
        self.in_time(size, read).await
    }

    async fn put_contents(
        &self,
        key: &str,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<(Put, u64), VaultError> {
        let (size, found) = match contents {
            Contents::Bytes(bytes) => {
                (u64::try_from(bytes.len()).unwrap_or(u64::MAX), Sha256::digest(bytes).into())
            }
            Contents::File(path) => hash_file(path).await?,
        };
        // Not every bucket checks the hash.
        if found != sha256 {
            return Err(VaultError::Refused("the contents have another hash".to_owned()));
        }
        let body = match contents {
            Contents::Bytes(bytes) => ByteStream::from(Bytes::copy_from_slice(bytes)),
            Contents::File(path) => {
                let file = ByteStream::read_from().path(path).length(Length::Exact(size));
                file.build().await.map_err(|_| unreadable())?
            }
        };
        let put = match self.put_once(key, body, size, sha256).await? {
            Answer::Stored => return Ok((Put::Stored, size)),
            Answer::AlreadyThere => self.compare(key, size, sha256).await,
            // A bucket that refuses before it has read the whole request, as it does when the
            // object exists, may close the connection before the reason can be read.
            Answer::Unanswered(unanswered) => match self.compare(key, size, sha256).await {
                Err(VaultError::Conflict) => Err(VaultError::Conflict),
                compared => compared.map_err(|_| unanswered),
            },
        };
        put.map(|put| (put, 0))
    }

    async fn read_range(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, VaultError> {
        let limit = range.as_ref().map_or(READ_BYTES_MAX, |range| range.end - range.start);
        if limit > READ_BYTES_MAX {
            return Err(too_much());
        }
        let header = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let request = self.client.get_object().bucket(&self.bucket).key(key).set_range(header);
        let answer =
            async { request.send().await.map_err(|error| VaultError::from(refusal(&error))) };
        let mut object = self.in_time(0, answer).await?;
        let length = object.content_length().and_then(|length| u64::try_from(length).ok());
        // A service that does not support ranges answers with the whole object.
        let is_whole = object.content_range().is_none();
        if length.is_some_and(|length| length > READ_BYTES_MAX) {
            return Err(too_much());
        }
        let read = async {
            let mut bytes = BytesMut::new();
            while let Some(piece) = object.body.next().await {
                bytes.extend_from_slice(&piece.map_err(|_| cut_off())?);
                if u64::try_from(bytes.len()).is_ok_and(|length| length > READ_BYTES_MAX) {
                    return Err(too_much());
                }
            }
            Ok(bytes.freeze())
        };
        let mut bytes = self.in_time(length.unwrap_or(limit), read).await?;
        if let Some(range) = range {
            if is_whole {
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(bytes.len());
                bytes = bytes.split_off(start);
            }
            bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(bytes)
    }

    /// Deletes every version of an object. A bucket with versioning only hides an object that is
    /// deleted by its name.
    async fn delete_versions(&self, key: &str) -> Result<(), VaultError> {
        for _ in 0..VERSIONS_MAX {
            let found = match self.find(key).await {
                Err(VaultError::NotFound) => return Ok(()),
                found => found?,
            };
            if found.is_locked {
                return Err(VaultError::Locked);
            }
            let is_versioned = found.version.is_some();
            let request = self.client.delete_object().bucket(&self.bucket).key(key);
            let request = request.set_version_id(found.version);
            let delete = async {
                match request.send().await.map_err(|error| VaultError::from(refusal(&error))) {
                    Ok(_) | Err(VaultError::NotFound) => Ok(()),
                    Err(error) => Err(error),
                }
            };
            self.in_time(0, delete).await?;
            if !is_versioned {
                return Ok(());
            }
        }
        Err(VaultError::Unavailable("the object has more versions".to_owned()))
    }
}

#[async_trait]
impl Vault for S3 {
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        let put = self.put_contents(&self.key_of(name.as_str()), contents, sha256).await;
        counted(Operation::Put, put)
    }

    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, VaultError> {
        let key = self.key_of(name.as_str());
        let read = if range.as_ref().is_some_and(Range::is_empty) {
            self.find(&key).await.map(|_| Bytes::new())
        } else {
            match self.read_range(&key, range).await {
                // A range beyond the end is empty.
                Err(VaultError::Refused(code)) if code == answer::BEYOND_THE_END => {
                    Ok(Bytes::new())
                }
                read => read,
            }
        };
        let length = |bytes: &Bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        counted(Operation::Read, read.map(|bytes| (bytes.clone(), length(&bytes))))
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        let deleted = self.delete_versions(&self.key_of(name.as_str())).await;
        counted(Operation::Delete, deleted.map(|()| ((), 0)))
    }

    async fn check(&self) -> Result<(), VaultError> {
        let key = self.key_of(CHECK_NAME);
        let sha256 = Sha256::digest(CHECK_BYTES).into();
        let size = u64::try_from(CHECK_BYTES.len()).unwrap_or(u64::MAX);
        let put = || self.put_once(&key, ByteStream::from_static(CHECK_BYTES), size, sha256);
        // An object that has just been stored must not be overwritten.
        let mut stored = 0;
        while stored < 2 {
            match put().await.map_err(check_refusal)? {
                Answer::Stored => stored += 1,
                Answer::AlreadyThere => break,
                Answer::Unanswered(error) => return Err(error),
            }
        }
        if stored == 2 {
            return Err(VaultError::Refused("the bucket overwrites objects that exist".to_owned()));
        }
        if self.read_range(&key, None).await? == CHECK_BYTES {
            Ok(())
        } else {
            Err(VaultError::Refused("the bucket returns other bytes than were stored".to_owned()))
        }
    }
}

/// Why a bucket refused the object that is stored to check it.
fn check_refusal(error: VaultError) -> VaultError {
    let why = match &error {
        VaultError::NotFound => "there is no such bucket",
        // Nothing about the request is unusual except its condition and its hash.
        VaultError::Refused(code) if code == "NotImplemented" || code == "status 501" => {
            "the bucket does not support conditional writes or SHA-256 checksums"
        }
        _ => return error,
    };
    VaultError::Refused(why.to_owned())
}

/// Size and hash of a file.
async fn hash_file(path: &Path) -> Result<(u64, [u8; 32]), VaultError> {
    let path = path.to_owned();
    let hash = move || -> std::io::Result<(u64, [u8; 32])> {
        let mut hash = Sha256::new();
        let mut file = std::fs::File::open(path)?;
        let size = std::io::copy(&mut file, &mut HashWriter(&mut hash))?;
        Ok((size, hash.finalize().into()))
    };
    match tokio::task::spawn_blocking(hash).await {
        Ok(hashed) => hashed.map_err(|_| unreadable()),
        Err(_) => Err(VaultError::Unavailable("the work was interrupted".to_owned())),
    }
}

/// Adds what is written to it to a hash.
struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn unreadable() -> VaultError {
    VaultError::Refused("the contents can't be read".to_owned())
}

fn too_much() -> VaultError {
    VaultError::Refused("the range is longer than may be read at once".to_owned())
}

fn cut_off() -> VaultError {
    VaultError::Unavailable("the answer was interrupted".to_owned())
}
