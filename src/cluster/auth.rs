//! Signs heartbeats, and knows the signatures of others.

use std::fmt;

use ring::{digest, hmac};

use crate::config::keys::KeyRing;

/// Length of a signature: HMAC-SHA256 (RFC 2104, FIPS 180-4).
pub const TAG_LEN: usize = 32;

/// Says which key signed a datagram: the first bytes of the key's SHA-256.
pub type KeyId = [u8; 4];

/// The keys of a cluster: the first signs, all verify, so that a key can be changed on one
/// director after the other.
#[derive(Clone)]
pub struct Keys {
    signing: (KeyId, hmac::Key),
    accepted: Vec<(KeyId, hmac::Key)>,
}

impl Keys {
    /// Keys of these bytes: one that signs, and others that are only verified with.
    pub fn new<K: AsRef<[u8]>>(signing: K, others: impl IntoIterator<Item = K>) -> Self {
        Self::from_hmac(
            hmac_of(signing.as_ref()),
            others.into_iter().map(|k| hmac_of(k.as_ref())),
        )
    }

    /// The same from keys that have been prepared elsewhere.
    pub fn from_hmac(
        signing: (KeyId, hmac::Key),
        others: impl IntoIterator<Item = (KeyId, hmac::Key)>,
    ) -> Self {
        let accepted = std::iter::once(signing.clone()).chain(others).collect();
        Self { signing, accepted }
    }

    /// The keys that the configuration has loaded; `None` for an empty ring.
    #[must_use]
    pub fn from_ring(ring: &KeyRing) -> Option<Self> {
        let mut keys = ring.iter().map(|key| (key.id().0, key.hmac().clone()));
        Some(Self::from_hmac(keys.next()?, keys))
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn signing_id(&self) -> KeyId {
        self.signing.0
    }

    /// The signature of `message` by the signing key.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.signing.1, message)
    }

    /// Whether a key of this id is known.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.accepted.iter().any(|(known, _)| *known == id)
    }

    /// Whether a known key of this id made `tag` for `message`; compares in constant time.
    #[must_use]
    pub fn verify(&self, id: KeyId, message: &[u8], tag: &[u8]) -> bool {
        // Two keys may share an id by chance: any of them will do.
        self.accepted
            .iter()
            .filter(|(known, _)| *known == id)
            .any(|(_, key)| hmac::verify(key, message, tag).is_ok())
    }
}

/// Shows which keys they are, not the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.accepted.iter().map(|(id, _)| id))
            .finish()
    }
}

fn hmac_of(bytes: &[u8]) -> (KeyId, hmac::Key) {
    let hash = digest::digest(&digest::SHA256, bytes);
    let mut id = KeyId::default();
    id.iter_mut()
        .zip(hash.as_ref())
        .for_each(|(to, from)| *to = *from);
    (id, hmac::Key::new(hmac::HMAC_SHA256, bytes))
}
