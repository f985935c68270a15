//! The note of what is to be undone, in a file that a restart of the daemon finds.
//!
//! The file lives where a reboot clears it, as a reboot clears what it tells of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Note;

/// A [`Note`] and its file.
#[derive(Debug)]
pub struct NoteFile {
    path: PathBuf,
    note: Note,
}

impl NoteFile {
    /// Reads what a run before has noted; a missing file means nothing. One that cannot be read is
    /// told and means nothing too: then what was there before is not restored.
    #[must_use]
    pub fn load(path: PathBuf) -> Self {
        let note = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Note::default()),
            Err(error) => Err(error),
        };
        let note = note.unwrap_or_else(|error| {
            let path = path.display();
            tracing::error!(%path, error = %words::of(&error), "cannot read what is to be restored at the end");
            Note::default()
        });
        Self { path, note }
    }

    /// Where the note of a director is whose control socket is `socket`.
    #[must_use]
    pub fn beside(socket: &Path) -> PathBuf {
        socket.with_file_name("sync.json")
    }

    /// What is noted.
    #[must_use]
    pub fn get(&self) -> &Note {
        &self.note
    }

    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes something else; the file is replaced as a whole, or removed when there is nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The note holds all the same until the end of this run.
    pub fn set(&mut self, note: Note) -> io::Result<()> {
        if note == self.note {
            return Ok(());
        }
        self.note = note;
        if self.note == Note::default() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.note)?)?;
        fs::rename(&new, &self.path)
    }
}
