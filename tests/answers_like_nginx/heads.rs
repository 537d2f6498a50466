//! Heads as they stand on the wire: versions, connections, bodies, what is malformed, and whose host it is.

use crate::support::compare::Asked;

/// Request lines, each with a Host and nothing else.
const LINES: &[&str] = &[
    "GET /ten.txt HTTP/1.1",
    "GET /ten.txt HTTP/1.0",
    "GET /info.php HTTP/1.1",
    "GET /info.php HTTP/1.0",
    "GET /reply.php?n=100000 HTTP/1.1",
    "GET /reply.php?n=100000 HTTP/1.0",
    "HEAD /ten.txt HTTP/1.1",
    "HEAD /info.php HTTP/1.1",
    "HEAD /reply.php?n=9 HTTP/1.0",
    "GET /missing HTTP/1.1",
    "GET /missing HTTP/1.0",
    "GET /moved HTTP/1.1",
    "GET /nothing HTTP/1.1",
    "GET /reply.php?s=204 HTTP/1.1",
    "GET /reply.php?s=304 HTTP/1.1",
    "POST /ten.txt HTTP/1.1",
    "GET /%zz HTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET /ten.txt HTTP/1.2",
    "GET /ten.txt HTTP/2.0",
    "GET /ten.txt",
    "TRACE /ten.txt HTTP/1.1",
    "CONNECT shop.example:80 HTTP/1.1",
    "GET http://shop.example/ten.txt HTTP/1.1",
    "OPTIONS * HTTP/1.1",
];

/// Bytes as they stand, and behind them what another request would be.
pub fn connections() -> Vec<Asked> {
    let next = "GET /ten.txt HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    let raw = |name: &str, bytes: String| Asked::raw(name, bytes + next);
    let line = |line: &str| raw(line, format!("{line}\r\nHost: shop.example\r\n\r\n"));
    let with = |name: &str, line: &str, more: &str, body: &str| {
        raw(name, format!("{line}\r\nHost: shop.example\r\n{more}\r\n{body}"))
    };
    let get = "GET /ten.txt HTTP/1.1";
    let put = "PUT /info.php HTTP/1.1";
    let others = [
        with("1.0, kept", "GET /ten.txt HTTP/1.0", "Connection: keep-alive\r\n", ""),
        with("1.0 of php, kept", "GET /info.php HTTP/1.0", "Connection: keep-alive\r\n", ""),
        with(
            "1.0 of php with a length, kept",
            "GET /reply.php?h[]=Content-Length:%204 HTTP/1.0",
            "Connection: keep-alive\r\n",
            "",
        ),
        with("1.1, kept", get, "Connection: keep-alive\r\n", ""),
        with("close in capitals", get, "Connection: CLOSE\r\n", ""),
        with("close among others", get, "Connection: x, close\r\n", ""),
        with("a timeout asked for", get, "Keep-Alive: timeout=5, max=3\r\n", ""),
        with("upgrade", get, "Connection: Upgrade\r\nUpgrade: websocket\r\n", ""),
        with("a body for a file, with GET", get, "Content-Length: 4\r\n", "body"),
        with("a GET with a body to php", "GET /info.php HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body to php", put, "Content-Length: 4\r\n", "body"),
        with("an empty body to php", put, "Content-Length: 0\r\n", ""),
        with("chunks for php", put, "Transfer-Encoding: chunked\r\n", "2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n"),
        with("chunks in capitals", put, "Transfer-Encoding: CHUNKED\r\n", "4\r\nbody\r\n0\r\n\r\n"),
        with("chunks, none", put, "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        with(
            "chunks with a trailer",
            put,
            "Transfer-Encoding: chunked\r\nTrailer: X\r\n",
            "4\r\nbody\r\n0\r\nX: y\r\n\r\n",
        ),
        with("a body that is expected", put, "Content-Length: 4\r\nExpect: 100-continue\r\n", "body"),
        with("another expectation", put, "Content-Length: 4\r\nExpect: miracles\r\n", "body"),
        with("a body for a file", "POST /ten.txt HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body for nothing", "POST /missing HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body for what is denied", "POST /denied/a HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body for a redirect", "POST /moved HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("no colon", get, "nonsense\r\n", ""),
        with("a name with a space", get, "X Y: z\r\n", ""),
        with("a space before the colon", get, "X : z\r\n", ""),
        with("a folded line", get, "X: y\r\n z\r\n", ""),
        with("two lengths", put, "Content-Length: 4\r\nContent-Length: 5\r\n", "body"),
        with("the same length twice", put, "Content-Length: 4\r\nContent-Length: 4\r\n", "body"),
        with(
            "a length and chunks",
            put,
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "4\r\nbody\r\n0\r\n\r\n",
        ),
        with(
            "chunks of a 1.0 client",
            "PUT /info.php HTTP/1.0",
            "Transfer-Encoding: chunked\r\n",
            "4\r\nbody\r\n0\r\n\r\n",
        ),
        with("a coding that nobody knows", put, "Transfer-Encoding: br\r\n", "body"),
        with("two Hosts", get, "Host: other.example\r\n", ""),
        with("a header of 20,000 bytes", get, &format!("X: {}\r\n", "x".repeat(20_000)), ""),
        raw("no Host", "GET /ten.txt HTTP/1.1\r\n\r\n".to_owned()),
        raw("no Host in 1.0", "GET /ten.txt HTTP/1.0\r\n\r\n".to_owned()),
        raw("an empty Host", "GET /ten.txt HTTP/1.1\r\nHost:\r\n\r\n".to_owned()),
        raw("a Host that is none", "GET /ten.txt HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        raw("an empty line first", format!("\r\n{get}\r\nHost: shop.example\r\n\r\n")),
        raw(
            "a target of 9,000 bytes",
            format!("GET /ten.txt?{} HTTP/1.1\r\nHost: shop.example\r\n\r\n", "x".repeat(9_000)),
        ),
    ];
    LINES.iter().copied().map(line).chain(others).collect()
}

/// In the request line.
const TARGETS: &[&str] = &[
    "HTTP://SHOP.EXAMPLE/ten.txt",
    "http://other.example/ten.txt",
    "http://shop.example:8080/ten.txt",
    "http://shop.example:/ten.txt",
    "http://shop.example:99999/ten.txt",
    "http://shop.example:8o/ten.txt",
    "http://somebody@shop.example/ten.txt",
    "http://somebody:secret@shop.example/ten.txt",
    "http://[::1]/ten.txt",
    "http://[::1/ten.txt",
    "http://shop.example?a=b",
    "http://shop.example#a",
    "http:///ten.txt",
    "http://",
    "http:/ten.txt",
    "http:ten.txt",
    "https://shop.example/ten.txt",
    "ftp://shop.example/ten.txt",
    "//shop.example/ten.txt",
    "ten.txt",
    "?a=b",
    "#a",
    "*",
    "/ten.txt#a",
    "/ten.txt?a#b",
    "/ten.txt;a=b",
    "/ten.txt?a=\"b\"",
    "/ten.txt?a={b}|\\^`",
    "/ten.txt?%",
    "/ten.txt%",
    "/ten.txt%2",
    "/ten%2etxt",
    "/ten.txt%3Fa",
    "/ten.txt\\",
    "/ten.txt\u{80}",
];

/// In Host.
const HOSTS: &[&str] = &[
    "shop.example:80",
    "SHOP.example",
    "shop.example.",
    "shop.example..",
    "shop.example:8o",
    "shop.example:",
    "[::1]:80",
    "[::1",
    "a@b",
    "a,b",
    "a b",
    "..",
    ".",
    "a..b",
    "-",
    "xn--fiq228c.example",
    "%61",
];

/// Whose host it is, in the target and in Host, and what a target may look like.
pub fn hosts() -> Vec<Asked> {
    let line =
        |line: String| Asked::raw(&line.replace("\r\n", " "), format!("{line}\r\nConnection: close\r\n\r\n"));
    let targets = TARGETS.iter().map(|target| line(format!("GET {target} HTTP/1.1\r\nHost: shop.example")));
    let named = HOSTS.iter().map(|host| line(format!("GET /info.php HTTP/1.1\r\nHost: {host}")));
    targets.chain(named).collect()
}
