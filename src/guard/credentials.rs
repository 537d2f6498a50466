//! Name and password of an `Authorization: Basic` header (RFC 7617): what a client says, believed by nobody yet.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// nginx takes it with and without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a client claims to be and to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Never empty, without control characters.
    pub user: String,
    /// Any bytes but NUL, where crypt(3) would stop reading.
    pub password: Vec<u8>,
}

impl Credentials {
    /// Reads the header's value; `None` where it is not Basic or claims nothing.
    pub fn read(authorization: &[u8]) -> Option<Self> {
        let (scheme, encoded) = authorization.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let mut user = BASE64.decode(encoded.trim_ascii()).ok()?;
        let colon = memchr::memchr(b':', &user)?;
        let password = user.split_off(colon + 1);
        user.pop();
        let user = String::from_utf8(user).ok()?;
        let sane = !user.is_empty() && !user.chars().any(char::is_control) && !password.contains(&0);
        sane.then_some(Self { user, password })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Option<(String, String)> {
        let read = Credentials::read(header.as_bytes())?;
        Some((read.user, String::from_utf8(read.password).unwrap()))
    }

    #[test]
    fn the_user_stands_before_the_first_colon_and_the_password_behind_it() {
        for (header, user, password) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame"),
            ("basic  dTpw ", "u", "p"),
            ("BASIC dTo=", "u", ""),
            ("Basic dTphOmI=", "u", "a:b"),
            ("Basic w7w6w58=", "ü", "ß"),
        ] {
            assert_eq!(read(header), Some((user.to_owned(), password.to_owned())), "{header}");
        }
    }

    #[test]
    fn what_claims_nothing_is_none() {
        // In order: no colon, no base64, no base64, another scheme, too short, no user, a NUL, a newline in the name, no UTF-8.
        for header in [
            "Basic dQ==",
            "Basic !!",
            "Basic A",
            "Bearer dTpw",
            "Basi",
            "Basic OnA=",
            "Basic dTpwAHE=",
            "Basic dQphOnA=",
            "Basic /zpw",
        ] {
            assert_eq!(read(header), None, "{header}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let read = Credentials::read(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!(format!("{read:?}"), "Credentials { user: \"Aladdin\", .. }");
    }
}
