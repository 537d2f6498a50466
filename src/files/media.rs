//! Content-Type by the file's name: mime_guess knows the types, this file adds the charset and knows which types are
//! worth a precompressed neighbour.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use http::HeaderValue;

use super::FileOptions;

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media<'a> {
    /// The name tells nothing.
    Unknown,
    /// One of the usual ones, whose header line takes no memory of its own.
    Usual(&'static str),
    /// As the configuration has it.
    Own(&'a str),
}

impl<'a> Media<'a> {
    /// What the configuration knows nothing of is what it usually is, which may have been asked before.
    pub(super) fn of(
        path: &Path,
        own: Option<&'a HashMap<String, String>>,
        usual: Option<Media<'static>>,
    ) -> Self {
        let own = own.and_then(|own| own.get(&*lower_case(extension(path)?)));
        own.map_or_else(|| usual.unwrap_or_else(|| Media::usual(path)), |media| Self::Own(media))
    }

    pub(super) fn usual(path: &Path) -> Self {
        let usual = extension(path).and_then(|extension| {
            // A search in a table of a thousand.
            common(extension).or_else(|| mime_guess::from_ext(extension).first_raw())
        });
        usual.map_or(Self::Unknown, Self::Usual)
    }

    fn text(self) -> Option<&'a str> {
        match self {
            Self::Unknown => None,
            Self::Usual(media) => Some(media),
            Self::Own(media) => Some(media),
        }
    }

    /// Pictures, sound, films, fonts and archives are compressed in themselves; for those nobody stores a `.gz`
    /// beside the file, and three failed `open`s a request would be for nothing.
    pub(super) fn is_worth_compressing(self) -> bool {
        let Some(media) = self.text() else { return true };
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
        let text = self.text().filter(|media| takes_charset(media)).zip(options.charset);
        let whole = text
            .and_then(|(media, charset)| ready_made(media, charset).or_else(|| with_charset(media, charset)));
        whole.unwrap_or_else(|| self.plain(&options.default_type))
    }

    fn plain(self, unknown: &HeaderValue) -> HeaderValue {
        match self {
            Self::Unknown => unknown.clone(),
            Self::Usual(media) => HeaderValue::from_static(media),
            // The configuration has refused what no header can carry.
            Self::Own(media) => HeaderValue::from_str(media)
                .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
        }
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

/// What the table says of nearly every file of a site.
fn common(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "json" => "application/json",
        "txt" => "text/plain",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// Nearly always it is that already.
fn lower_case(extension: &str) -> Cow<'_, str> {
    if extension.bytes().any(|byte| byte.is_ascii_uppercase()) {
        extension.to_ascii_lowercase().into()
    } else {
        extension.into()
    }
}

fn takes_charset(media: &str) -> bool {
    media.starts_with("text/")
        || matches!(media, "application/javascript" | "application/json" | "application/manifest+json")
}

/// The types that make up nearly all requests.
fn ready_made(media: &str, charset: &str) -> Option<HeaderValue> {
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    Some(HeaderValue::from_static(match media {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "text/xml" => "text/xml; charset=utf-8",
        "application/javascript" => "application/javascript; charset=utf-8",
        "application/json" => "application/json; charset=utf-8",
        "application/manifest+json" => "application/manifest+json; charset=utf-8",
        _ => return None,
    }))
}

/// A charset that no header can carry is left out rather than refused at each request.
fn with_charset(media: &str, charset: &str) -> Option<HeaderValue> {
    HeaderValue::try_from([media, "; charset=", charset].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(name: &str, options: &FileOptions<'_>) -> String {
        Media::of(Path::new(name), options.types, None).header(options).to_str().unwrap().to_owned()
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
    fn what_is_common_is_what_the_table_says() {
        let named =
            ["html", "css", "js", "json", "txt", "svg", "png", "jpg", "jpeg", "gif", "webp", "ico", "woff2"];
        for extension in named {
            let table = mime_guess::from_ext(extension).first_raw();
            assert_eq!(common(extension), table, "{extension}");
            assert_eq!(Media::usual(Path::new(&format!("A.{}", extension.to_uppercase()))).text(), table);
        }
        assert_eq!(common("HTML"), None);
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
        let worth = |name: &str| Media::usual(Path::new(name)).is_worth_compressing();
        assert!(["a.js", "a.svg", "a.wasm", "a.ttf", "a.json", "data"].into_iter().all(worth));
        assert!(!["a.png", "a.mp4", "a.woff2", "a.zip", "a.gz", "a.pdf"].into_iter().any(worth));
    }
}
