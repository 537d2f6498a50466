//! A folder's content as a page or as JSON (nginx: `autoindex`). Which folders may be listed is `route`'s.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

use super::open::Unopened;
use super::render::Refusal;
use crate::route::{ListingFormat, is_source};

/// What a link may hold as it is: RFC 3986's unreserved characters. A colon would make the rest of it a scheme's.
const LINK: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One line of a listing.
#[derive(Debug, Serialize)]
struct Item {
    #[serde(serialize_with = "text")]
    name: Vec<u8>,
    #[serde(rename = "type")]
    kind: Kind,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// nginx's words, in the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Other,
    File,
    Directory,
}

/// A folder, and what of it may be shown.
#[derive(Debug)]
pub struct Listing {
    /// As a file's: absolute and free of dot segments.
    pub path: PathBuf,
    /// What the client calls it.
    pub uri: Vec<u8>,
    /// Page or JSON.
    pub format: ListingFormat,
    /// Names that end so are scripts that run; other source is never sent, and not shown.
    pub script_extensions: Vec<String>,
    /// Source is sent, and shown.
    pub serve_source: bool,
}

/// Lists the folder, on a thread that may wait for a disk.
///
/// # Errors
/// The status that needs a page.
pub async fn list(listing: Listing) -> Result<Response<Bytes>, Refusal> {
    let done = tokio::task::spawn_blocking(move || write(&listing)).await;
    done.unwrap_or_else(|_| Err(refused(io::ErrorKind::Other.into())))
}

fn write(listing: &Listing) -> Result<Response<Bytes>, Refusal> {
    let items = read(listing).map_err(refused)?;
    let (text, media) = match listing.format {
        ListingFormat::Html => (page(&listing.uri, &items), "text/html; charset=utf-8"),
        ListingFormat::Json => (json(&items), "application/json"),
    };
    let mut response = Response::new(Bytes::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(response)
}

fn refused(error: io::Error) -> Refusal {
    let errno = rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
    super::decide::Decision::from(Unopened::from(errno))
        .render()
        .err()
        .unwrap_or(Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, header: None })
}

/// Folders first, then by name, as nginx lists them.
fn read(listing: &Listing) -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    for entry in fs::read_dir(&listing.path)? {
        // What goes away meanwhile is not in the list.
        items.extend(
            entry.ok().filter(|entry| is_shown(listing, &entry.file_name())).and_then(|entry| item(&entry)),
        );
    }
    items.sort_by(|a, b| {
        (Reverse(a.kind == Kind::Directory), &a.name).cmp(&(Reverse(b.kind == Kind::Directory), &b.name))
    });
    Ok(items)
}

/// nginx hides names with a dot in front. What looks like source and is no script of this site is never sent, so it is not shown.
fn is_shown(listing: &Listing, name: &OsStr) -> bool {
    let name = name.as_bytes();
    let runs = || listing.script_extensions.iter().any(|extension| name.ends_with(extension.as_bytes()));
    !name.starts_with(b".") && (listing.serve_source || runs() || !is_source(name))
}

fn item(entry: &DirEntry) -> Option<Item> {
    // Behind a link is what a client would get.
    let found = fs::metadata(entry.path()).ok()?;
    let kind = match () {
        () if found.is_dir() => Kind::Directory,
        () if found.is_file() => Kind::File,
        () => Kind::Other,
    };
    let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    // No HTTP date is later than the year 9999.
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    Some(Item {
        name: entry.file_name().as_bytes().to_vec(),
        kind,
        mtime: httpdate::fmt_http_date(modified.min(latest)),
        size: (kind == Kind::File).then_some(found.len()),
    })
}

fn text<S: serde::Serializer>(name: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(name))
}

/// One item a line, as nginx writes it.
fn json(items: &[Item]) -> String {
    let line = |item: &Item| serde_json::to_string(item).expect("names, numbers and dates are JSON");
    let lines: Vec<String> = items.iter().map(line).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn page(uri: &[u8], items: &[Item]) -> String {
    let title = escaped(uri);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Index of {title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#333}}\
         h1{{font-size:1.3em}}td{{padding:0 1em 0 0;overflow-wrap:anywhere}}td+td{{white-space:nowrap;color:#777;text-align:right}}\
         @media(prefers-color-scheme:dark){{body{{background:#1a1a1a;color:#ddd}}a{{color:#9cf}}}}</style></head>\n\
         <body><h1>Index of {title}</h1>\n<table>\n"
    );
    if uri != b"/" {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for Item { name, kind, mtime, size } in items {
        let slash = if *kind == Kind::Directory { "/" } else { "" };
        let (link, name) = (percent_encode(name, LINK), escaped(name));
        let size = size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        writeln!(
            page,
            "<tr><td><a href=\"{link}{slash}\">{name}{slash}</a></td><td>{mtime}</td><td>{size}</td></tr>"
        )
        .expect("a String takes everything");
    }
    page.push_str("</table></body></html>\n");
    page
}

/// Text in HTML, also in an attribute.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, kind: Kind) -> Item {
        let size = (kind == Kind::File).then_some(12);
        Item { name: name.into(), kind, mtime: "Tue, 02 Jan 2024 03:04:05 GMT".into(), size }
    }

    #[test]
    fn json_is_that_of_nginx() {
        let items = [item("d", Kind::Directory), item("a\"b", Kind::File)];
        let expected = "[\n{\"name\":\"d\",\"type\":\"directory\",\"mtime\":\"Tue, 02 Jan 2024 03:04:05 GMT\"},\n\
                        {\"name\":\"a\\\"b\",\"type\":\"file\",\"mtime\":\"Tue, 02 Jan 2024 03:04:05 GMT\",\"size\":12}\n]\n";
        assert_eq!(json(&items), expected);
    }

    #[test]
    fn no_name_gets_out_of_its_place_in_the_page() {
        for name in [
            "<script>alert(1)</script>",
            "\"><b>",
            "javascript:alert(1)",
            "a&b",
            "'x'",
            "a?b#c",
            "a b%41",
            "//evil",
            "x\ny",
        ] {
            let page = page(b"/<i>\"/", &[item(name, Kind::File)]);
            let row = page.lines().find(|line| line.contains("12</td>")).expect("one row").to_owned();
            let link = row.split('"').nth(1).unwrap();
            assert!(
                link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)),
                "{link}"
            );
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(link).collect();
            assert_eq!(decoded, name.as_bytes());
            assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("<i>"), "{page}");
        }
        let folder = page(b"/", &[item("d", Kind::Directory)]);
        assert!(folder.contains("<a href=\"d/\">d/</a>") && !folder.contains("../"), "{folder}");
    }
}
