//! Content-Type by the file's name: mime_guess knows the types, this file adds the charset and knows which types are
//! worth a precompressed neighbour.

use std::collections::HashMap;
use std::path::Path;

use http::HeaderValue;

use super::FileOptions;

/// What a file is, by its name. `None` inside: the name tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Media<'a>(Option<&'a str>);

impl<'a> Media<'a> {
    pub(super) fn of(path: &Path, own: Option<&'a HashMap<String, String>>) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if let (Some(own), Some(extension)) = (own, extension)
            && let Some(media) = own.get(&extension.to_ascii_lowercase())
        {
            return Self(Some(media));
        }
        Self(extension.and_then(|extension| mime_guess::from_ext(extension).first_raw()))
    }

    /// Pictures, sound, films, fonts and archives are compressed in themselves; for those nobody stores a `.gz`
    /// beside the file, and three failed `open`s a request would be for nothing.
    pub(super) fn is_worth_compressing(self) -> bool {
        let Some(media) = self.0 else { return true };
        if media == "image/svg+xml" {
            return true;
        }
        let (kind, name) = media.split_once('/').unwrap_or((media, ""));
        let packed = ["zip", "gzip", "x-gzip", "x-7z-compressed", "x-bzip2", "x-xz", "vnd.rar", "pdf"];
        !matches!(kind, "image" | "audio" | "video")
            && !name.starts_with("font-woff")
            && !name.starts_with("woff")
            && !packed.contains(&name)
    }

    pub(super) fn header(self, options: &FileOptions<'_>) -> HeaderValue {
        let Some(media) = self.0 else { return options.default_type.clone() };
        match options.charset {
            Some(charset) if takes_charset(media) => with_charset(media, charset),
            _ => plain(media),
        }
    }
}

/// The configuration has refused what no header can carry.
fn plain(media: &str) -> HeaderValue {
    HeaderValue::from_str(media).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn takes_charset(media: &str) -> bool {
    media.starts_with("text/")
        || matches!(media, "application/javascript" | "application/json" | "application/manifest+json")
}

/// The types that make up nearly all requests are ready-made.
fn with_charset(media: &str, charset: &str) -> HeaderValue {
    let ready = match media {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "application/json" => "application/json; charset=utf-8",
        _ => "",
    };
    if !ready.is_empty() && charset.eq_ignore_ascii_case("utf-8") {
        return HeaderValue::from_static(ready);
    }
    // A charset that no header can carry is left out rather than refused at each request.
    HeaderValue::try_from([media, "; charset=", charset].concat()).unwrap_or_else(|_| plain(media))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(name: &str, options: &FileOptions<'_>) -> String {
        Media::of(Path::new(name), options.types).header(options).to_str().unwrap().to_owned()
    }

    #[test]
    fn text_names_its_charset_and_nothing_else_does() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTML", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "application/javascript; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("sitemap.xml", "text/xml; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.atom", "application/atom+xml"),
            ("a.png", "image/png"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("README", "application/octet-stream"),
            ("a.nobody-knows", "application/octet-stream"),
            (".html", "application/octet-stream"),
        ] {
            assert_eq!(header_of(name, &FileOptions::default()), expected, "{name}");
        }
    }

    #[test]
    fn another_charset_none_and_an_impossible_one() {
        let with = |charset: Option<&'static str>| FileOptions {
            charset,
            default_type: HeaderValue::from_static("text/plain"),
            ..FileOptions::default()
        };
        assert_eq!(header_of("a.html", &with(Some("gbk"))), "text/html; charset=gbk");
        assert_eq!(header_of("a.html", &with(None)), "text/html");
        assert_eq!(header_of("a.html", &with(Some("x\r\nSet-Cookie: a"))), "text/html");
        assert_eq!(header_of("README", &with(None)), "text/plain");
    }

    #[test]
    fn the_site_s_own_types_come_first() {
        let own =
            HashMap::from([("md".to_owned(), "text/x-own".to_owned()), ("png".into(), "text/html".into())]);
        let options = FileOptions { types: Some(&own), ..FileOptions::default() };
        assert_eq!(header_of("a.MD", &options), "text/x-own; charset=utf-8");
        assert_eq!(header_of("a.png", &options), "text/html; charset=utf-8");
        assert_eq!(header_of("a.jpg", &options), "image/jpeg");
    }

    #[test]
    fn neighbours_are_looked_for_beside_text_only() {
        let worth = |name: &str| Media::of(Path::new(name), None).is_worth_compressing();
        assert!(["a.js", "a.svg", "a.wasm", "a.ttf", "a.json", "data"].into_iter().all(worth));
        assert!(!["a.png", "a.mp4", "a.woff2", "a.zip", "a.gz", "a.pdf"].into_iter().any(worth));
    }
}
