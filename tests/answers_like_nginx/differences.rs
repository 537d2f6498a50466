//! What is meant to differ from nginx, each with its reason.

use crate::support::compare::Difference;

const fn row(
    on: &'static str,
    what: &'static str,
    nginx: &'static str,
    cornac: &'static str,
    why: &'static str,
) -> Difference {
    Difference { on, what, nginx, cornac, why }
}

/// Everywhere.
pub const EVERYWHERE: &[Difference] = &[
    row("*", "php: SERVER_SOFTWARE", "\"nginx/…", "\"cornac/…", "each says its own name"),
    row("*", "php: HTTP_X_REQUEST_ID", "-", "\"…\"", "a request has one name, in every log and for php"),
    row(
        "*",
        "vary",
        "-",
        "Accept-Encoding",
        "a compressed neighbour may come tomorrow: caches must know today",
    ),
    row(
        "*",
        "cache-control",
        "-",
        "no-store",
        "an error of the server's own is over when it is mended: nobody keeps it",
    ),
    row("*", "allow", "-", "GET, HEAD", "a 405 says what is allowed (RFC 9110 §15.5.6)"),
    row("*", "transfer-encoding", "chunked", "-", LENGTH),
    row("*", "content-length", "-", "…", LENGTH),
    row("*", "connection", "keep-alive", "-", UNSAID),
    row("*", "connection", "close", "-", UNSAID),
];

const LENGTH: &str = "a reply of php that is there to its end when its head goes out has a length";
const UNSAID: &str =
    "1.1 keeps a connection and 1.0 closes it unless somebody says otherwise (RFC 9112 §9.3)";
const WEAK: &str =
    "a copy that was compressed on the way has a weak tag: a 304 names the one that the client has";
const LIST: &str = "lines of one name are one list (RFC 9110 §5.3)";
const TAGS_FIRST: &str = "where the client sent tags, dates do not count (RFC 9110 §13.2.2)";
const OVERFLOW: &str = "a number beyond 64 bits is beyond the end, not a mistake";
const STORED: &str = "a compressed neighbour is a file of its own: it has parts, and a tag of its own";
const ACCEPTED: &str = "`*` and `x-gzip` accept gzip (RFC 9110 §12.5.3, §8.4.1.3)";
const UNREAD: &str = "a body that nobody wants is not read: what is left of it would be the next request";
const CHUNKED: &str =
    "who reads Content-Length beside chunks sees another end: nothing may follow (RFC 9112 §6.1)";
const UNAMBIGUOUS: &str = "the request was refused, and where it ended is not in doubt";

pub const DIFFERENCES: &[Difference] = &[
    // Conditions, parts, codings.
    row("/ten.txt [If-None-Match: \"other\" | If-None-Match: \"65937d25-a\"]", "answer", "400", "304", LIST),
    row(
        "/ten.txt [If-Unmodified-Since: yesterday]",
        "answer",
        "412",
        "200",
        "a date that is none is ignored (RFC 9110 §13.1.4)",
    ),
    row(
        "/ten.txt [If-None-Match: \"65937d25-a\" | If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT]",
        "answer",
        "200",
        "304",
        TAGS_FIRST,
    ),
    row("/ten.txt [If-None-Match: …", "etag", "\"65937d25-a\"", "W/\"65937d25-a\"", WEAK),
    row(
        "/ten.txt [Range: bytes=,0-1]",
        "answer",
        "416",
        "206",
        "an empty element of a list is none (RFC 9110 §5.6.1.2)",
    ),
    row(
        "/ten.txt [Range: bytes=0-1,]",
        "answer",
        "416",
        "206",
        "an empty element of a list is none (RFC 9110 §5.6.1.2)",
    ),
    row("/ten.txt [Range: bytes=0-18446744073709551615]", "answer", "416", "206", OVERFLOW),
    row("/ten.txt [Range: bytes=-18446744073709551616]", "answer", "416", "206", OVERFLOW),
    row("/app.js [Range: bytes=0-3 | Accept-Encoding: gzip]", "answer", "200", "206", STORED),
    row("/app.js [Accept-Encoding: …", "accept-ranges", "-", "bytes", STORED),
    row("HEAD /app.js [Accept-Encoding: gzip]", "accept-ranges", "-", "bytes", STORED),
    row("/app.js [Accept-Encoding: …", "etag", "\"65937d25-a\"", "\"65937d25-a-gzip\"", STORED),
    row("HEAD /app.js [Accept-Encoding: gzip]", "etag", "\"65937d25-a\"", "\"65937d25-a-gzip\"", STORED),
    row("/app.js [Accept-Encoding: …", "etag", "\"65937d25-6a4\"", "\"65937d25-a-gzip\"", ACCEPTED),
    row("/app.js [Accept-Encoding: …", "content-encoding", "-", "gzip", ACCEPTED),
    row("/app.js [Accept-Encoding: …", "content-length", "1700", "10", ACCEPTED),
    row("/app.js [Accept-Encoding: …", "body", "1700 bytes, …", "gzip bytes", ACCEPTED),
    // php's headers.
    row(
        "/reply.php?h[]=Content-Type:",
        "content-type",
        "-",
        "",
        "what php says goes out as it is: this is an empty value",
    ),
    row(
        "/reply.php?h[]=Upgrade:%20h2c",
        "upgrade",
        "h2c",
        "-",
        "a header for the next hop goes no further (RFC 9110 §7.6.1)",
    ),
    // Connections.
    row("1.0 of php, kept", "connection", "close", "keep-alive", LENGTH),
    row("1.0 of php, kept", "the connection", "closes", "answers 200 to the next request", LENGTH),
    row("a body for …", "connection", "keep-alive", "close", UNREAD),
    row("a body for …", "the connection", "answers 200 to the next request", "closes", UNREAD),
    row("chunks…", "connection", "keep-alive", "close", CHUNKED),
    row("chunks…", "the connection", "answers 200 to the next request", "closes", CHUNKED),
    row(
        "TRACE /ten.txt HTTP/1.1",
        "the connection",
        "closes",
        "answers 200 to the next request",
        UNAMBIGUOUS,
    ),
    row("OPTIONS * HTTP/1.1", "the connection", "closes", "answers 200 to the next request", UNAMBIGUOUS),
    row(
        "a target of 9,000 bytes",
        "the connection",
        "closes",
        "answers 200 to the next request",
        UNAMBIGUOUS,
    ),
    // Heads.
    row("GET /ten.txt HTTP/1.2", "answer", "200", "400", "nobody knows what 1.2 will mean"),
    row("GET /ten.txt HTTP/2.0", "answer", "505", "400", "refused is refused"),
    row(
        "GET /ten.txt",
        "answer",
        "0, cut",
        "400",
        "HTTP/0.9 is not spoken: nginx sends the file without a head",
    ),
    row("CONNECT shop.example:80 HTTP/1.1", "answer", "400", "405", "a method that is known and not allowed"),
    row("no colon", "answer", "200", "400", "a line that is no header: nginx drops it"),
    row("a coding that nobody knows", "answer", "501", "400", "refused is refused"),
    row(
        "a header of 20,000 bytes",
        "answer",
        "400",
        "200",
        "there is room for large cookies: all of a head may have 64 KB",
    ),
    row(
        "GET http://shop.example#a HTTP/1.1 Host: shop.example",
        "answer",
        "400",
        "403",
        "a fragment is not for servers: what is left is the front page",
    ),
    row(
        "GET /ten.txt?a=\"b\" HTTP/1.1 Host: shop.example",
        "answer",
        "200",
        "400",
        "a bare quotation mark is no part of a query (RFC 3986 §3.4); browsers send %22",
    ),
    row("GET /info.php HTTP/1.1 Host: shop.example:8o", "answer", "200", "400", "a port is a number"),
    row(
        "GET /info.php HTTP/1.1 Host: a@b",
        "answer",
        "200",
        "400",
        "a user is no part of a Host (RFC 9112 §3.2)",
    ),
    row(
        "an empty Host",
        "answer",
        "400",
        "200",
        "it names nobody, as a 1.0 client without one: the first site answers",
    ),
];
