//! Floor 4: document roots: what to send for a file, and sending it.
//!
//! [`decide`] opens the file and says what will be sent, without a socket; [`Decision::render`] makes the response
//! of it. Which file a request means, and whether it may be sent at all (scripts, dotfiles), is settled before, in
//! `route/`; what a 404 looks like is settled after, by the error table of `front/`.
//!
//! | file | owns |
//! |---|---|
//! | `open` | one `open` and one `fstat`, and what the kernel's refusals mean |
//! | `media` | Content-Type by the file's name |
//! | `validators` | ETag and Last-Modified |
//! | `preconditions` | If-Match, If-None-Match and their kin |
//! | `ranges` | Range: which bytes |
//! | `choose` | the file's own bytes, or a precompressed neighbour's |
//! | `decide`, `render`, `multipart` | the decision, its response, its response in parts |
//! | `body`, `reader`, `region`, `spare` | the bytes on their way: frames, reads, what is sent unread, buffers |
//! | `held`, `absent` | small files in memory, as long as they are what they were; neighbours that are not there |
//! | `listing` | a folder's content as a page or as JSON |
//! | `disk`, `recent` | the file system as the router sees it |

mod absent;
mod body;
mod choose;
mod decide;
mod disk;
mod held;
mod listing;
mod media;
mod multipart;
mod open;
mod preconditions;
mod ranges;
mod reader;
mod recent;
mod region;
mod render;
mod spare;
#[cfg(test)]
mod testing;
mod validators;

use std::collections::HashMap;
use std::path::Path;

use http::{HeaderMap, HeaderValue, Method};

use crate::route::Coding;

pub use self::body::FileBody;
pub use self::decide::{Decision, Entity, Stored, decide};
pub use self::disk::Disk;
pub use self::held::Held;
pub use self::listing::{Listing, list};
pub use self::open::Stamp;
pub use self::ranges::{Span, Spans};
pub use self::recent::Recent;
pub use self::region::Region;
pub use self::render::Refusal;

/// A request for one file.
#[derive(Debug, Clone, Copy)]
pub struct FileRequest<'a> {
    /// GET and HEAD are answered; anything else is a 405.
    pub method: &'a Method,
    /// The client's header, for preconditions, ranges and codings.
    pub headers: &'a HeaderMap,
    /// The file: absolute and free of dot segments, which the router's types guarantee. Symbolic links on it are
    /// followed wherever they lead, as nginx does by default.
    pub path: &'a Path,
    /// So many bytes of it are a folder which links behind it may not leave.
    pub beneath: Option<usize>,
    /// How files of this place are sent.
    pub options: &'a FileOptions<'a>,
    /// Where small files are held; `None`: each is opened.
    pub held: Option<&'a Held>,
}

/// How the files of a site or a route are sent.
#[derive(Debug, Clone)]
pub struct FileOptions<'a> {
    /// The charset named in the Content-Type of text, JavaScript and JSON; `None` names none, which is nginx's
    /// default. XML and SVG never get one: such a document names its own encoding, which a header would overrule.
    pub charset: Option<&'a str>,
    /// Send `file.br`, `file.zst` or `file.gz` in the place of `file` to a client that accepts one of these codings; the
    /// smallest where it likes several equally (nginx: `gzip_static` with `gzip_vary`). A neighbour that is older than its file was
    /// left behind, and is not sent; nginx sends it.
    pub codings: &'a [Coding],
    /// Content-Type by extension, before the usual ones are asked (nginx: `types`).
    pub types: Option<&'a HashMap<String, String>>,
    /// Content-Type of a file whose name tells nothing (nginx: `default_type`).
    pub default_type: HeaderValue,
    /// Send an ETag and compare it (nginx: `etag`).
    pub etag: bool,
    /// How If-Modified-Since is compared (nginx: `if_modified_since`).
    pub if_modified_since: IfModifiedSince,
    /// Large files may go out unread (nginx: `sendfile`).
    pub sendfile: bool,
    /// More ranges than this in one request are answered with the whole file; 0 switches ranges off (nginx:
    /// `max_ranges`, which has no limit by default and so lets a 32 KB header ask for thousands of parts).
    pub max_ranges: usize,
}

impl Default for FileOptions<'_> {
    fn default() -> Self {
        Self {
            charset: Some("utf-8"),
            codings: &Coding::ALL,
            types: None,
            default_type: HeaderValue::from_static("application/octet-stream"),
            etag: true,
            if_modified_since: IfModifiedSince::Exact,
            sendfile: true,
            max_ranges: 200,
        }
    }
}

/// nginx's `if_modified_since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfModifiedSince {
    /// The header is not looked at.
    Off,
    /// Only the very time of Last-Modified is "not modified": a file restored from an older backup is sent again.
    #[default]
    Exact,
    /// Any time from Last-Modified on is "not modified" (RFC 9110 §13.1.3).
    Before,
}
