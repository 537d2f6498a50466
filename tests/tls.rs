//! TLS as clients meet it: curl and a rustls client against a running cornac, real php-fpm behind it, real nginx beside it.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use rcgen::string::Ia5String;
use rcgen::{DnType, DnValue, SerialNumber};
use support::curl::curl;
use support::http::Connection;
use support::pki::{Authority, Pair};
use support::tls::Trust;
use support::{Cornac, FASTCGI_PARAMS, Fpm, Nginx, Port, Root, Scratch, Signal, free_port};

/// A site whose files are in `root`, with scripts.
fn site(listen: &str, root: &Root, lines: &str) -> String {
    format!(
        "[[sites]]\nlisten = [{listen}]\nroot = \"{}\"\npreset = \"plain\"\n{lines}\n",
        root.path().display()
    )
}

fn pool(fpm: &Fpm) -> String {
    format!("[pools.php]\nservers = [\"{}\"]\n", fpm.server())
}

fn quoted(port: &Port) -> String {
    format!("\"{port}\"")
}

/// The same without scripts.
fn files_at(listen: &str, root: &Root, lines: &str) -> String {
    site(listen, root, lines).replace("preset = \"plain\"\n", "")
}

/// A site of files only, over TLS, with this certificate.
fn files(root: &Root, tls: &str) -> Cornac {
    Cornac::serving(|listen| files_at(&format!("\"{listen}\""), root, &format!("tls = {tls}")))
}

#[test]
fn php_is_told_of_tls_and_a_client_cannot_pretend_it() {
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let (plain, secure) = (free_port(), free_port());
    let listen = format!("{{ address = \"{plain}\", tls = false }}, \"{secure}\"");
    let text = pool(&fpm) + &site(&listen, &root, "tls = \"self-signed\"");
    let (to, cornac) = (secure.address(), Cornac::run(&text, vec![plain, secure]));
    let pretended: Vec<String> =
        ["HTTPS", "Ssl-Client-Verify", "SSL_CLIENT_VERIFY", "Ssl-Protocol", "Request-Scheme"]
            .iter()
            .flat_map(|name| ["-H".to_owned(), format!("{name}: evil")])
            .collect();
    let pretended: Vec<&str> = pretended.iter().map(String::as_str).collect();
    for (version, protocol, more) in
        [("1.1", "HTTP/1.1", "--http1.1"), ("2", "HTTP/2.0", "--http2"), ("1.1", "HTTP/1.1", "--no-alpn")]
    {
        let reply = curl(to, "https://localhost:PORT/e.php", &[&["-k", more][..], &pretended].concat());
        assert_eq!((reply.status, &*reply.version), (200, version), "{reply:?}");
        let params = &reply.json()["params"];
        for (name, value) in [
            ("HTTPS", "on"),
            ("REQUEST_SCHEME", "https"),
            ("SERVER_PROTOCOL", protocol),
            ("SSL_PROTOCOL", "TLSv1.3"),
            ("SSL_CIPHER", "TLS_AES_256_GCM_SHA384"),
            ("HTTP_HOST", &format!("localhost:{}", to.port())),
            ("SERVER_PORT", &to.port().to_string()),
        ] {
            assert_eq!(params[name], value, "{name} over {more}");
        }
        assert!(params["SSL_CLIENT_VERIFY"].is_null(), "nobody was asked");
    }
    let reply = curl(to, "https://localhost:PORT/e.php", &["-k", "--tls-max", "1.2"]);
    assert_eq!(reply.json()["params"]["SSL_PROTOCOL"], "TLSv1.2");
    assert_eq!(reply.json()["params"]["SSL_CIPHER"], "ECDHE-ECDSA-AES256-GCM-SHA384");
    let params = cornac.get("/e.php").json()["params"].clone();
    assert_eq!(params["REQUEST_SCHEME"], "http");
    assert!(params["HTTPS"].is_null() && params["SSL_PROTOCOL"].is_null());
}

#[test]
fn older_versions_of_tls_are_refused() {
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root, "\"self-signed\"");
    let reply =
        curl(cornac.address(), "https://localhost:PORT/a.txt", &["-k", "--tlsv1.0", "--tls-max", "1.1"]);
    assert_eq!(reply.status, 0, "{reply:?}");
}

#[test]
fn each_name_gets_its_own_certificate() {
    let (authority, scratch) = (Authority::new("Test"), Scratch::new());
    let root = Root::new().file("a.txt", "a");
    let [first, exact, wild] =
        [["first.test"], ["a.example.com"], ["*.example.com"]].map(|names| authority.signs(&names));
    let port = free_port();
    let text = [
        ("first", &first, "first.test"),
        ("exact", &exact, "a.example.com"),
        ("wild", &wild, "*.example.com"),
    ]
    .map(|(name, pair, host)| {
        files_at(&quoted(&port), &root, &format!("names = [\"{host}\"]\ntls = {}", pair.toml(&scratch, name)))
    })
    .concat();
    let (to, _cornac) = (port.address(), Cornac::run(&text, vec![port]));
    let trust = Trust::of(&authority);
    for (name, pair) in [("first.test", &first), ("a.example.com", &exact), ("b.example.com", &wild)] {
        let mut tls = trust.connect(to, name).expect("a certificate for this name");
        assert_eq!(tls.certificate(), pair.der, "{name}");
        assert!(tls.get(name, "/a.txt").starts_with("HTTP/1.1 200 "));
    }
    let error = trust.connect(to, "unknown.test").err().expect("the first site's is for another name");
    assert!(error.to_string().contains("first.test"), "{error}");
}

#[test]
fn of_several_certificates_the_one_for_the_name_is_served() {
    let (authority, scratch) = (Authority::new("Test"), Scratch::new());
    let [one, two] = [["one.test"], ["*.two.test"]].map(|names| authority.signs(&names));
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root, &format!("[{}, {}]", one.toml(&scratch, "one"), two.toml(&scratch, "two")));
    let trust = Trust::of(&authority);
    for (name, pair) in [("one.test", &one), ("x.two.test", &two)] {
        let tls = trust.connect(cornac.address(), name).expect("a certificate for this name");
        assert_eq!(tls.certificate(), pair.der, "{name}");
    }
}

#[test]
fn sessions_are_resumed_also_after_a_reload() {
    let (authority, scratch) = (Authority::new("Test"), Scratch::new());
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root, &authority.signs(&["a.test"]).toml(&scratch, "a"));
    let trust = Trust::of(&authority);
    let resumed = || {
        let mut tls = trust.connect(cornac.address(), "a.test").expect("a handshake");
        // The tickets of TLS 1.3 come with the first reply.
        assert!(tls.get("a.test", "/a.txt").starts_with("HTTP/1.1 200 "));
        tls.is_resumed()
    };
    assert_eq!([resumed(), resumed()], [false, true]);
    cornac.signal(Signal::HUP);
    cornac.wait_for_log("nothing has changed");
    assert!(resumed(), "the keys of the tickets live on");
}

#[test]
fn a_renewed_certificate_is_served_without_dropping_a_connection() {
    let (authority, scratch) = (Authority::new("Test"), Scratch::new());
    let [old, new] = [["a.test"]; 2].map(|names| authority.signs(&names));
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root, &old.toml(&scratch, "a"));
    let shown =
        || Trust::of(&authority).connect(cornac.address(), "a.test").expect("a handshake").certificate();
    let mut kept = Trust::of(&authority).connect(cornac.address(), "a.test").expect("a handshake");
    assert_eq!(kept.certificate(), old.der);
    // The half of a renewal: for the moment, or for ever if whoever renews has made a mistake.
    scratch.write("a.crt", &new.cert);
    cornac.wait_for_log("a.key is not the key of the certificate in");
    assert_eq!(shown(), old.der, "what was served before is served on");
    scratch.write("a.key", &new.key);
    cornac.wait_for_log("a.crt has changed: served from now on");
    assert_eq!(shown(), new.der);
    assert!(kept.get("a.test", "/a.txt").starts_with("HTTP/1.1 200 "), "the connection goes on");
}

#[test]
fn plain_http_on_a_tls_port_is_told_so_in_nginx_s_words() {
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root, "\"self-signed\"");
    let reply = Connection::open(cornac.address()).get("/a.txt");
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("The plain HTTP request was sent to HTTPS port"), "{}", reply.text());
}

#[test]
fn who_comes_in_clear_text_is_sent_on_and_told_to_remember() {
    let root = Root::new().file("a.txt", "a").file(".well-known/acme-challenge/token", "proof");
    let (plain, secure) = (free_port(), free_port());
    let listen = format!("{{ address = \"{plain}\", tls = false }}, \"{secure}\"");
    let lines = "tls = \"self-signed\"\nhttps = { hsts = \"30d\", subdomains = true }";
    let (to, cornac) = (secure.address(), Cornac::run(&files_at(&listen, &root, lines), vec![plain, secure]));
    let mut client = Connection::open(cornac.address());
    for (method, status) in [("GET", 301), ("POST", 308)] {
        client.send(format!(
            "{method} /a.txt?x=%0d%0aY:z HTTP/1.1\r\nHost: shop.test:8080\r\nContent-Length: 0\r\n\r\n"
        ));
        let reply = client.response();
        assert_eq!(reply.status, status);
        let location = format!("https://shop.test:{}/a.txt?x=%0d%0aY:z", to.port());
        assert_eq!(reply.header("location"), Some(&*location));
        assert_eq!(
            reply.header("strict-transport-security"),
            None,
            "not where anybody could have written it"
        );
    }
    assert_eq!(client.get("/.well-known/acme-challenge/token").text(), "proof");
    for target in ["a.txt", "missing"] {
        let reply = curl(to, &format!("https://localhost:PORT/{target}"), &["-k"]);
        assert_eq!(
            reply.header("strict-transport-security"),
            Some("max-age=2592000; includesubdomains"),
            "{reply:?}"
        );
    }
}

/// A client's certificate with every kind of thing in its name.
fn person(authority: &Authority, name: &str) -> Pair {
    authority.signs_with(&[], |params| {
        params.serial_number = Some(SerialNumber::from(vec![0xfa, 0x0e, 0x10]));
        let dn = &mut params.distinguished_name;
        dn.push(DnType::CountryName, "DE");
        dn.push(DnType::OrganizationName, "Müller, Söhne + Co");
        dn.push(DnType::CommonName, name);
        dn.push(DnType::OrganizationalUnitName, " a;b=\"c\" ");
        let email = Ia5String::try_from("ann@example.com").expect("ASCII");
        dn.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), DnValue::Ia5String(email));
    })
}

#[test]
fn a_client_s_certificate_reaches_php_as_nginx_tells_it() {
    let (authority, clients, scratch) = (Authority::new("Test"), Authority::new("Clients"), Scratch::new());
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let (cert, key) = authority.signs(&["localhost"]).write(&scratch, "server");
    let ca = scratch.write("ca.crt", &clients.pem);
    let (own_cert, own_key) = person(&clients, "Ann # One").write(&scratch, "ann");
    let secure = free_port();
    let tls = format!(
        "tls = {{ cert = \"{}\", key = \"{}\", verify = \"optional\", ca = \"{}\" }}",
        cert.display(),
        key.display(),
        ca.display()
    );
    let to = secure.address();
    let _cornac = Cornac::run(&(pool(&fpm) + &site(&quoted(&secure), &root, &tls)), vec![secure]);
    let names = [
        ("SSL_PROTOCOL", "$ssl_protocol"),
        ("SSL_CIPHER", "$ssl_cipher"),
        ("SSL_CLIENT_VERIFY", "$ssl_client_verify"),
        ("SSL_CLIENT_S_DN", "$ssl_client_s_dn"),
        ("SSL_CLIENT_I_DN", "$ssl_client_i_dn"),
        ("SSL_CLIENT_SERIAL", "$ssl_client_serial"),
        ("SSL_CLIENT_FINGERPRINT", "$ssl_client_fingerprint"),
    ];
    let port = free_port();
    let params: String =
        names.iter().map(|(name, value)| format!("fastcgi_param {name} {value} if_not_empty;\n")).collect();
    let (theirs, nginx) = (port.address(), port);
    let _nginx = Nginx::start(&format!(
        "listen {nginx} ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; ssl_verify_client optional;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n\
         root {}; location / {{ {FASTCGI_PARAMS}{params} fastcgi_param SCRIPT_FILENAME $document_root$uri; fastcgi_pass {}; }}",
        cert.display(),
        key.display(),
        ca.display(),
        root.path().display(),
        fpm.server(),
    ));
    let (cert, key) = (own_cert.to_str().expect("UTF-8"), own_key.to_str().expect("UTF-8"));
    for args in [&["-k"][..], &["-k", "--cert", cert, "--key", key]] {
        let told = |to| curl(to, "https://localhost:PORT/e.php", args).json()["params"].clone();
        let (ours, theirs) = (told(to), told(theirs));
        for (name, _) in names {
            assert_eq!(ours[name], theirs[name], "{name} {args:?}");
        }
        assert_eq!(ours["SSL_CLIENT_VERIFY"], if args.len() > 1 { "SUCCESS" } else { "NONE" });
    }
}

#[test]
fn a_site_that_requires_a_certificate_serves_nobody_without_one_on_any_way() {
    let (authority, clients, scratch) = (Authority::new("Test"), Authority::new("Clients"), Scratch::new());
    let (fpm, root) = (Fpm::start("a"), Root::new().script("e.php"));
    let ca = scratch.write("ca.crt", &clients.pem);
    let guarded = authority.signs(&["guarded.test"]).toml(&scratch, "guarded");
    let guarded = guarded.replace(" }", &format!(", verify = \"on\", ca = \"{}\" }}", ca.display()));
    let open = authority.signs(&["open.test"]).toml(&scratch, "open");
    let port = free_port();
    let text = pool(&fpm)
        + &site(&quoted(&port), &root, &format!("names = [\"open.test\"]\ntls = {open}"))
        + &site(&quoted(&port), &root, &format!("names = [\"guarded.test\"]\ntls = {guarded}"));
    let (to, _cornac) = (port.address(), Cornac::run(&text, vec![port]));
    let get = |trust: &Trust, name: &str, host: &str| {
        let reply = trust.connect(to, name)?.try_get(host, "/e.php")?;
        Ok::<_, std::io::Error>(reply)
    };
    let (nobody, ann) = (Trust::of(&authority), Trust::with(&authority, &person(&clients, "Ann")));
    let status = |reply: std::io::Result<String>| reply.expect("a reply")[9..12].to_owned();
    assert_eq!(status(get(&nobody, "open.test", "open.test")), "200");
    assert_eq!(fpm.count("runs"), 1);
    assert_eq!(status(get(&nobody, "guarded.test", "guarded.test")), "400");
    assert_eq!(status(get(&nobody, "open.test", "guarded.test")), "421", "by the other site's handshake");
    assert_eq!(status(get(&ann, "open.test", "guarded.test")), "421");
    let stranger = Trust::with(&authority, &person(&Authority::new("Others"), "Ann"));
    assert!(get(&stranger, "guarded.test", "guarded.test").is_err(), "signed by somebody else");
    assert_eq!(fpm.count("runs"), 1, "php has run for none of them");
    let reply = get(&ann, "guarded.test", "guarded.test").expect("a reply");
    assert!(reply.contains("\"SSL_CLIENT_VERIFY\":\"SUCCESS\"") && reply.contains("CN=Ann"), "{reply}");
    assert!(
        !get(&ann, "guarded.test", "open.test").expect("a reply").contains("CN=Ann"),
        "nobody asked there"
    );
    let again = ann.connect(to, "guarded.test").expect("a handshake");
    assert!(!again.is_resumed(), "a certificate is checked each time");
}

#[test]
fn handshakes_that_go_nowhere_keep_nobody_waiting() {
    let root = Root::new().file("a.txt", "a");
    let cornac = files(&root, "\"self-signed\"");
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];
    let stuck: Vec<_> = (0..100)
        .map(|count| {
            let mut stream = TcpStream::connect(cornac.address()).expect("it listens");
            stream.write_all(&hello[..count % hello.len()]).expect("connected");
            stream
        })
        .collect();
    assert_eq!(curl(cornac.address(), "https://localhost:PORT/a.txt", &["-k"]).status, 200);
    // What is no handshake at all ends its own connection only.
    for junk in [&b"\x16\x03\x01\x00\x05junk!"[..], b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x00\x02", b"\x00"]
    {
        let mut stream = TcpStream::connect(cornac.address()).expect("it listens");
        stream.write_all(junk).expect("connected");
        stream.shutdown(std::net::Shutdown::Write).expect("connected");
        stream.read_to_end(&mut vec![]).expect("it is closed");
    }
    assert_eq!(curl(cornac.address(), "https://localhost:PORT/a.txt", &["-k"]).status, 200);
    drop(stuck);
}
