//! Clients that others wrote, over the whole way: openssl and its stapled answers, curl that takes what is compressed, php that calls its
//! own site, and a balancer that speaks of its client before TLS begins.

mod support;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::curl::curl;
use support::pki::Authority;
use support::tls::Trust;
use support::{Cornac, Fpm, Root, Scratch, wait_until};

fn openssl(folder: &Scratch, words: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.output().expect("openssl is installed: scripts/install-deps.sh tls");
    let (said, noise) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "openssl {words}: {noise}");
    said.into_owned()
}

/// `ca.crt`, `a.crt` and `a.key`, for a.test, by openssl's own authority.
fn certificates() -> Scratch {
    let folder = Scratch::new();
    folder.write("ext", "subjectAltName=DNS:a.test\n");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&folder, &format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=Test -days 2"));
    openssl(&folder, &format!("req {key} -keyout a.key -out a.csr -subj /CN=a.test"));
    let by = "-CA ca.crt -CAkey ca.key -set_serial 4660 -days 2 -extfile ext";
    openssl(&folder, &format!("x509 -req -in a.csr {by} -out a.crt"));
    folder
}

/// The authority's answer about `a.crt`, in `a.ocsp`: by a name of its own, and then in one step.
fn answers(folder: &Scratch, status: &str) {
    folder.write("index.txt", format!("{status}\t1234\tunknown\t/CN=a.test\n"));
    let by = "-index index.txt -CA ca.crt -rsigner ca.crt -rkey ca.key -issuer ca.crt -ndays 1";
    openssl(folder, &format!("ocsp {by} -cert a.crt -respout new.ocsp"));
    fs::rename(folder.join("new.ocsp"), folder.join("a.ocsp")).expect("our own folder");
}

#[test]
fn what_the_authority_says_is_stapled_and_is_another_when_the_file_is() {
    let (folder, root) = (certificates(), Root::new().file("a.txt", "a file\n"));
    answers(&folder, "V\t351231235959Z\t");
    let at = |name: &str| folder.join(name).display().to_string();
    let cornac = Cornac::serving(|listen| {
        format!(
            "[[sites]]\nlisten = \"{listen}\"\nroot = \"{}\"\ntls = {{ cert = \"{}\", key = \"{}\", ocsp = \"{}\" }}\n",
            root.path().display(),
            at("a.crt"),
            at("a.key"),
            at("a.ocsp")
        )
    });
    let asks = |more: &str| {
        openssl(
            &folder,
            &format!("s_client -connect {} -servername a.test -CAfile ca.crt {more}", cornac.address()),
        )
    };
    let stapled = asks("-status");
    assert!(stapled.contains("OCSP Response Status: successful"), "{stapled}");
    assert!(stapled.contains("Cert Status: good"), "{stapled}");
    assert!(stapled.contains("Verify return code: 0 (ok)"), "{stapled}");
    assert!(!asks("").contains("OCSP"), "nothing for who does not ask");

    answers(&folder, "R\t351231235959Z\t250101000000Z");
    let revoked = || asks("-status").contains("Cert Status: revoked");
    assert!(wait_until(Duration::from_secs(30), revoked), "{}", cornac.log());
}

#[test]
fn a_proxy_header_of_the_second_version_stands_before_tls() {
    let (authority, folder) = (Authority::new("Test"), Scratch::new());
    let tls = authority.signs(&["a.test"]).toml(&folder, "a");
    let cornac = Cornac::serving(|listen| {
        format!(
            "[[sites]]\nlisten = {{ address = \"{listen}\", proxy_protocol = true }}\ntls = {tls}\n\
             trusted_proxies = [\"127.0.0.1\"]\n\
             routes = [{{ match = \"/\", return = {{ status = 200, body = \"$remote_addr $scheme\\n\" }} }}]\n"
        )
    });
    let header = |source: [u8; 4]| {
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let fixed = [0x21, 0x11, 0, 12];
        [&signature[..], &fixed, &source, &[127, 0, 0, 1], &4711_u16.to_be_bytes(), &443_u16.to_be_bytes()]
            .concat()
    };
    let ask = |said: &[u8]| {
        let mut stream = TcpStream::connect(cornac.address()).expect("it listens");
        stream.write_all(said).expect("there is room");
        Trust::of(&authority).over(stream, "a.test").map(|mut tls| tls.get("a.test", "/"))
    };
    for source in [[192, 0, 2, 7], [198, 51, 100, 9]] {
        let reply = ask(&header(source)).expect("a handshake behind the header");
        let expected = format!("{} https", SocketAddr::from((source, 0)).ip());
        assert!(reply.contains(&expected), "{reply}");
    }
    assert!(ask(b"").is_err(), "TLS without the header is no header");
}

#[test]
fn curl_unpacks_what_was_compressed_on_its_way_over_either_version() {
    let text =
        "<?php header('Content-Type: text/plain'); for ($n = 0; $n < 20000; $n++) { echo \"line $n\\n\"; }";
    let whole: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let root = Root::new().file("lines.php", text).file("lines.txt", &whole);
    let fpm = Fpm::start("a");
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = \"{listen}\"\nroot = \"{}\"\npreset = \"plain\"\n\
             tls = \"self-signed\"\n",
            fpm.server(),
            root.path().display()
        )
    });
    for version in ["--http1.1", "--http2"] {
        for target in ["lines.php", "lines.txt"] {
            let url = format!("https://localhost:PORT/{target}");
            let reply = curl(cornac.address(), &url, &["-k", version, "--compressed"]);
            assert_eq!(reply.status, 200, "{target} {version}: {}", reply.error);
            assert!(reply.header("content-encoding").is_some(), "{target} {version}: {}", reply.head);
            assert!(reply.body == whole, "{target} {version}: {} bytes", reply.body.len());
            let plain = curl(cornac.address(), &url, &["-k", version]);
            assert!(plain.header("content-encoding").is_none() && plain.body == whole, "{target} {version}");
        }
    }
}

/// php's own curl, as many an application calls itself: over TLS with HTTP/2, while the first request holds its worker.
#[test]
fn a_script_calls_its_own_site_over_tls_and_http_2() {
    let script = r"<?php
        if (isset($_GET['inner'])) { header('X-Inner: 1'); exit($_SERVER['SERVER_PROTOCOL'] . ' ' . file_get_contents('php://input')); }
        $curl = curl_init('https://a.test:' . $_SERVER['SERVER_PORT'] . '/self.php?inner=1');
        curl_setopt_array($curl, [
            CURLOPT_RESOLVE => ['a.test:' . $_SERVER['SERVER_PORT'] . ':127.0.0.1'],
            CURLOPT_CAINFO => $_GET['ca'],
            CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_2TLS,
            CURLOPT_POSTFIELDS => 'sent by php',
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 20,
        ]);
        $body = curl_exec($curl);
        echo json_encode(['body' => $body, 'error' => curl_error($curl), 'status' => curl_getinfo($curl, CURLINFO_HTTP_CODE)]);
    ";
    let (folder, root) = (certificates(), Root::new().file("self.php", script));
    let fpm = Fpm::builder("a").workers(2).start();
    let at = |name: &str| folder.join(name).display().to_string();
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = \"{listen}\"\nroot = \"{}\"\npreset = \"plain\"\n\
             tls = {{ cert = \"{}\", key = \"{}\" }}\n",
            fpm.server(),
            root.path().display(),
            at("a.crt"),
            at("a.key")
        )
    });
    let url = format!("https://a.test:PORT/self.php?ca={}", at("ca.crt"));
    for _ in 0..5 {
        let reply = curl(cornac.address(), &url, &["--cacert", &at("ca.crt"), "--http2"]);
        let told = reply.json();
        assert_eq!((&told["status"], &told["error"]), (&200.into(), &"".into()), "{told}");
        assert_eq!(told["body"], "HTTP/2.0 sent by php");
    }
}
