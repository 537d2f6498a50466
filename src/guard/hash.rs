//! Hashes of passwords as password files hold them: read once, so that none is wrong later, and compared in constant time.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::apr1;

/// 2^16 rounds take seconds: with more, a handful of logins would keep the machine busy.
const MOST_COST: u32 = 15;
/// As many milliseconds for SHA-crypt.
const MOST_ROUNDS: u32 = 5_000_000;
const SHA1: usize = 20;

/// The hash of one password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    kind: Kind,
    written: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// `$2y$`, `$2a$`, `$2b$`, with its cost.
    Bcrypt(u32),
    /// `$apr1$` or `$1$`: where its salt is.
    Md5(&'static str),
    /// `$5$` or `$6$`, with its rounds.
    ShaCrypt(u32),
    /// `{SHA}` and `{SSHA}`: a digest, and the salt behind it.
    Sha1(Vec<u8>),
    /// `{PLAIN}`.
    Plain,
}

/// Why a hash is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadHash {
    /// Nothing of the known kinds.
    #[error("no known kind of hash ($2y$, $apr1$, $5$, $6$, {{SHA}}, {{SSHA}})")]
    Unknown,
    /// Thirteen characters: DES.
    #[error("a DES hash, which is guessed in hours")]
    Des,
    /// The kind is known, the rest of it is not right.
    #[error("a hash that is cut short or garbled")]
    Garbled,
    /// So many rounds that a few logins would stop the machine.
    #[error("a hash that takes seconds to verify (cost over {MOST_COST}, or more than {MOST_ROUNDS} rounds)")]
    TooSlow,
}

impl Hash {
    /// Reads what stands behind `user:`.
    ///
    /// # Errors
    /// It is not one of the hashes that are taken.
    pub fn parse(written: &str) -> Result<Self, BadHash> {
        let kind = kind(written)?;
        Ok(Self { kind, written: written.to_owned() })
    }

    /// Whether this is the password. Takes as long as the hash is meant to: see [`is_cheap`](Self::is_cheap).
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.kind {
            Kind::Bcrypt(_) => bcrypt::verify(password, &self.written).unwrap_or(false),
            Kind::ShaCrypt(_) => ShaCrypt::default().verify_password(password, &*self.written).is_ok(),
            Kind::Md5(magic) => {
                let (salt, digits) = salted(&self.written, magic);
                apr1::digest(password, magic.as_bytes(), salt.as_bytes()).ct_eq(digits.as_bytes()).into()
            }
            Kind::Sha1(digest) => {
                let (digest, salt) = digest.split_at(SHA1);
                Sha1::new().chain_update(password).chain_update(salt).finalize().ct_eq(digest).into()
            }
            // Compared as digests, so that the time does not tell the length.
            Kind::Plain => {
                let digest = |text: &[u8]| Sha1::digest(text);
                digest(password).ct_eq(&digest(plain(&self.written).as_bytes())).into()
            }
        }
    }

    /// Whether it is verified in microseconds.
    pub fn is_cheap(&self) -> bool {
        matches!(self.kind, Kind::Sha1(_) | Kind::Plain)
    }

    /// What it costs to verify it, roughly in microseconds.
    pub fn cost(&self) -> u64 {
        match self.kind {
            Kind::Bcrypt(cost) => 50 << cost,
            Kind::ShaCrypt(rounds) => u64::from(rounds),
            Kind::Md5(_) => 500,
            Kind::Sha1(_) | Kind::Plain => 1,
        }
    }

    /// As the file has it, for whoever makes a hash of it in turn.
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hash)")
    }
}

fn kind(written: &str) -> Result<Kind, BadHash> {
    if let Some(encoded) = written.strip_prefix("{SHA}") {
        return sha1(encoded, |length| length == SHA1);
    }
    if let Some(encoded) = written.strip_prefix("{SSHA}") {
        return sha1(encoded, |length| length > SHA1);
    }
    if written.starts_with("{PLAIN}") {
        return Ok(Kind::Plain);
    }
    if ["$2y$", "$2a$", "$2b$"].iter().any(|prefix| written.starts_with(prefix)) {
        return bcrypt_cost(written);
    }
    for (magic, digits) in [("$5$", 43), ("$6$", 86)] {
        if let Some(rest) = written.strip_prefix(magic) {
            return sha_crypt_rounds(rest, digits);
        }
    }
    for magic in ["$apr1$", "$1$"] {
        if written.starts_with(magic) {
            let (salt, digits) = salted(written, magic);
            let right = (1..=8).contains(&salt.len()) && digits.len() == 22;
            return if right { Ok(Kind::Md5(magic)) } else { Err(BadHash::Garbled) };
        }
    }
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let des = written.len() == 13 && written.bytes().all(digit);
    Err(if des { BadHash::Des } else { BadHash::Unknown })
}

fn sha1(encoded: &str, right: impl Fn(usize) -> bool) -> Result<Kind, BadHash> {
    let digest = STANDARD.decode(encoded).ok().filter(|digest| right(digest.len()));
    digest.map(Kind::Sha1).ok_or(BadHash::Garbled)
}

fn bcrypt_cost(written: &str) -> Result<Kind, BadHash> {
    let parts: bcrypt::HashParts = written.parse().map_err(|_| BadHash::Garbled)?;
    match parts.get_cost() {
        0..=3 => Err(BadHash::Garbled),
        cost @ 4..=MOST_COST => Ok(Kind::Bcrypt(cost)),
        _ => Err(BadHash::TooSlow),
    }
}

fn sha_crypt_rounds(rest: &str, digits: usize) -> Result<Kind, BadHash> {
    let (rounds, rest) = match rest.strip_prefix("rounds=").and_then(|rest| rest.split_once('$')) {
        Some((rounds, rest)) => (rounds.parse().map_err(|_| BadHash::Garbled)?, rest),
        None => (5_000, rest),
    };
    let (salt, digest) = rest.split_once('$').ok_or(BadHash::Garbled)?;
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    if !(1..=16).contains(&salt.len())
        || digest.len() != digits
        || !digest.bytes().all(digit)
        || rounds < 1_000
    {
        return Err(BadHash::Garbled);
    }
    if rounds > MOST_ROUNDS { Err(BadHash::TooSlow) } else { Ok(Kind::ShaCrypt(rounds)) }
}

/// Salt and digits of an MD5-crypt.
fn salted<'h>(written: &'h str, magic: &str) -> (&'h str, &'h str) {
    written.get(magic.len()..).and_then(|rest| rest.split_once('$')).unwrap_or_default()
}

fn plain(written: &str) -> &str {
    written.strip_prefix("{PLAIN}").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "open sesame": made by `openssl passwd`, by php's password_hash() and sha1().
    const GOOD: [&str; 10] = [
        "$apr1$8LFGRBlD$QTMmxGR52SGIcSzBtFSW7.",
        "$1$8LFGRBlD$RjEKRnsAGRJ9laui8E/9z.",
        "$5$abcdefghijklmnop$9AXbkmNPW3wyPQxVu0w8mUO/nhK.OxpUU1Aym36Vie8",
        "$5$rounds=1234$abcdefgh$lN1Luapm8aC4EPPNlf1Dv66n974zNXYHgtRT3VFcqN1",
        "$6$abc$gDRynJ6bv/lKH0en4n.v8b9a0m6LmPOfa/D9Zlr338Pbs1KPSGcD0vvBeubjZOchtoFf6ZB7FJLWP45mvkXCh.",
        "$6$rounds=5000$abc$gDRynJ6bv/lKH0en4n.v8b9a0m6LmPOfa/D9Zlr338Pbs1KPSGcD0vvBeubjZOchtoFf6ZB7FJLWP45mvkXCh.",
        "$2y$04$3ssEak5VvyFCZ.snMcvsTeJLjOrpo5L3I93nweGKvZ7mXVa5Uk1v.",
        "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=",
        "{SSHA}hN5uxFJUEWCPg56kk42tnVCdJ61zYWx0",
        "{PLAIN}open sesame",
    ];

    #[test]
    fn the_right_password_and_no_other_fits_every_kind_of_hash() {
        for written in GOOD {
            let hash = Hash::parse(written).unwrap_or_else(|bad| panic!("{written}: {bad}"));
            assert!(hash.verify(b"open sesame"), "{written}");
            for wrong in ["", "open sesam", "open sesame ", "Open sesame", "open sesame\n", written] {
                assert!(!hash.verify(wrong.as_bytes()), "{written}: {wrong:?}");
            }
        }
    }

    #[test]
    fn the_prefixes_of_bcrypt_are_the_same_hash() {
        for prefix in ["$2a$", "$2b$"] {
            let written = GOOD[6].replace("$2y$", prefix);
            assert!(Hash::parse(&written).unwrap().verify(b"open sesame"), "{prefix}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_with_its_reason() {
        let bcrypt = |cost: &str| GOOD[6].replace("$04$", cost);
        for (written, why) in [
            ("", BadHash::Unknown),
            ("open sesame", BadHash::Unknown),
            ("{sha}W8r/fyL/UzygmbNAjq2HbA67qac=", BadHash::Unknown),
            ("$y$j9T$abc", BadHash::Unknown),
            ("rqXexS6ZhobKA", BadHash::Des),
            ("{SHA}W8r/", BadHash::Garbled),
            ("{SSHA}W8r/fyL/UzygmbNAjq2HbA67qac=", BadHash::Garbled),
            ("$apr1$8LFGRBlD$QTMmxGR52SGIcSzBtFSW7", BadHash::Garbled),
            ("$apr1$QTMmxGR52SGIcSzBtFSW7.", BadHash::Garbled),
            ("$5$abc$short", BadHash::Garbled),
            ("$6$rounds=x$abc$y", BadHash::Garbled),
            (&GOOD[6][..59], BadHash::Garbled),
            (&bcrypt("$00$"), BadHash::Garbled),
            (&bcrypt("$16$"), BadHash::TooSlow),
            (&GOOD[3].replace("1234", "900000000"), BadHash::TooSlow),
        ] {
            assert_eq!(Hash::parse(written).unwrap_err(), why, "{written}");
        }
    }

    #[test]
    fn a_hash_is_never_printed() {
        assert_eq!(format!("{:?}", Hash::parse(GOOD[9])), "Ok((hash))");
    }
}
