//! Whether this director balances: said by whoever owns groups, heeded by whoever keeps settings.
//!
//! The kernel's `backup_only` must follow ownership within a takeover, sooner than the next round of
//! the settings. So whoever takes or leaves a group writes it at once, and rounds ask here for what
//! it shall be.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Desired, Host, NoteFile};
use crate::config::model::BACKUP_ONLY;

/// Shared by clones of it.
#[derive(Clone, Debug, Default)]
pub struct Duty(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// This director has a group.
    balances: AtomicBool,
    /// The setting is ours, and what it was before is noted.
    is_kept: AtomicBool,
}

impl Duty {
    /// Says whether this director has a group, and makes the kernel heed it at once where the
    /// setting is ours already; else the round that makes it ours does.
    ///
    /// # Errors
    ///
    /// As of [`Host::write`]. The next round tries again.
    pub fn set(&self, balances: bool, host: &mut impl Host) -> io::Result<()> {
        let did = self.0.balances.swap(balances, Ordering::SeqCst);
        if did == balances || !self.0.is_kept.load(Ordering::SeqCst) {
            return Ok(());
        }
        host.write(BACKUP_ONLY, self.value())
    }

    /// What the kernel's setting shall be now, while it is ours.
    #[must_use]
    pub fn value(&self) -> &'static str {
        if self.0.balances.load(Ordering::SeqCst) {
            "0"
        } else {
            "1"
        }
    }

    /// The setting is ours from now on, and as it shall be.
    ///
    /// # Errors
    ///
    /// As of [`Host::write`].
    pub(super) fn keep(&self, host: &mut impl Host) -> io::Result<()> {
        if self.0.is_kept.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.write(host)
    }

    /// The setting is not ours any more.
    pub(super) fn give_back(&self) {
        self.0.is_kept.store(false, Ordering::SeqCst);
    }

    /// Whether the setting is ours.
    pub(super) fn is_kept(&self) -> bool {
        self.0.is_kept.load(Ordering::SeqCst)
    }

    /// What is desired with the setting as it shall be now.
    pub(super) fn applied(&self, desired: &Desired) -> Desired {
        let mut now = desired.clone();
        if desired.stands_aside() {
            let setting = BACKUP_ONLY.to_owned();
            now.sysctls.insert(setting, self.value().to_owned());
        }
        now
    }

    /// Writes the setting, and again if whoever says what it shall be has done so meanwhile: the
    /// last word is never what was true before.
    pub(super) fn write(&self, host: &mut impl Host) -> io::Result<()> {
        loop {
            let value = self.value();
            host.write(BACKUP_ONLY, value)?;
            if value == self.value() {
                return Ok(());
            }
        }
    }
}

/// Makes the kernel of a director that has died leave packets alone, as one does that has no group,
/// if the setting was its own by then; its next run restores what was there before it. Only for a
/// configuration that [stands aside](crate::config::model::Ipvs::stands_aside). Whether there was
/// anything to do.
///
/// # Errors
///
/// As of [`Host::write`].
pub fn stand_aside(note: &NoteFile, host: &mut impl Host) -> io::Result<bool> {
    let noted = note.get().sysctls.contains_key(BACKUP_ONLY);
    if noted {
        host.write(BACKUP_ONLY, Duty::default().value())?;
    }
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host on which something happens between two writes.
    #[derive(Debug, Default)]
    struct Meanwhile {
        written: Vec<String>,
        then: Option<(Duty, bool)>,
    }

    impl Host for Meanwhile {
        fn read(&mut self, _: &str) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn write(&mut self, name: &str, value: &str) -> io::Result<()> {
            assert_eq!(name, BACKUP_ONLY);
            if let Some((duty, balances)) = self.then.take() {
                duty.set(balances, self)?;
            }
            self.written.push(value.to_owned());
            Ok(())
        }

        fn link(&mut self, _: &str) -> Option<u32> {
            None
        }
    }

    /// A director whose setting is ours, and the host that it was made so on.
    fn kept(balances: bool) -> (Duty, Meanwhile) {
        let duty = Duty::default();
        let mut host = Meanwhile::default();
        duty.set(balances, &mut host).unwrap();
        duty.keep(&mut host).unwrap();
        (duty, host)
    }

    #[test]
    fn the_last_word_is_what_is_true_whoever_writes_meanwhile() {
        for balances in [false, true] {
            let (duty, mut host) = kept(!balances);
            host.then = Some((duty.clone(), balances));
            duty.write(&mut host).unwrap();
            assert_eq!(host.written.last().unwrap(), duty.value(), "{host:?}");
        }
    }

    #[test]
    fn nothing_is_written_that_is_not_ours_or_not_new() {
        let (duty, mut host) = kept(true);
        assert_eq!(host.written, ["0"]);
        duty.keep(&mut host).unwrap();
        duty.set(true, &mut host).unwrap();
        assert_eq!(host.written, ["0"]);
        duty.set(false, &mut host).unwrap();
        duty.set(true, &mut host).unwrap();
        duty.give_back();
        duty.set(false, &mut host).unwrap();
        assert_eq!(host.written, ["0", "1", "0"]);
    }
}
