//! Digest authentication (RFC 7616, and RFC 3261 section 22.4): that a password is known is shown
//! without telling it.

use md5::Md5;
use sha2::{Digest, Sha256};

/// What a server wants to be shown.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether both nonces are hashed with the password, once for all requests.
    session: bool,
    /// Whether the client's nonce takes part.
    counted: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Challenge {
    /// The challenge of a header, if it is one that can be met.
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let fields = fields(rest);
        let field = |name: &str| {
            let mut found = fields
                .iter()
                .filter(|(it, _)| it.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.clone())
        };
        let algorithm = field("algorithm").map(|name| name.to_ascii_lowercase());
        let (algorithm, session) = match algorithm.as_deref() {
            None | Some("md5") => (Algorithm::Md5, false),
            Some("md5-sess") => (Algorithm::Md5, true),
            Some("sha-256") => (Algorithm::Sha256, false),
            Some("sha-256-sess") => (Algorithm::Sha256, true),
            Some(_) => return None,
        };
        let counted = match field("qop") {
            None => false,
            Some(ways) if ways.split(',').any(is_auth) => true,
            Some(_) => return None,
        };
        if session && !counted {
            // It would hash a nonce that it is not told.
            return None;
        }
        Some(Self {
            realm: field("realm")?,
            nonce: field("nonce")?,
            opaque: field("opaque"),
            algorithm,
            session,
            counted,
        })
    }

    /// The credentials for one request. `chance` is the client's nonce.
    pub(super) fn meet(
        &self,
        user: &str,
        password: &str,
        (method, uri): (&str, &str),
        chance: &str,
    ) -> String {
        let Self { realm, nonce, .. } = self;
        let mut who = self.hash(&format!("{user}:{realm}:{password}"));
        if self.session {
            who = self.hash(&format!("{who}:{nonce}:{chance}"));
        }
        let what = self.hash(&format!("{method}:{uri}"));
        let counted = format!("00000001:{chance}:auth:");
        let counted = if self.counted { counted.as_str() } else { "" };
        let proof = self.hash(&format!("{who}:{nonce}:{counted}{what}"));
        let name = match (self.algorithm, self.session) {
            (Algorithm::Md5, false) => "MD5",
            (Algorithm::Md5, true) => "MD5-sess",
            (Algorithm::Sha256, false) => "SHA-256",
            (Algorithm::Sha256, true) => "SHA-256-sess",
        };
        let mut credentials = format!(
            "Digest username={}, realm={}, nonce={}, uri=\"{uri}\", response=\"{proof}\", \
             algorithm={name}",
            quoted(user),
            quoted(realm),
            quoted(nonce)
        );
        if self.counted {
            credentials.push_str(&format!(", qop=auth, nc=00000001, cnonce=\"{chance}\""));
        }
        if let Some(opaque) = &self.opaque {
            credentials.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        credentials
    }

    fn hash(&self, text: &str) -> String {
        match self.algorithm {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// Whether a quality of protection is that of the request without its body.
fn is_auth(way: &str) -> bool {
    way.trim().eq_ignore_ascii_case("auth")
}

/// Two digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `name=value` and `name="value"`, between commas.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', '\t', ',']).to_owned();
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quote) => unquote(quote),
            None => {
                let (value, after) = after.split_once(',').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        fields.push((name, value));
        rest = after;
    }
    fields
}

/// What stands before the closing quotation mark, and what comes after it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7616, section 3.9.1; what they come to in a session was computed by another
    /// program.
    #[test]
    fn proofs_are_those_of_the_rfc() {
        let chance = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let table = [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
            ("MD5-sess", "e783283f46242139c486a698fec7211d"),
            (
                "SHA-256-sess",
                "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
            ),
        ];
        for (algorithm, proof) in table {
            let header = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let challenge = Challenge::read(&header).unwrap();
            let place = ("GET", "/dir/index.html");
            let credentials = challenge.meet("Mufasa", "Circle of Life", place, chance);
            assert!(
                credentials.contains(&format!("response=\"{proof}\"")),
                "{credentials}"
            );
            assert!(credentials.contains("qop=auth, nc=00000001, cnonce=\"f2/wE4"));
            assert!(credentials.contains(&format!("algorithm={algorithm}, ")));
            assert!(
                credentials.ends_with("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"")
            );
        }
    }

    #[test]
    fn what_cannot_be_met_is_no_challenge() {
        for header in [
            "",
            "Basic realm=\"x\"",
            "Digest realm=\"x\"",
            "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512-256",
            "Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\"",
            "Digest realm=\"x\", nonce=\"y\", algorithm=MD5-sess",
        ] {
            assert_eq!(Challenge::read(header), None, "{header}");
        }
        let loud = Challenge::read(r#"DIGEST Realm="x", NONCE="y", QOP="AUTH", Algorithm=md5"#);
        assert!(loud.is_some_and(|it| it.counted));
        let strange = Challenge::read(r#"digest nonce=abc,realm="a \"b\", c""#).unwrap();
        assert_eq!(strange.realm, r#"a "b", c"#);
        assert_eq!(strange.nonce, "abc");
    }
}
