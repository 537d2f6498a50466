//! HTTP/2 as clients meet it, frame by frame: the requests that php gets, and what a client may cost.

mod support;

use std::time::Duration;

use support::curl::curl;
use support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, NO_ERROR,
    PING, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, header_block, request,
};
use support::http::Connection;
use support::{Cornac, Fpm, Root, Signal, big_bytes, server, wait_until};

/// A site in clear text that speaks both versions.
fn serve(fpm: &Fpm, root: &Root, lines: &str) -> Cornac {
    serve_with(&server(fpm, ""), root, lines)
}

fn serve_with(server: &str, root: &Root, lines: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{server}]\n\
             [[sites]]\nlisten = [{{ address = \"{listen}\", http2 = true }}]\nroot = \"{}\"\npreset = \"plain\"\n{lines}\n",
            root.path().display()
        )
    })
}

/// Files only.
fn files(root: &Root) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[[sites]]\nlisten = [{{ address = \"{listen}\", http2 = true }}]\nroot = \"{}\"\nindex = [\"a.txt\"]\n",
            root.path().display()
        )
    })
}

fn json(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", body.escape_ascii()))
}

#[test]
fn one_listener_speaks_both_versions_in_clear_text() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let cornac = serve(&fpm, &root, "");
    assert_eq!(cornac.get("/e.php").json()["params"]["SERVER_PROTOCOL"], "HTTP/1.1");
    let reply =
        curl(cornac.address(), "http://localhost:PORT/e.php?q=1", &["--http2-prior-knowledge", "-d", "x=y"]);
    let (params, input) = (&reply.json()["params"], &reply.json());
    assert_eq!(
        (params["SERVER_PROTOCOL"].as_str(), params["CONTENT_LENGTH"].as_str()),
        (Some("HTTP/2.0"), Some("3"))
    );
    assert!(input.to_string().contains("x"), "{input}");
}

#[test]
fn what_php_gets_of_a_head() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let cornac = serve(&fpm, &root, "");
    let mut client = Frames::open(cornac.address());
    let more = [
        ("cookie", "a=1"),
        ("x-a", "1"),
        ("cookie", "b=2"),
        ("x-a", "2"),
        ("te", "trailers"),
        ("proxy", "evil"),
    ];
    client.send(HEADERS, END_STREAM | END_HEADERS, 1, &request("GET", "/e.php/p?q=1", &more));
    let (status, body) = client.response(1).expect("a reply");
    let params = &json(&body)["params"];
    assert_eq!(status, 200);
    for (name, value) in [
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_X_A", "1, 2"),
        ("HTTP_HOST", "localhost"),
        ("REQUEST_URI", "/e.php/p?q=1"),
        ("PATH_INFO", "/p"),
        ("REQUEST_SCHEME", "http"),
    ] {
        assert_eq!(params[name], value, "{name}");
    }
    assert!(params["HTTPS"].is_null() && params["HTTP_PROXY"].is_null(), "whatever :scheme says");
    // A Host that says the same is the same; without :authority it is the host.
    let usual = [(":method", "GET"), (":scheme", "https"), (":path", "/e.php")];
    for (stream, host) in
        [(3, &[(":authority", "localhost"), ("host", "localhost")][..]), (5, &[("host", "localhost")])]
    {
        client.send(HEADERS, END_STREAM | END_HEADERS, stream, &header_block(&[&usual[..], host].concat()));
        let (_, body) = client.response(stream).expect("a reply");
        assert_eq!(json(&body)["params"]["HTTP_HOST"], "localhost");
        assert!(json(&body)["params"]["HTTPS"].is_null(), "a client cannot say that it came over TLS");
    }
}

#[test]
fn a_head_that_is_not_one_never_reaches_php() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let cornac = serve(&fpm, &root, "");
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/e.php"), (":authority", "localhost")];
    let with = |more: &[(&'static str, &'static str)]| [&usual[..], more].concat();
    let without = |name: &str| usual.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    for head in [
        with(&[("connection", "close")]),
        with(&[("connection", "x-a"), ("x-a", "1")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("keep-alive", "5")]),
        with(&[("proxy-connection", "close")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("X-Upper", "1")]),
        with(&[("x-a", "1\r\nx-b: 2")]),
        with(&[("x-a", "1\n2")]),
        with(&[("x-a", "\0")]),
        with(&[("x a", "1")]),
        with(&[("x-a:", "1")]),
        with(&[("", "1")]),
        with(&[(":path", "/other")]),
        with(&[(":status", "200")]),
        with(&[(":new", "1")]),
        with(&[("host", "other.test")]),
        with(&[("host", "localhost"), ("host", "localhost")]),
        with(&[("content-length", "x")]),
        with(&[("content-length", "-1")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "5")]),
        [&[("x-a", "1")], &usual[..]].concat(),
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        [&without(":path")[..], &[(":path", "")]].concat(),
        [&without(":path")[..], &[(":path", "e.php")]].concat(),
        [&without(":path")[..], &[(":path", "/e.php x")]].concat(),
        [&without(":path")[..], &[(":path", "/e.php\r\nx: y")]].concat(),
        [&without(":authority")[..], &[(":authority", "user@localhost")]].concat(),
        [&without(":authority")[..], &[(":authority", "local host")]].concat(),
        [&without(":authority")[..], &[(":authority", "localhost/e.php")]].concat(),
        [&without(":method")[..], &[(":method", "G T")]].concat(),
        [&without(":method")[..], &[(":method", "CONNECT")]].concat(),
        [&without(":method")[..], &[(":method", "TRACE")]].concat(),
    ] {
        let mut client = Frames::open(cornac.address());
        client.send(HEADERS, END_STREAM | END_HEADERS, 1, &header_block(&head));
        let refused = loop {
            match client.next() {
                Some(frame) if matches!(frame.kind, RST_STREAM | GOAWAY) => break frame.code() != NO_ERROR,
                Some(frame) if frame.kind == HEADERS => break matches!(frame.status(), 400 | 405),
                Some(_) => {}
                None => break true,
            }
        };
        assert!(refused, "{head:?}");
    }
    assert_eq!(fpm.count("runs"), 0);
}

#[test]
fn a_body_of_another_length_than_announced_is_never_run() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let cornac = serve(&fpm, &root, "");
    for (announced, pieces) in [("5", &["abc"][..]), ("2", &["abc"]), ("2", &["ab", "c"]), ("0", &["abc"])] {
        let mut client = Frames::open(cornac.address());
        client.send(HEADERS, END_HEADERS, 1, &request("POST", "/e.php", &[("content-length", announced)]));
        for (at, piece) in pieces.iter().enumerate() {
            let last = if at + 1 == pieces.len() { END_STREAM } else { 0 };
            // It may be refused before its end.
            drop(client.try_send(DATA, last, 1, piece.as_bytes()));
        }
        let reset = client.wait_for(&[RST_STREAM, GOAWAY, HEADERS]).expect("a word");
        let refused = match reset.kind {
            HEADERS => reset.status() == 400,
            _ => reset.code() == PROTOCOL_ERROR,
        };
        assert!(refused, "{announced}: {reset:?}");
    }
    assert_eq!(fpm.count("runs"), 0);
}

#[test]
fn a_body_without_a_length_is_counted_and_trailers_are_dropped() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let cornac = serve(&fpm, &root, "");
    let mut client = Frames::open(cornac.address());
    client.send(HEADERS, END_HEADERS, 1, &request("POST", "/e.php", &[("trailer", "x-late")]));
    client.send(DATA, 0, 1, b"abc");
    client.send(DATA, 0, 1, b"");
    client.send(DATA, 0, 1, b"defg");
    client.send(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        &header_block(&[("x-late", "1"), ("content-length", "99")]),
    );
    let (status, body) = client.response(1).expect("a reply");
    let params = &json(&body)["params"];
    assert_eq!((status, params["CONTENT_LENGTH"].as_str()), (200, Some("7")));
    assert!(params["HTTP_X_LATE"].is_null());
}

#[test]
fn php_is_cut_off_with_a_client_whose_streamed_body_ends_early() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let cornac = serve(&fpm, &root, "buffering = false");
    let mut client = Frames::open(cornac.address());
    client.send(HEADERS, END_HEADERS, 1, &request("POST", "/e.php", &[("content-length", "10")]));
    client.send(DATA, END_STREAM, 1, b"abc");
    let word = client.wait_for(&[RST_STREAM, GOAWAY, HEADERS]).expect("a word");
    assert!(word.kind != HEADERS || word.status() == 400, "{word:?}");
    // Another request on another connection is not touched by what is missing.
    assert_eq!(cornac.get("/e.php").status, 200);
    assert_eq!(fpm.count("runs"), 1);
}

#[test]
fn streams_are_answered_side_by_side() {
    let fpm = Fpm::start("a");
    let root = Root::new().script("e.php").file(
        "slow.php",
        "<?php while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); } echo 'slow';",
    );
    let cornac = serve(&fpm, &root, "");
    let mut client = Frames::open(cornac.address());
    client.get(1, "/slow.php");
    client.get(3, "/e.php");
    assert_eq!(client.response(3).expect("a reply").0, 200, "while the first still runs");
    std::fs::write(root.join("go"), "").expect("the root can be written");
    assert_eq!(client.response(1).expect("a reply").1, b"slow");
}

#[test]
fn a_stream_that_is_taken_back_is_never_run_and_its_worker_is_let_go() {
    let fpm = Fpm::builder("a").workers(1).start();
    let root = Root::new()
        .script("e.php")
        .file("slow.php", "<?php while (true) { usleep(1000); echo ' '; flush(); }");
    // A limit that is known: what waits in php-fpm's own backlog would be run, by whoever it came from.
    let cornac = serve_with(&server(&fpm, "max_conns = 1"), &root, "buffering = false");
    let mut client = Frames::open(cornac.address());
    client.get(1, "/slow.php");
    client.wait_for(&[HEADERS]).expect("it runs");
    // It waits for the only worker, and is taken back.
    client.get(3, "/e.php");
    client.send(PING, 0, 0, b"12345678");
    client.wait_for(&[PING]).expect("it has been read");
    client.send(RST_STREAM, 0, 3, &8_u32.to_be_bytes());
    client.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    client.get(5, "/e.php");
    assert_eq!(client.response(5).expect("a reply").0, 200);
    assert_eq!(fpm.count("runs"), 1, "only the last one");
}

#[test]
fn a_large_reply_arrives_whole_through_a_small_window_beside_others() {
    let content = big_bytes(300_000);
    let root = Root::new().file("big.bin", &content).file("a.txt", "a");
    let cornac = files(&root);
    let mut client = Frames::open_with(cornac.address(), &[(4, 1000)]);
    client.get(1, "/big.bin");
    client.get(3, "/a.txt");
    assert_eq!(client.response(3).expect("a reply").1, b"a", "although the first is stuck");
    // Its first thousand bytes came before that.
    client.send(WINDOW_UPDATE, 0, 1, &1000_u32.to_be_bytes());
    let mut body = vec![];
    loop {
        let frame = client.next().expect("a frame");
        match frame.kind {
            DATA if frame.stream == 1 && frame.payload.is_empty() => break,
            DATA if frame.stream == 1 => {
                body.extend_from_slice(&frame.payload);
                if frame.ends_stream() {
                    break;
                }
                let more = (frame.payload.len() as u32).to_be_bytes();
                client.send(WINDOW_UPDATE, 0, 1, &more);
                client.send(WINDOW_UPDATE, 0, 0, &more);
            }
            _ => {}
        }
    }
    assert!(content.ends_with(&body) && content.len() - body.len() <= 1000, "{}", body.len());
}

#[test]
fn a_client_that_opens_no_window_holds_no_worker() {
    let fpm = Fpm::builder("a").workers(1).start();
    let root = Root::new().script("e.php").file("big.php", "<?php echo str_repeat('x', 1 << 20);");
    let cornac = serve(&fpm, &root, "");
    let mut stuck = Frames::open_with(cornac.address(), &[(4, 0)]);
    for stream in [1, 3, 5, 7] {
        stuck.get(stream, "/big.php");
    }
    for _ in 0..4 {
        stuck.wait_for(&[HEADERS]).expect("a head");
    }
    assert_eq!(cornac.get("/e.php").status, 200);
}

#[test]
fn more_streams_than_allowed_are_refused_and_may_come_again() {
    let fpm = Fpm::builder("a").workers(1).start();
    let root = Root::new().script("e.php").file(
        "slow.php",
        "<?php while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); } echo 'slow';",
    );
    let cornac = serve(&fpm, &root, "");
    let mut client = Frames::open(cornac.address());
    let most = client.wait_for(&[SETTINGS]).expect("settings").payload;
    let most = most.chunks(6).find(|one| one[..2] == [0, 3]).expect("a limit of streams");
    let most = u32::from_be_bytes(most[2..].try_into().expect("four bytes"));
    assert!(most <= 128);
    for number in 0..=most {
        client.get(2 * number + 1, "/slow.php");
    }
    let refused = client.wait_for(&[RST_STREAM]).expect("one too many");
    assert_eq!((refused.stream, refused.code()), (2 * most + 1, 7), "REFUSED_STREAM: nothing was done");
    std::fs::write(root.join("go"), "").expect("the root can be written");
    assert_eq!(client.response(1).expect("a reply").1, b"slow");
}

/// Sends it 50,000 times, or until the server has closed, which it must. How many frames came back.
#[track_caller]
fn flood(cornac: &Cornac, mut step: impl FnMut(&mut Frames, u32) -> std::io::Result<()>) -> usize {
    let mut client = Frames::open(cornac.address());
    // What comes back must not fill up: else both sides would wait for the other to read.
    let mut answers = client.again();
    let reader = std::thread::spawn(move || answers.count_to_the_end());
    for number in 0..50_000 {
        if step(&mut client, number).is_err() {
            break;
        }
    }
    reader.join().expect("the connection ends")
}

#[test]
fn floods_end_the_connection_and_nothing_else() {
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root);
    let mut other = Connection::open(cornac.address());
    assert_eq!(other.get("/a.txt").status, 200);
    let before = cornac.rss_kib();
    let pongs = flood(&cornac, |client, _| client.try_send(PING, 0, 0, &[0; 8]));
    assert!(pongs < 10_000, "{pongs}");
    flood(&cornac, |client, _| client.try_send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]));
    flood(&cornac, |client, number| client.try_send(PRIORITY, 0, 2 * number + 1, &[0, 0, 0, 0, 1]));
    flood(&cornac, |client, _| client.try_send(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
    flood(&cornac, |client, _| client.try_send(77, 0, 0, b"unknown"));
    // Rapid reset (CVE-2023-44487).
    let get = request("GET", "/a.txt", &[]);
    flood(&cornac, |client, number| {
        client.try_send(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &get)?;
        client.try_send(RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes())
    });
    // CONTINUATION without an end (CVE-2024-27316): a header list that grows, and one that does not.
    let header = header_block(&[("x-a", &"a".repeat(1000))]);
    for block in [&header[..], b""] {
        flood(&cornac, |client, number| match number {
            0 => client.try_send(HEADERS, END_STREAM, 1, &get),
            _ => client.try_send(CONTINUATION, 0, 1, block),
        });
    }
    // Empty DATA.
    let post = request("POST", "/a.txt", &[]);
    flood(&cornac, |client, number| match number {
        0 => client.try_send(HEADERS, END_HEADERS, 1, &post),
        _ => client.try_send(DATA, 0, 1, b""),
    });
    assert!(cornac.rss_kib() < before + 20 * 1024, "{} KiB before, {} after", before, cornac.rss_kib());
    assert_eq!(other.get("/a.txt").status, 200, "others are served on");
}

#[test]
fn a_header_list_that_is_too_large_is_431_or_ends_it() {
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root);
    let large = "a".repeat(10_000);
    let many: Vec<_> = (0..12).map(|_| ("x-large", &*large)).collect();
    // One name that stands for 4,000 bytes, by its number in the table (an "HPACK bomb").
    let mut bomb = request("GET", "/a.txt", &[]);
    bomb.push(0x40);
    bomb.extend_from_slice(&header_block(&[("x-b", &"b".repeat(4000))])[1..]);
    bomb.extend(std::iter::repeat_n(0xbe, 10_000));
    for block in [request("GET", "/a.txt", &many), bomb] {
        let mut client = Frames::open(cornac.address());
        let mut pieces = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let stream_end = if kind == HEADERS { END_STREAM } else { 0 };
            drop(client.try_send(kind, end | stream_end, 1, piece));
            kind = CONTINUATION;
        }
        let word = client.wait_for(&[HEADERS, RST_STREAM, GOAWAY]).expect("a word");
        let refused = match word.kind {
            HEADERS => word.status() == 431,
            _ => matches!(word.code(), PROTOCOL_ERROR | ENHANCE_YOUR_CALM),
        };
        assert!(refused, "{word:?}");
    }
    assert_eq!(cornac.get("/a.txt").status, 200);
}

#[test]
fn a_stop_lets_what_runs_finish_and_takes_nothing_new() {
    let fpm = Fpm::start("a");
    let root = Root::new().file("a.txt", "a").file(
        "slow.php",
        "<?php while (!file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); } echo 'slow';",
    );
    let mut cornac = serve(&fpm, &root, "");
    let mut idle = Frames::open(cornac.address());
    idle.get(1, "/a.txt");
    idle.response(1).expect("a reply");
    let mut busy = Frames::open(cornac.address());
    busy.get(1, "/slow.php");
    busy.send(PING, 0, 0, b"12345678");
    busy.wait_for(&[PING]).expect("the request has been read");
    cornac.signal(Signal::QUIT);
    let word = busy.wait_for(&[GOAWAY]).expect("a word");
    assert_eq!(word.code(), NO_ERROR);
    assert_eq!(idle.end(), Some(NO_ERROR), "who has nothing to say is let go at once");
    std::fs::write(root.join("go"), "").expect("the root can be written");
    assert_eq!(busy.response(1).expect("a whole reply").1, b"slow");
    assert!(cornac.wait(Duration::from_secs(20)).is_some(), "{}", cornac.log());
}

#[test]
fn a_script_that_breaks_off_resets_its_stream_and_no_other() {
    let fpm = Fpm::start("a");
    let root = Root::new().script("e.php").file(
        "dies.php",
        "<?php header('Content-Length: 100'); echo str_repeat('x', 50); flush(); posix_kill(getmypid(), 9);",
    );
    let cornac = serve(&fpm, &root, "buffering = false");
    let mut client = Frames::open(cornac.address());
    client.get(1, "/dies.php");
    let broken = client.response(1);
    assert!(matches!(broken, Err(code) if code != NO_ERROR) || matches!(broken, Ok((502, _))), "{broken:?}");
    client.get(3, "/e.php");
    assert_eq!(client.response(3).expect("a reply").0, 200);
}

#[test]
fn a_client_that_leaves_lets_its_workers_go() {
    let fpm = Fpm::builder("a").workers(2).start();
    let root = Root::new()
        .script("e.php")
        .file("slow.php", "<?php while (true) { usleep(1000); echo ' '; flush(); }");
    let cornac = serve(&fpm, &root, "");
    let mut client = Frames::open(cornac.address());
    client.get(1, "/slow.php");
    client.get(3, "/slow.php");
    client.wait_for(&[HEADERS]).expect("it runs");
    client.wait_for(&[HEADERS]).expect("it runs");
    drop(client);
    assert!(wait_until(Duration::from_secs(20), || cornac.get("/e.php").status == 200));
}

#[test]
fn pings_and_settings_are_answered() {
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root);
    let mut client = Frames::open(cornac.address());
    client.send(PING, 0, 0, b"12345678");
    let pong = client.wait_for(&[PING]).expect("an answer");
    assert_eq!((pong.flags & ACK, &*pong.payload), (ACK, &b"12345678"[..]));
}
