//! What the client asked for: the request target, kept as sent and decoded once into the path that everything else
//! compares. nginx's reading: decode, merge slashes, resolve dot segments, all in one pass
//! (`ngx_http_parse_complex_uri`). Which site is meant is left to `site`; what the path leads to, to the router.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use thiserror::Error;

/// A request target, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// As sent, without scheme and host: REQUEST_URI, `$request_uri`.
    pub raw: &'a [u8],
    /// Decoded, slashes merged, free of dot segments and NUL; starts with `/`, but for the `*` of OPTIONS.
    pub path: Cow<'a, [u8]>,
    /// What follows the first `?`, as sent.
    pub query: &'a [u8],
    /// There was a `?`, even with nothing behind it.
    pub has_query: bool,
    /// The authority of an absolute-form target (`http://host:port/…`), which overrides Host (RFC 9112 §3.2.2).
    pub authority: Option<&'a [u8]>,
    /// The path came with `%XX` or `+`: nginx escapes a capture that goes into a query again only then.
    pub escaped: bool,
}

/// Why a target is refused: the client gets 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// Neither `/…`, nor `http://host…`, nor `*`.
    #[error("not an origin-form, absolute-form or asterisk-form target")]
    Form,
    /// `%` without two hexadecimal digits behind it.
    #[error("a % is not followed by two hexadecimal digits")]
    Percent,
    /// `%00`.
    #[error("a NUL in the path")]
    Nul,
    /// A space or control character that was not percent-encoded.
    #[error("a bare space or control character")]
    Control,
    /// `..` above the root.
    #[error("the path climbs above the root")]
    AboveRoot,
}

impl<'a> Target<'a> {
    /// Reads a target as it stands in the request line.
    ///
    /// ```
    /// use cornac::route::{BadTarget, Target};
    ///
    /// let target = Target::parse(b"/shop//a%2Fb/../c?q=%41")?;
    /// assert_eq!(&*target.path, b"/shop/a/c");
    /// assert_eq!((target.raw, target.query), (&b"/shop//a%2Fb/../c?q=%41"[..], &b"q=%41"[..]));
    /// assert_eq!(Target::parse(b"/%2e%2e/etc/passwd"), Err(BadTarget::AboveRoot));
    /// # Ok::<(), BadTarget>(())
    /// ```
    ///
    /// # Errors
    /// What nginx answers 400 to.
    pub fn parse(sent: &'a [u8]) -> Result<Self, BadTarget> {
        // All of them, without an early end: that goes by sixteen.
        if sent.iter().fold(false, |bad, &byte| bad | (byte <= b' ') | (byte == 0x7f)) {
            return Err(BadTarget::Control);
        }
        let (authority, raw) = match sent {
            // `?…` is what is left of `http://host?…`; alone it is no target that an HTTP parser lets through.
            [b'/' | b'?', ..] => (None, sent),
            b"*" => return Ok(Self::asterisk(sent)),
            _ => split_authority(sent).map(|(host, rest)| (Some(host), rest))?,
        };
        // nginx ignores a fragment, though no client should send one.
        let used = &raw[..memchr(b'#', raw).unwrap_or(raw.len())];
        let (path, query) = match memchr(b'?', used) {
            Some(at) => (&used[..at], Some(&used[at + 1..])),
            None => (used, None),
        };
        Ok(Self {
            raw: if raw.is_empty() { b"/" } else { raw },
            path: canonical(path)?,
            query: query.unwrap_or_default(),
            has_query: query.is_some(),
            authority,
            escaped: memchr2(b'%', b'+', path).is_some(),
        })
    }

    fn asterisk(sent: &'a [u8]) -> Self {
        Self {
            raw: sent,
            path: Cow::Borrowed(sent),
            query: b"",
            has_query: false,
            authority: None,
            escaped: false,
        }
    }

    /// `*`: about the server, not about anything in it.
    pub fn is_asterisk(&self) -> bool {
        self.path.as_ref() == b"*"
    }
}

fn split_authority(sent: &[u8]) -> Result<(&[u8], &[u8]), BadTarget> {
    let colon = memchr(b':', sent).ok_or(BadTarget::Form)?;
    let (scheme, rest) = sent.split_at(colon);
    let rest = rest.strip_prefix(b"://").ok_or(BadTarget::Form)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(BadTarget::Form);
    }
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    if end == 0 {
        return Err(BadTarget::Form);
    }
    Ok(rest.split_at(end))
}

fn canonical(path: &[u8]) -> Result<Cow<'_, [u8]>, BadTarget> {
    if path.is_empty() {
        return Ok(Cow::Borrowed(b"/"));
    }
    if is_canonical(path) {
        return Ok(Cow::Borrowed(path));
    }
    let mut clean = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let (byte, tail) = if *first == b'%' { decode(tail)? } else { (*first, tail) };
        rest = tail;
        if byte == b'/' {
            close_segment(&mut clean)?;
            if clean.last() != Some(&b'/') {
                clean.push(b'/');
            }
        } else {
            clean.push(byte);
        }
    }
    close_segment(&mut clean)?;
    Ok(Cow::Owned(clean))
}

/// Nothing to decode, merge or resolve: the usual case, and the one without a copy.
fn is_canonical(path: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in path {
        if byte == b'%' || after_slash && (byte == b'/' || byte == b'.') {
            return false;
        }
        after_slash = byte == b'/';
    }
    true
}

fn decode(after_percent: &[u8]) -> Result<(u8, &[u8]), BadTarget> {
    let [high, low, rest @ ..] = after_percent else { return Err(BadTarget::Percent) };
    match (hex(*high), hex(*low)) {
        (Some(0), Some(0)) => Err(BadTarget::Nul),
        (Some(high), Some(low)) => Ok((high << 4 | low, rest)),
        _ => Err(BadTarget::Percent),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// At the end of a segment: `.` vanishes, `..` takes the segment before it along; both leave the slash in front.
fn close_segment(clean: &mut Vec<u8>) -> Result<(), BadTarget> {
    let start = memchr::memrchr(b'/', clean).map_or(0, |slash| slash + 1);
    match &clean[start..] {
        b"." => clean.truncate(start),
        b".." => {
            let parent = start.checked_sub(1).and_then(|slash| memchr::memrchr(b'/', &clean[..slash]));
            clean.truncate(parent.ok_or(BadTarget::AboveRoot)? + 1);
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(sent: &str) -> Result<Vec<u8>, BadTarget> {
        Target::parse(sent.as_bytes()).map(|target| target.path.into_owned())
    }

    #[test]
    fn paths_are_decoded_merged_and_resolved_as_nginx_does() {
        for (sent, expected) in [
            ("/", "/"),
            ("/a/b.php", "/a/b.php"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/../c", "/a/c"),
            ("/a//../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2Fb", "/a/b"),
            ("/a%2f%2Fb", "/a/b"),
            ("/.../x", "/.../x"),
            ("/..a/.b", "/..a/.b"),
            ("/a%3Fb", "/a?b"),
            ("/a%23b", "/a#b"),
            ("/a%2525", "/a%25"),
            ("/a\\..\\b", "/a\\..\\b"),
            ("/a+b", "/a+b"),
            ("/%E4%B8%AD", "/中"),
            ("/中", "/中"),
            ("/a%0Ab", "/a\nb"),
        ] {
            assert_eq!(path(sent).as_deref(), Ok(expected.as_bytes()), "{sent}");
        }
    }

    #[test]
    fn what_nginx_refuses_is_refused() {
        for (sent, why) in [
            ("/..", BadTarget::AboveRoot),
            ("/../x", BadTarget::AboveRoot),
            ("/a/../../x", BadTarget::AboveRoot),
            ("/%2e%2e/x", BadTarget::AboveRoot),
            ("/a%00b", BadTarget::Nul),
            ("/a%", BadTarget::Percent),
            ("/a%2", BadTarget::Percent),
            ("/a%zz", BadTarget::Percent),
            ("/a b", BadTarget::Control),
            ("/a\u{7f}", BadTarget::Control),
            ("/a\tb", BadTarget::Control),
            ("", BadTarget::Form),
            ("a", BadTarget::Form),
            ("example.com:443", BadTarget::Form),
            ("ftp://example.com/", BadTarget::Form),
            ("http:///x", BadTarget::Form),
        ] {
            assert_eq!(path(sent), Err(why), "{sent}");
        }
    }

    #[test]
    fn the_raw_target_and_query_stay_as_sent() {
        let target = Target::parse(b"//a%2Fb/../c?x=%00&/../#f").unwrap();
        assert_eq!(target.raw, b"//a%2Fb/../c?x=%00&/../#f");
        assert_eq!(target.query, b"x=%00&/../");
        assert_eq!(target.path.as_ref(), b"/a/c");
    }

    #[test]
    fn an_empty_question_mark_is_still_one() {
        assert!(Target::parse(b"/a?").unwrap().has_query);
        assert!(!Target::parse(b"/a").unwrap().has_query);
        assert_eq!(Target::parse(b"/a?b?c").unwrap().query, b"b?c");
    }

    #[test]
    fn a_fragment_ends_the_target() {
        let target = Target::parse(b"/a#b?c").unwrap();
        assert_eq!((target.path.as_ref(), target.query, target.has_query), (&b"/a"[..], &b""[..], false));
    }

    #[test]
    fn the_absolute_form_gives_its_host() {
        for (sent, authority, raw, path) in [
            ("http://Example.com:81/a?b", "Example.com:81", "/a?b", "/a"),
            ("HTTPS://h", "h", "/", "/"),
            ("http://h?x", "h", "?x", "/"),
        ] {
            let target = Target::parse(sent.as_bytes()).unwrap();
            assert_eq!(target.authority, Some(authority.as_bytes()), "{sent}");
            assert_eq!((target.raw, target.path.as_ref()), (raw.as_bytes(), path.as_bytes()), "{sent}");
        }
        assert_eq!(path("http://h/../x"), Err(BadTarget::AboveRoot));
    }

    #[test]
    fn the_asterisk_is_read_and_says_so() {
        assert!(Target::parse(b"*").unwrap().is_asterisk());
        assert!(!Target::parse(b"/*").unwrap().is_asterisk());
    }

    #[test]
    fn a_plain_path_is_not_copied() {
        assert!(matches!(Target::parse(b"/index.php/a/b?c").unwrap().path, Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_target_yields_dot_segments_nul_or_double_slashes(tail in "([/.a%]|%2e|%2F|%5c|\\\\|\\.\\./|%252e){0,24}") {
            let sent = format!("/{tail}");
            if let Ok(target) = Target::parse(sent.as_bytes()) {
                let path = target.path.as_ref();
                prop_assert_eq!(path.first(), Some(&b'/'));
                prop_assert!(!path.contains(&0));
                prop_assert!(!path.windows(2).any(|pair| pair == b"//"));
                prop_assert!(!path.split(|&byte| byte == b'/').any(|part| part == b"." || part == b".."));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(sent in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Target::parse(&sent);
        }
    }
}
