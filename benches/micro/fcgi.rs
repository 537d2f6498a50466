//! What goes over the wire to php-fpm and back.

use std::hint::black_box;

use bytes::Bytes;
use cornac::fcgi::{BodyRule, Exchange, Keep, RequestEncoder, RequestId};
use criterion::{Criterion, Throughput};

const HEADER: usize = 8;
const STDOUT: u8 = 6;
const END_REQUEST: u8 = 3;

/// A browser's GET of a small application: what it sends, and what is made of it.
const PARAMS: [(&str, &str); 30] = [
    ("SCRIPT_FILENAME", "/srv/app/public/index.php"),
    ("PATH_INFO", "/articles/42"),
    ("QUERY_STRING", "page=2&sort=date"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("SCRIPT_NAME", "/index.php"),
    ("REQUEST_URI", "/articles/42?page=2&sort=date"),
    ("DOCUMENT_URI", "/index.php/articles/42"),
    ("DOCUMENT_ROOT", "/srv/app/public"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "cornac"),
    ("REMOTE_ADDR", "203.0.113.7"),
    ("REMOTE_PORT", "40000"),
    ("SERVER_ADDR", "192.0.2.1"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "example.com"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "example.com"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en-GB,en;q=0.5"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"),
    ("HTTP_COOKIE", "PHPSESSID=0123456789abcdef0123456789abcdef"),
    ("HTTP_REFERER", "https://example.com/articles?page=1"),
    ("HTTP_CONNECTION", "keep-alive"),
    ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
];

pub(crate) fn steps(criterion: &mut Criterion) {
    encoder(criterion);
    decoder(criterion);
}

fn id() -> RequestId {
    RequestId::new(1).expect("1 is not 0")
}

fn encoder(criterion: &mut Criterion) {
    criterion.bench_function("params of a GET", |bencher| {
        bencher.iter(|| {
            let mut request = RequestEncoder::new(id(), Keep::Connection);
            for (name, value) in black_box(&PARAMS) {
                request.param(name.as_bytes(), value.as_bytes()).expect("no pair is large");
            }
            request.finish_without_body()
        });
    });
}

fn decoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    for (name, bytes) in [("12 bytes", 12), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let wire = Bytes::from(reply(bytes));
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| decode(black_box(&wire))));
    }
    // As reads of a slow network bring it.
    let wire = Bytes::from(reply(64 << 10));
    group.bench_function("64 KiB in reads of 1,448 bytes", |bencher| {
        bencher.iter(|| {
            let mut exchange = begun();
            let mut events = 0;
            for start in (0..wire.len()).step_by(1_448) {
                exchange.receive(wire.slice(start..wire.len().min(start + 1_448)));
                events += take(&mut exchange);
            }
            events
        });
    });
    group.finish();
}

fn begun() -> Exchange {
    let mut exchange = Exchange::new(id(), BodyRule::Deliver);
    exchange.request_sent();
    exchange
}

fn decode(wire: &Bytes) -> usize {
    let mut exchange = begun();
    exchange.receive(wire.clone());
    take(&mut exchange)
}

fn take(exchange: &mut Exchange) -> usize {
    let mut events = 0;
    while let Some(event) = exchange.next_event().expect("the reply is well-formed") {
        black_box(event);
        events += 1;
    }
    events
}

/// As php-fpm writes it.
fn reply(bytes: usize) -> Vec<u8> {
    const RECORD: usize = 65_528;
    let mut stdout =
        b"X-Powered-By: PHP/8.2\r\nCache-Control: no-store\r\nContent-type: text/html; charset=UTF-8\r\n\r\n"
            .to_vec();
    stdout.resize(stdout.len() + bytes, b'x');
    let mut wire = Vec::with_capacity(stdout.len() + stdout.len() / RECORD * HEADER + 64);
    for content in stdout.chunks(RECORD) {
        push(&mut wire, STDOUT, content);
    }
    push(&mut wire, END_REQUEST, &[0; 8]);
    wire
}

fn push(wire: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let [high, low] = (content.len() as u16).to_be_bytes();
    wire.extend_from_slice(&[1, kind, 0, 1, high, low, 0, 0]);
    wire.extend_from_slice(content);
}
