//! The users of this host, as the C library finds them: in files, by LDAP or sssd, or wherever else
//! nsswitch.conf(5) says.
//!
//! Who is asked may be a server somewhere, and slow. So each user is looked up by a thread of its
//! own, one at a time, and found again without asking for a while; and one who was found is
//! remembered for as long as nobody knows better.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Uid, getgrouplist};
use tokio::sync::watch;

use crate::failure::{Failure, excerpt};

/// A user is looked up again after this.
const FRESH: Duration = Duration::from_secs(60);

/// A user, with all groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// With `gid` among them, as after initgroups(3).
    pub(crate) groups: Vec<u32>,
}

/// What was found, and when.
type Found = Option<(Instant, Result<Arc<User>, Failure>)>;

/// The users that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Users {
    /// Each with its latest lookup, which goes on as long as the channel is open.
    lookups: Mutex<BTreeMap<String, watch::Receiver<Found>>>,
}

impl Users {
    /// A user by name, or by number. Whoever gives up waiting may ask again.
    pub(crate) async fn get(&self, name: &str) -> Result<Arc<User>, Failure> {
        self.get_by(name, look_up).await
    }

    async fn get_by(
        &self,
        name: &str,
        look_up: fn(&str) -> Result<User, Failure>,
    ) -> Result<Arc<User>, Failure> {
        let mut lookup = self.lookup(name, look_up)?;
        if let Some((_, Ok(user))) = &*lookup.borrow() {
            return Ok(Arc::clone(user));
        }
        let found = lookup.wait_for(Option::is_some).await;
        match found.as_deref() {
            Ok(Some((_, found))) => found.clone(),
            Ok(None) | Err(_) => Err(not_found(name, "the lookup has ended")),
        }
    }

    /// The lookup of a user that is fresh or under way, or a new one.
    fn lookup(
        &self,
        name: &str,
        look_up: fn(&str) -> Result<User, Failure>,
    ) -> Result<watch::Receiver<Found>, Failure> {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = None;
        if let Some(lookup) = lookups.get(name) {
            let found = lookup.borrow().clone();
            let goes_on = lookup.has_changed().is_ok();
            known = found.filter(|(_, found)| found.is_ok());
            let fresh = known.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
            if goes_on || fresh {
                return Ok(lookup.clone());
            }
        }
        let (sender, lookup) = watch::channel(known);
        let asked = name.to_owned();
        let ask = move || {
            let found = look_up(&asked).map(Arc::new);
            // One who was found before is not lost because nobody answers now.
            sender.send_if_modified(|known| {
                let better = found.is_ok() || known.is_none();
                if better {
                    *known = Some((Instant::now(), found));
                }
                better
            });
        };
        thread::Builder::new()
            .name("user".to_owned())
            .spawn(ask)
            .map_err(|error| not_found(name, &words::of(&error)))?;
        lookups.insert(name.to_owned(), lookup.clone());
        Ok(lookup)
    }
}

/// Looks a user up, by name or else by number. May take long.
pub(crate) fn look_up(name: &str) -> Result<User, Failure> {
    let by_name = nix::unistd::User::from_name(name);
    let found = match (by_name, name.parse()) {
        (Ok(None), Ok(uid)) => nix::unistd::User::from_uid(Uid::from_raw(uid)),
        (by_name, _) => by_name,
    };
    let user = match found {
        Ok(Some(user)) => user,
        // Some libraries say so with an error (getpwnam(3)).
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => {
            return Err(Failure::NotRun(format!(
                "this host has no user {}",
                excerpt(name.as_bytes())
            )));
        }
        Err(errno) => return Err(not_found(name, &words::of(&errno.into()))),
    };
    let groups = CString::new(user.name)
        .map_err(|_| Errno::EINVAL)
        .and_then(|name| getgrouplist(&name, user.gid))
        .map_err(|errno| not_found(name, &words::of(&errno.into())))?;
    Ok(User {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
    })
}

/// The failure of who has waited too long.
pub(crate) fn unanswered(name: &str) -> Failure {
    not_found(name, "there was no answer in the time of the probe")
}

fn not_found(name: &str, why: &str) -> Failure {
    let name = excerpt(name.as_bytes());
    Failure::NotRun(format!("user {name} cannot be looked up: {why}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn whom_the_host_knows_is_found_by_name_and_number() {
        let root = look_up("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(look_up("0").unwrap(), root);
        for stranger in ["nobody-like-this", "4294967294", "", "a\0b", "-1"] {
            let why = look_up(stranger).unwrap_err().to_string();
            let name = excerpt(stranger.as_bytes());
            assert!(why.ends_with(&format!("has no user {name}")), "{why}");
        }
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    /// Whoever comes first is found, and nobody after.
    fn found_once(name: &str) -> Result<User, Failure> {
        if ASKED.fetch_add(1, Ordering::SeqCst) == 0 {
            return Ok(User {
                uid: 7,
                gid: 7,
                groups: vec![7],
            });
        }
        Err(not_found(name, "nobody answers"))
    }

    #[tokio::test]
    async fn who_was_found_is_remembered_when_nobody_answers() {
        let users = Users::default();
        let first = users.get_by("me", found_once).await.unwrap();
        for _ in 0..3 {
            assert_eq!(users.get_by("me", found_once).await, Ok(Arc::clone(&first)));
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1, "it is fresh");
        // As if it were long ago.
        let long_ago = Instant::now().checked_sub(2 * FRESH).unwrap();
        let (_, old) = watch::channel(Some((long_ago, Ok(Arc::clone(&first)))));
        users.lookups.lock().unwrap().insert("me".to_owned(), old);
        assert_eq!(users.get_by("me", found_once).await, Ok(first));
        let mut lookup = users.lookups.lock().unwrap()["me"].clone();
        while lookup.changed().await.is_ok() {}
        assert_eq!(ASKED.load(Ordering::SeqCst), 2, "it was asked for anew");
        assert!(lookup.borrow().as_ref().is_some_and(|(_, it)| it.is_ok()));
    }

    #[tokio::test]
    async fn whoever_was_not_found_is_looked_for_again() {
        fn never(name: &str) -> Result<User, Failure> {
            Err(not_found(name, "nobody answers"))
        }
        fn now(_name: &str) -> Result<User, Failure> {
            look_up("root")
        }
        let users = Users::default();
        let failure = users.get_by("me", never).await.unwrap_err();
        assert!(!failure.concerns_server());
        assert_eq!(
            failure.to_string(),
            r#"the probe could not run: user "me" cannot be looked up: nobody answers"#
        );
        let mut lookup = users.lookups.lock().unwrap()["me"].clone();
        while lookup.changed().await.is_ok() {}
        assert_eq!(users.get_by("me", now).await.unwrap().uid, 0);
    }
}
