//! How a password is proved: MySQL's documentation, "Authentication Methods".

use ring::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::failure::words_of;

/// The method of MariaDB, and of MySQL before 8.
pub(super) const NATIVE: &str = "mysql_native_password";
/// That of MySQL since 8.
const CACHING: &str = "caching_sha2_password";
/// Methods that take the password itself.
const SHA256_PLAIN: &str = "sha256_password";
const PLAIN: &str = "mysql_clear_password";

/// The answer by one method, or why there is none.
pub(super) fn answer(
    method: &str,
    password: &[u8],
    nonce: &[u8],
    private: bool,
) -> Result<Vec<u8>, String> {
    match method {
        NATIVE | CACHING if password.is_empty() => Ok(Vec::new()),
        NATIVE => Ok(native(password, nonce)),
        CACHING => Ok(caching(password, nonce)),
        SHA256_PLAIN if password.is_empty() => Ok(vec![0]),
        SHA256_PLAIN | PLAIN => in_clear(method, password, private),
        other => Err(format!(
            "the server wants the password by {}, which a probe does not know",
            words_of(other.as_bytes())
        )),
    }
}

/// The password itself, over TLS alone.
pub(super) fn in_clear(method: &str, password: &[u8], private: bool) -> Result<Vec<u8>, String> {
    if private {
        return Ok([password, &[0]].concat());
    }
    Err(format!(
        "the server wants the password itself by {}, which is told only over TLS",
        words_of(method.as_bytes())
    ))
}

/// SHA1(password) xor SHA1(nonce, SHA1(SHA1(password)))
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha1 = |parts: &[&[u8]]| hash(&SHA1_FOR_LEGACY_USE_ONLY, parts);
    let first = sha1(&[password]);
    let second = sha1(&[&first]);
    xor(&first, &sha1(&[nonce, &second]))
}

/// SHA256(password) xor SHA256(SHA256(SHA256(password)), nonce)
fn caching(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha256 = |parts: &[&[u8]]| hash(&SHA256, parts);
    let first = sha256(&[password]);
    let second = sha256(&[&first]);
    xor(&first, &sha256(&[&second, nonce]))
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &[u8] = b"0123456789abcdefghij";

    #[test]
    fn proofs_are_what_the_server_computes_from_what_it_stores() {
        // The server stores the hash of the hash; it undoes the xor, and hashes what comes out.
        let proof = answer(NATIVE, b"secret", NONCE, false).unwrap();
        let stored = hash(
            &SHA1_FOR_LEGACY_USE_ONLY,
            &[&hash(&SHA1_FOR_LEGACY_USE_ONLY, &[b"secret"])],
        );
        let first = xor(&proof, &hash(&SHA1_FOR_LEGACY_USE_ONLY, &[NONCE, &stored]));
        assert_eq!(hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&first]), stored);

        let proof = answer(CACHING, b"secret", NONCE, false).unwrap();
        let stored = hash(&SHA256, &[&hash(&SHA256, &[b"secret"])]);
        let first = xor(&proof, &hash(&SHA256, &[&stored, NONCE]));
        assert_eq!(hash(&SHA256, &[&first]), stored);
    }

    #[test]
    fn no_password_is_told_in_clear_without_tls() {
        for method in [SHA256_PLAIN, PLAIN] {
            let why = answer(method, b"secret", NONCE, false).unwrap_err();
            assert!(why.contains("only over TLS"), "{why}");
            let told = answer(method, b"secret", NONCE, true).unwrap();
            assert_eq!(told, b"secret\0");
        }
        assert_eq!(answer(SHA256_PLAIN, b"", NONCE, false).unwrap(), b"\0");
        assert_eq!(answer(CACHING, b"", NONCE, false).unwrap(), b"");
    }

    #[test]
    fn a_method_that_is_not_known_is_named() {
        assert_eq!(
            answer("client_ed25519", b"x", NONCE, true).unwrap_err(),
            "the server wants the password by client_ed25519, which a probe does not know"
        );
    }
}
