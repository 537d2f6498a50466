//! The response of a decision: status, header, body. Header lines are nginx's; Date and Server, Content-Length of a
//! body that is sent, and the pages of refusals come from the floor above.

use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use smallvec::smallvec;

use super::body::{self, FileBody, Part, Parts};
use super::decide::{Decision, Entity, Stored};
use super::multipart::Boundary;
use super::ranges::{Span, Spans};

/// No file is sent; the error table writes the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 403, 404, 405, 412, 416, 500 or 503.
    pub status: StatusCode,
    /// What the status must come with: Allow with 405, Content-Range with 416.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Decision {
    /// The response, with the bytes of a small file read already: one `read` that the page cache answers costs less
    /// than a thread's hand-over.
    ///
    /// # Errors
    /// The status that needs a page.
    pub fn render(self) -> Result<Response<FileBody>, Refusal> {
        let status = self.status();
        let header = match self {
            Self::Full(entity) => return Ok(entity.full()),
            Self::Range(entity, span) => return Ok(entity.part(span)),
            Self::Ranges(entity, spans) => return Ok(entity.parts(&spans)),
            Self::NotModified(stored) => return Ok(stored.response(status)),
            Self::MethodNotAllowed => Some((ALLOW, HeaderValue::from_static("GET, HEAD"))),
            Self::RangeNotSatisfiable { len } => Some((CONTENT_RANGE, content_range(None, len))),
            Self::NotFound
            | Self::Forbidden
            | Self::Directory
            | Self::Failed(_)
            | Self::PreconditionFailed => None,
        };
        Err(Refusal { status, header })
    }
}

impl Stored {
    /// The lines that a 304 must repeat from the 200 (RFC 9110 §15.4.5).
    fn response(self, status: StatusCode) -> Response<FileBody> {
        let mut response = Response::new(FileBody::empty());
        *response.status_mut() = status;
        // Room for the lines of the entity too, and a few of the site's: one allocation, not three.
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(LAST_MODIFIED, self.validators.last_modified);
        if let Some(etag) = self.validators.etag {
            headers.insert(ETAG, etag);
        }
        if self.negotiated {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        *response.headers_mut() = headers;
        response
    }
}

impl Entity {
    fn full(self) -> Response<FileBody> {
        let takes_ranges = self.takes_ranges;
        let whole = Part::Span(0..self.state.len);
        let stamp = self.state.stamp;
        let mut response = self.send(StatusCode::OK, smallvec![whole]);
        response.body_mut().is_all_of(stamp);
        if takes_ranges {
            response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        response
    }

    fn part(self, span: Span) -> Response<FileBody> {
        let range = content_range(Some(&span), self.state.len);
        let mut response = self.send(StatusCode::PARTIAL_CONTENT, smallvec![Part::Span(span)]);
        response.headers_mut().insert(CONTENT_RANGE, range);
        response
    }

    fn parts(mut self, spans: &Spans) -> Response<FileBody> {
        let boundary = Boundary::random();
        let parts = boundary.parts(spans, &self.media, self.state.len);
        self.media = boundary.media();
        self.send(StatusCode::PARTIAL_CONTENT, parts)
    }

    fn send(self, status: StatusCode, parts: Parts) -> Response<FileBody> {
        let coding = self.stored.coding;
        let mut response = self.stored.response(status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.media);
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding.header());
        }
        if self.head_only {
            // A body that is sent tells its length itself.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body::length(&parts)));
        } else {
            *response.body_mut() = FileBody::new(self.source, parts, self.sendfile);
        }
        response
    }
}

/// `bytes 0-4/100`, or `bytes */100` for none of it.
fn content_range(span: Option<&Span>, len: u64) -> HeaderValue {
    let text = match span {
        Some(span) => format!("bytes {}-{}/{len}", span.start, span.end - 1),
        None => format!("bytes */{len}"),
    };
    HeaderValue::try_from(text).expect("digits and punctuation")
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, RANGE};

    use super::super::FileOptions;
    use super::super::testing::{Root, THEN, bytes_of, lines};
    use super::*;

    const TAG: &str = "\"65937d25-64\"";

    fn hundred() -> Root {
        Root::with(&[("a.txt", "abcdefghij".repeat(10))])
    }

    #[tokio::test]
    async fn a_file_comes_with_the_header_that_nginx_sends() {
        let response = hundred().ask("a.txt").answer();
        assert_eq!(response.status(), StatusCode::OK);
        let expected = [
            "accept-ranges: bytes",
            "content-type: text/plain; charset=utf-8",
            &format!("etag: {TAG}"),
            &format!("last-modified: {THEN}"),
            "vary: Accept-Encoding",
        ];
        assert_eq!(lines(&response), expected);
        assert_eq!(bytes_of(response.into_body()).await, "abcdefghij".repeat(10).as_bytes());
    }

    #[tokio::test]
    async fn head_is_told_everything_and_sent_nothing() {
        let root = hundred();
        for (range, status) in [("lines=1", 200), ("bytes=0-4", 206), ("bytes=0-0,9-9", 206)] {
            let ask = |method| root.ask("a.txt").method(method).header(RANGE, range).answer();
            let (head, get) = (ask(Method::HEAD), ask(Method::GET));
            assert_eq!((head.status().as_u16(), get.status().as_u16()), (status, status), "{range}");
            let length = bytes_of(get.into_body()).await.len();
            assert_eq!(head.headers()[CONTENT_LENGTH], length.to_string(), "{range}");
            assert!(bytes_of(head.into_body()).await.is_empty());
        }
    }

    #[tokio::test]
    async fn a_part_says_which_part_it_is() {
        let response = hundred().ask("a.txt").header(RANGE, "bytes=2-4").answer();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[CONTENT_RANGE], "bytes 2-4/100");
        assert_eq!(response.headers()[ETAG], TAG);
        assert_eq!(bytes_of(response.into_body()).await, b"cde");
    }

    #[tokio::test]
    async fn not_modified_is_empty_and_keeps_the_lines_a_cache_needs() {
        let response = hundred().ask("a.txt").header(IF_NONE_MATCH, TAG).answer();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        let expected = [&format!("etag: {TAG}"), &format!("last-modified: {THEN}"), "vary: Accept-Encoding"];
        assert_eq!(lines(&response), expected);
        assert!(bytes_of(response.into_body()).await.is_empty());
    }

    #[tokio::test]
    async fn a_neighbour_keeps_the_type_of_its_file() {
        let root = Root::with(&[("a.css", "plain"), ("a.css.gz", "packed"), ("b.png", "png")]);
        let response = root.ask("a.css").header(ACCEPT_ENCODING, "gzip").answer();
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(response.headers()[ETAG], "\"65937d25-6-gzip\"");
        assert_eq!(bytes_of(response.into_body()).await, b"packed");
        assert!(!root.ask("b.png").answer().headers().contains_key(VARY), "a picture has one coding");
    }

    #[test]
    fn a_refusal_brings_the_line_its_status_needs() {
        let root = hundred();
        let refusal = |decision: Decision| decision.render().unwrap_err();
        let post = refusal(root.ask("a.txt").method(Method::POST).decide());
        assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(post.header, Some((ALLOW, HeaderValue::from_static("GET, HEAD"))));

        let beyond = refusal(root.ask("a.txt").header(RANGE, "bytes=200-").decide());
        assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(beyond.header, Some((CONTENT_RANGE, HeaderValue::from_static("bytes */100"))));

        let missing = refusal(root.ask("missing").decide());
        assert_eq!(missing, Refusal { status: StatusCode::NOT_FOUND, header: None });
        assert_eq!(refusal(root.ask("").decide()).status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn switched_off_ranges_and_etags_are_not_promised() {
        let options = FileOptions { max_ranges: 0, etag: false, ..FileOptions::default() };
        let response = hundred().ask("a.txt").options(options).header(RANGE, "bytes=0-4").answer();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key(ACCEPT_RANGES));
        assert!(!response.headers().contains_key(ETAG));
    }
}
