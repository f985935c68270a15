//! Which of the kernel's services are ours, kept in a file that a restart of the daemon finds.
//!
//! The file lives where a reboot clears it, as a reboot clears the kernel's table.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ipvs::ServiceKey;

/// The services that this daemon, or a run of it before, has put into the kernel's table.
#[derive(Debug)]
pub struct Owned {
    path: PathBuf,
    keys: BTreeSet<ServiceKey>,
}

/// What is ours could not be read or noted down.
#[derive(Debug, thiserror::Error)]
pub enum OwnedError {
    /// The file cannot be read or written.
    #[error(
        "cannot {action} {path}, where the services that are ours are noted: {}",
        words::of(source)
    )]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file does not hold what this program writes.
    #[error(
        "{path} is damaged: {source}; services that are no longer configured stay in the table"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Owned {
    /// Nothing is ours as yet; to be noted in the file at `path`.
    #[must_use]
    pub fn nothing(path: PathBuf) -> Self {
        Self {
            path,
            keys: BTreeSet::new(),
        }
    }

    /// Reads what a run before has noted; a missing file means nothing.
    ///
    /// # Errors
    ///
    /// When the file is there but cannot be read, or is damaged.
    pub fn load(path: PathBuf) -> Result<Self, OwnedError> {
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(keys) => Ok(Self { path, keys }),
                Err(source) => Err(OwnedError::Damaged { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::nothing(path)),
            Err(source) => Err(OwnedError::File {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// What is ours.
    #[must_use]
    pub fn keys(&self) -> &BTreeSet<ServiceKey> {
        &self.keys
    }

    /// Where it is noted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes down what is ours; the file is replaced as a whole, or removed when nothing is.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. What is ours is known all the same until the end of this
    /// run.
    pub fn set(&mut self, keys: BTreeSet<ServiceKey>) -> Result<(), OwnedError> {
        if keys == self.keys {
            return Ok(());
        }
        self.keys = keys;
        self.save().map_err(|source| OwnedError::File {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }

    fn save(&self) -> io::Result<()> {
        if self.keys.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.keys)?)?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use ipvs::Protocol;

    use super::*;

    fn keys(ports: &[u16]) -> BTreeSet<ServiceKey> {
        let address = "192.0.2.80".parse().unwrap();
        let protocol = Protocol::Tcp;
        ports
            .iter()
            .map(|port| ServiceKey::Address {
                protocol,
                address,
                port: *port,
            })
            .collect()
    }

    #[test]
    fn the_next_run_knows_what_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("services.json");
        let mut owned = Owned::load(path.clone()).unwrap();
        assert!(owned.keys().is_empty());
        owned.set(keys(&[80, 443])).unwrap();
        assert_eq!(Owned::load(path.clone()).unwrap().keys(), &keys(&[80, 443]));
        owned.set(keys(&[])).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("services.json");
        fs::write(&path, "[{\"addr").unwrap();
        let error = Owned::load(path.clone()).unwrap_err().to_string();
        assert!(error.contains("services.json is damaged"), "{error}");
    }

    #[test]
    fn what_cannot_be_noted_is_known_in_this_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut owned = Owned::nothing(folder.path().join("missing/services.json"));
        let error = owned.set(keys(&[80])).unwrap_err().to_string();
        assert!(error.contains("cannot write"), "{error}");
        assert_eq!(owned.keys(), &keys(&[80]));
    }
}
