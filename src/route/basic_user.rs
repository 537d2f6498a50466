//! The user name of an `Authorization: Basic` header (RFC 7617), for `$remote_user`. Nobody is authenticated here.

/// Appends the name; nothing when the header is not Basic or not base64.
pub(super) fn write(authorization: &[u8], out: &mut Vec<u8>) {
    let Some((scheme, credentials)) = authorization.split_at_checked(6) else { return };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return;
    }
    let start = out.len();
    if decode(credentials.trim_ascii(), out).is_none() {
        return out.truncate(start);
    }
    // nginx takes credentials without a colon for none.
    let colon = out[start..].iter().position(|&byte| byte == b':').unwrap_or(0);
    out.truncate(start + colon);
}

fn decode(base64: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digits = base64.trim_ascii_end();
    let padding = digits.iter().rev().take_while(|&&byte| byte == b'=').count();
    for group in digits[..digits.len() - padding].chunks(4) {
        let mut bits = 0;
        for &digit in group {
            bits = bits << 6 | value(digit)?;
        }
        match group.len() {
            4 => out.extend_from_slice(&u32::to_be_bytes(bits)[1..]),
            3 => out.extend_from_slice(&u32::to_be_bytes(bits << 6)[1..3]),
            2 => out.extend_from_slice(&u32::to_be_bytes(bits << 12)[1..2]),
            _ => return None,
        }
    }
    Some(())
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_user_is_what_stands_before_the_colon() {
        for (header, user) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin"),
            ("basic  dTpw", "u"),
            ("Basic dTo=", "u"),
            ("Basic dQ==", ""),
            ("Basic !!", ""),
            ("Basic A", ""),
            ("Bearer dTpw", ""),
            ("Basi", ""),
        ] {
            let mut out = b">".to_vec();
            super::write(header.as_bytes(), &mut out);
            assert_eq!(out, format!(">{user}").as_bytes(), "{header}");
        }
    }
}
