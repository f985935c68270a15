//! The secrets that heartbeats are signed with, and the files that hold them.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

/// A key has at least this many bytes: as many as HMAC-SHA256 yields (RFC 2104, section 3).
pub const MIN_LEN: usize = 32;

/// A key file is never longer than this many bytes.
const MAX_FILE: u64 = 4096;

/// Tells a receiver which of its keys signed a message: the first bytes of the key's SHA-256.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A secret shared by the directors of a cluster.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    hmac: hmac::Key,
}

impl Key {
    /// A key of these bytes; `None` when they are fewer than [`MIN_LEN`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < MIN_LEN {
            return None;
        }
        let hash = digest::digest(&digest::SHA256, bytes);
        let id = KeyId(*hash.as_ref().first_chunk()?);
        Some(Self {
            id,
            hmac: hmac::Key::new(hmac::HMAC_SHA256, bytes),
        })
    }

    /// What messages signed with it carry.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key as `ring` signs and verifies with it: HMAC-SHA256.
    #[must_use]
    pub fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

/// Shows which key it is, not the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The keys of a cluster: the first signs, all verify, so that a key can be changed on one
/// director after the other.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<Key>,
}

impl KeyRing {
    /// A ring of these keys, the signing one first. Empty only where nothing is signed.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// The key to sign with; `None` for an empty ring.
    #[must_use]
    pub fn signing(&self) -> Option<&Key> {
        self.keys.first()
    }

    /// The key that a message says it was signed with.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// All keys, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

/// Why a key file cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not there, or may not be opened or read.
    #[error("cannot read key file {path}: {}", words::of(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("key file {0} is not a regular file")]
    NotRegular(PathBuf),
    /// Its mode is neither 0600 nor 0400.
    #[error("key file {path} has mode {mode:04o}; it must be for its owner alone: 0600 or 0400")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else, who can change it.
    #[error("key file {path} belongs to user {owner}, neither root nor the user running this")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There is nothing in it.
    #[error("key file {0} is empty")]
    Empty(PathBuf),
    /// What is in it is no key.
    #[error("key file {0} holds no key: expected {MIN_LEN} bytes or more in hexadecimal or base64")]
    NotAKey(PathBuf),
    /// The key in it is too short.
    #[error(
        "key file {path} holds a key of {found} bytes: expected {MIN_LEN} or more in hexadecimal or \
         base64"
    )]
    TooShort {
        /// The file.
        path: PathBuf,
        /// The length of its key in bytes.
        found: usize,
    },
    /// It exists already.
    #[error("{0} exists; a key is never overwritten")]
    Exists(PathBuf),
    /// It cannot be made.
    #[error("cannot write key file {path}: {}", words::of(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The kernel has no random numbers to give.
    #[error("the system's random number generator failed")]
    Random,
}

impl KeyError {
    /// What the operator may do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!(
                    "make a key with `caribe key generate {}`, and copy it to the other directors",
                    path.display()
                ))
            }
            Self::Mode { path, .. } => Some(format!("chmod 0600 {}", path.display())),
            Self::Owner { path, .. } => Some(format!("chown root {}", path.display())),
            Self::Empty(path) | Self::NotAKey(path) | Self::TooShort { path, .. } => Some(format!(
                "copy it from another director, or remove it, make a key with \
                     `caribe key generate {}` and copy that to the others",
                path.display()
            )),
            Self::Exists(_) => Some(
                "give another name, and list both in `keys`: the first signs, all verify"
                    .to_owned(),
            ),
            Self::Read { .. } | Self::NotRegular(_) | Self::Write { .. } | Self::Random => None,
        }
    }
}

/// Reads a key file: one line of at least 64 hexadecimal digits, or of base64 that stands for at
/// least 32 bytes.
///
/// # Errors
///
/// When the file cannot be read, when others than its owner have any right to it, when its owner
/// is neither root nor the user running this, and when it holds no key.
pub fn load(path: &Path) -> Result<Key, KeyError> {
    let read = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    // Without O_NONBLOCK the open of a named pipe would wait for its writer.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(KeyError::NotRegular(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o177 != 0 {
        return Err(KeyError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(KeyError::Owner {
            path: path.to_owned(),
            owner,
        });
    }
    let mut content = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut content)
        .map_err(read)?;
    let text = content.trim_ascii();
    if text.is_empty() {
        return Err(KeyError::Empty(path.to_owned()));
    }
    // A hexadecimal key that has lost a digit may look like base64, and is no key.
    let bytes = if text.iter().all(u8::is_ascii_hexdigit) {
        decode_hex(text)
    } else {
        decode_base64(text)
    };
    let bytes = bytes
        .filter(|_| content.len() as u64 <= MAX_FILE)
        .ok_or_else(|| KeyError::NotAKey(path.to_owned()))?;
    Key::new(&bytes).ok_or_else(|| KeyError::TooShort {
        path: path.to_owned(),
        found: bytes.len(),
    })
}

/// Makes a key file of mode 0600 with 32 random bytes in hexadecimal, and waits until it is on
/// the disk.
///
/// # Errors
///
/// When the file exists, which is left as it is, or cannot be written, in which case nothing is
/// left behind.
pub fn generate(path: &Path) -> Result<Key, KeyError> {
    let mut bytes = [0; MIN_LEN];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| KeyError::Random)?;
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');

    let write = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => KeyError::Write {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(write)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder_of(path));
    if let Err(source) = written {
        // The first error says more than a failure to clean up after it.
        let _ = std::fs::remove_file(path);
        return Err(write(source));
    }
    Key::new(&bytes).ok_or(KeyError::Random)
}

/// Makes the file's name, not only its content, survive a power cut (fsync(2)).
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// Standard base64 (RFC 4648, section 4), with or without padding.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = match text {
        [rest @ .., b'=', b'='] | [rest @ .., b'='] => rest,
        all => all,
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut pending = 0u32;
    let mut bits = 0;
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        pending = pending << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(pending >> bits & 0xff).ok()?);
            pending &= (1 << bits) - 1;
        }
    }
    // What is left must be the padding bits of a whole number of bytes.
    (bits < 6 && pending == 0).then_some(bytes)
}

#[cfg(test)]
mod tests;
