//! MD5-crypt, as Apache (`$apr1$`) and old systems (`$1$`) have it: a thousand rounds of MD5. No well-kept crate has Apache's
//! (<https://httpd.apache.org/docs/2.4/misc/password_encryptions.html>).

use md5::{Digest, Md5};

const ROUNDS: usize = 1000;
/// crypt(3)'s own order of digits.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 22 digits for a password; `magic` is `$apr1$` or `$1$`, the salt at most 8 characters.
pub(super) fn digest(password: &[u8], magic: &[u8], salt: &[u8]) -> [u8; 22] {
    let mut inner = md5(&[password, salt, password]);
    let mut start = Md5::new();
    for part in [password, magic, salt] {
        start.update(part);
    }
    for piece in password.chunks(inner.len()) {
        start.update(&inner[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // The original's mistake, which all others had to make too: a NUL for the bits that are set.
        start.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    inner = start.finalize().into();
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let salt = if round % 3 == 0 { &b""[..] } else { salt };
        let again = if round % 7 == 0 { &b""[..] } else { password };
        let (first, last) = if odd { (password, &inner[..]) } else { (&inner[..], password) };
        inner = md5(&[first, salt, again, last]);
    }
    digits(&inner)
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn digits(of: &[u8; 16]) -> [u8; 22] {
    let mut out = [0; 22];
    let groups = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    for (place, [high, middle, low]) in groups.into_iter().enumerate() {
        let value = u32::from_be_bytes([0, of[high], of[middle], of[low]]);
        put(value, &mut out[place * 4..place * 4 + 4]);
    }
    put(u32::from(of[11]), &mut out[20..]);
    out
}

/// The lowest six bits first.
fn put(mut value: u32, out: &mut [u8]) {
    for digit in out {
        *digit = DIGITS[(value & 0x3f) as usize];
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each made by `openssl passwd -apr1 -salt …` or `-1`.
    #[test]
    fn the_digits_are_those_of_openssl() {
        for (password, magic, salt, expected) in [
            ("open sesame", "$apr1$", "8LFGRBlD", "QTMmxGR52SGIcSzBtFSW7."),
            ("", "$apr1$", "abcdefgh", "L.PT565ESX4Tp2bqNs7Ie."),
            (
                "a password that is longer than sixteen bytes, and then some",
                "$apr1$",
                "x",
                "Hi/dLDegb6nvTkMl4uyb8/",
            ),
            ("open sesame", "$1$", "8LFGRBlD", "RjEKRnsAGRJ9laui8E/9z."),
        ] {
            let made = digest(password.as_bytes(), magic.as_bytes(), salt.as_bytes());
            assert_eq!(std::str::from_utf8(&made).unwrap(), expected, "{password}");
        }
    }
}
