//! `tls` of a site: its certificates, found wrong here rather than by its first client.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::certificates::{BadCertificate, CertificateFiles, Identity, Part, authorities};
use super::listeners::Written;
use super::model::{Certificate, Clients, Https, Tls};
use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const SELF_SIGNED: &str = "self-signed";
const HINT: &str = "tls = { cert = \"fullchain.pem\", key = \"privkey.pem\" }, a list of them, or tls = \"self-signed\" for development";
/// Who renews certificates does it weeks before.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads `tls`: one certificate, a list of them, or `"self-signed"`.
pub(super) fn read(site: &Table<'_>, base: &Path) -> Option<Tls> {
    let tls = site.get("tls").filter(|tls| !tls.is_false())?;
    if tls.is_list() {
        let certificates = read_list(tls, base);
        return (!certificates.is_empty()).then_some(Tls { certificates, clients: None });
    }
    if !tls.is_table() {
        let text = tls.text_or(", a table or a list of tables")?;
        if &*text != SELF_SIGNED {
            text.mistake(format_args!("unknown value '{}'", text.value), HINT);
        }
        return Some(Tls { certificates: vec![Certificate::SelfSigned], clients: None });
    }
    let table = tls.table()?;
    let clients = read_clients(&table, base);
    let certificates = match table.get("certificates") {
        Some(list) => read_list(list, base),
        None => read_certificate(&table, base).into_iter().collect(),
    };
    table.finish(&[]);
    Some(Tls { certificates, clients })
}

fn read_list(list: Node<'_>, base: &Path) -> Vec<Certificate> {
    let elements = list.list("a list of tables").unwrap_or_default();
    if elements.is_empty() && list.is_list() {
        list.mistake("the list is empty", HINT);
    }
    let read_one = |element: Node<'_>| {
        let table = element.table()?;
        let certificate = read_certificate(&table, base);
        table.finish(&[]);
        certificate
    };
    elements.into_iter().filter_map(read_one).collect()
}

fn read_certificate(table: &Table<'_>, base: &Path) -> Option<Certificate> {
    let hint = "{ cert = \"fullchain.pem\", key = \"privkey.pem\" }";
    let cert = table.required("cert", hint).and_then(Node::text);
    let key = table.required("key", hint).and_then(Node::text);
    let ocsp = table.get("ocsp").and_then(Node::text);
    let (cert, key) = (cert?, key?);
    let path = |text: &Text<'_>| values::path(base, text);
    let files = CertificateFiles { cert: path(&cert), key: path(&key), ocsp: ocsp.as_ref().map(path) };
    match files.load() {
        Ok(identity) => {
            warn_of_its_time(&cert, &files, &identity);
            Some(Certificate::Files(files, identity))
        }
        Err(BadCertificate { part, file, message, hint }) => {
            let text = match part {
                Part::Key => &key,
                Part::Ocsp => ocsp.as_ref().unwrap_or(&cert),
                Part::Cert | Part::Ca => &cert,
            };
            text.mistake(format_args!("{} {message}", file.display()), hint);
            None
        }
    }
}

/// No mistake: a site whose certificate has expired is better served than not.
fn warn_of_its_time(cert: &Text<'_>, files: &CertificateFiles, identity: &Identity) {
    let now = SystemTime::now();
    let date = |time| httpdate::fmt_http_date(time);
    let file = files.cert.display();
    if now > identity.not_after {
        let message = format!("{file} has expired: it was valid until {}", date(identity.not_after));
        cert.warning(message, "browsers refuse it; renew it and write it over the old one");
    } else if now < identity.not_before {
        let message = format!("{file} is not valid before {}", date(identity.not_before));
        cert.warning(message, "is this machine's clock right?");
    } else if now + SOON > identity.not_after {
        let message = format!("{file} expires on {}", date(identity.not_after));
        cert.warning(message, "renew it and write it over the old one: cornac sees that it has changed");
    }
}

/// `verify` and `ca`: nginx's `ssl_verify_client` and `ssl_client_certificate`.
fn read_clients(table: &Table<'_>, base: &Path) -> Option<Clients> {
    let choices = [("off", None), ("optional", Some(false)), ("on", Some(true))];
    let verify = table.get("verify");
    let required = verify.and_then(|verify| verify.choice(&choices)).flatten();
    let ca = table.get("ca").and_then(Node::text);
    let hint = "{ …, verify = \"on\", ca = \"clients.pem\" }";
    match (verify, required, &ca) {
        (Some(verify), Some(_), None) => verify.mistake("'ca' is missing", hint),
        (None, _, Some(ca)) => ca.mistake("nobody is checked against it without 'verify'", hint),
        _ => {}
    }
    let (ca, required) = (ca?, required?);
    let file = values::path(base, &ca);
    match authorities(&file, required) {
        Ok(clients) => Some(clients),
        Err(BadCertificate { message, hint, .. }) => {
            ca.mistake(format_args!("{} {message}", file.display()), hint);
            None
        }
    }
}

/// Certificates that nobody would see, and doors beside the one that is guarded.
pub(super) fn check_use(site: &Table<'_>, tls: Option<&Tls>, https: Option<&Https>, listen: &[Written]) {
    let secured = listen.iter().any(|written| written.tls);
    let redirects = https.is_some_and(|https| https.redirect);
    if let (Some(_), Some(key), false) = (tls, site.get("tls"), secured || listen.is_empty()) {
        key.mistake_at_key("tls: no listener of the site speaks TLS", "listen = [\":80\", \":443\"]");
    }
    let required = tls.and_then(|tls| tls.clients.as_ref()).is_some_and(|clients| clients.required);
    if let (Some(plain), true, false) =
        (listen.iter().find(|written| !written.tls), required && secured, redirects)
    {
        let message =
            format!("listen: {} lets clients in without a certificate, and verify is \"on\"", plain.listen);
        site.report.mistake(
            plain.span.clone(),
            message,
            "https = \"redirect\" sends them on to TLS; or remove it",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::config::model::Model;
    use crate::config::parse;
    use crate::config::testing::{mistakes_in, model_in, project};

    /// Writes `NAME.crt` and `NAME.key`, valid until the end of this year.
    fn write_pair(folder: &Path, name: &str, until: i32) {
        let mut params = CertificateParams::new(vec![format!("{name}.test")]).unwrap();
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(until, 2, 3));
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join(format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn with_pairs() -> tempfile::TempDir {
        let project = project();
        ["a", "b"].iter().for_each(|name| write_pair(project.path(), name, 2999));
        write_pair(project.path(), "old", 2021);
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let of_openssl = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        fs::write(project.path().join("encrypted.key"), encrypted).unwrap();
        fs::write(project.path().join("encrypted2.key"), of_openssl).unwrap();
        fs::write(
            project.path().join("damaged.crt"),
            "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        project
    }

    fn text(lines: &str) -> String {
        format!("[[sites]]\nlisten = [\":80\", \":443\"]\nroot = \"public\"\n{lines}\n")
    }

    #[test]
    fn a_pair_that_cannot_be_served_is_found_with_its_place_and_its_remedy() {
        let project = with_pairs();
        for (tls, expected) in [
            (
                r#"{ cert = "a.crt", key = "b.key" }"#,
                "4:31: key: BASE/b.key is not the key of the certificate in BASE/a.crt",
            ),
            (
                r#"{ cert = "a.key", key = "a.key" }"#,
                "4:16: cert: BASE/a.key holds a private key and no certificate [are cert and key swapped?]",
            ),
            (
                r#"{ cert = "a.crt", key = "a.crt" }"#,
                "4:31: key: BASE/a.crt holds a certificate and no private key [are cert and key swapped?]",
            ),
            (
                r#"{ cert = "no.crt", key = "a.key" }"#,
                "4:16: cert: BASE/no.crt does not exist [PEM: the server's certificate first",
            ),
            (r#"{ cert = "public", key = "a.key" }"#, "4:16: cert: BASE/public is a folder"),
            (r#"{ cert = "file.txt", key = "a.key" }"#, "4:16: cert: BASE/file.txt holds no certificate"),
            (r#"{ cert = "damaged.crt", key = "a.key" }"#, "4:16: cert: BASE/damaged.crt is damaged"),
            (
                r#"{ cert = "a.crt", key = "encrypted.key" }"#,
                "4:31: key: BASE/encrypted.key is encrypted with a password [write it without its password",
            ),
            (
                r#"{ cert = "a.crt", key = "encrypted2.key" }"#,
                "4:31: key: BASE/encrypted2.key is encrypted with a password",
            ),
            (r#"{ cert = "a.crt", key = "file.txt" }"#, "4:31: key: BASE/file.txt holds no private key"),
            (
                r#"{ cert = "a.crt", key = "a.key", ocsp = "file.txt" }"#,
                "4:47: ocsp: BASE/file.txt holds no OCSP response",
            ),
            (r#"{ cert = "a.crt" }"#, "4:7: 'key' is missing"),
            (r#"{ cert = "a.crt", key = "a.key", verify = "on" }"#, "4:49: verify: 'ca' is missing"),
            (
                r#"{ cert = "a.crt", key = "a.key", ca = "a.crt" }"#,
                "4:45: ca: nobody is checked against it without 'verify'",
            ),
            (
                r#"{ cert = "a.crt", key = "a.key", verify = "on", ca = "a.key" }"#,
                "4:60: ca: BASE/a.key holds a private key and no certificate",
            ),
            (
                r#"{ cert = "a.crt", key = "a.key", verify = "must", ca = "a.crt" }"#,
                "4:49: verify: unknown value 'must'",
            ),
            (r#""self"#, "4:7: tls: unknown value 'self'"),
            ("[]", "4:7: tls: the list is empty"),
            ("1", "4:7: tls: expected a string, a table or a list of tables, found an integer"),
        ] {
            let tls = if tls == "\"self" { "\"self\"" } else { tls };
            let mistakes = mistakes_in(project.path(), &text(&format!("tls = {tls}")));
            assert_eq!(mistakes.len(), 1, "{tls}: {mistakes:?}");
            assert!(mistakes[0].starts_with(expected), "{tls}: {mistakes:?}");
        }
    }

    #[test]
    fn an_expired_certificate_is_a_warning() {
        let project = with_pairs();
        let model = model_in(project.path(), &text(r#"tls = { cert = "old.crt", key = "old.key" }"#));
        let warnings = model.warnings.expect("a warning").to_string();
        assert!(
            warnings.contains("c.toml:4:16: warning: cert: ") && warnings.contains("old.crt has expired"),
            "{warnings}"
        );
        let model = model_in(project.path(), &text(r#"tls = { cert = "a.crt", key = "a.key" }"#));
        assert!(model.warnings.is_none());
    }

    fn spoken(model: &Model) -> Vec<(String, bool, bool)> {
        model.listeners.iter().map(|one| (one.listen.to_string(), one.tls, one.http2)).collect()
    }

    #[test]
    fn a_site_with_certificates_speaks_tls_but_on_port_80_and_on_unix_sockets() {
        let site = |listen: &str| {
            let text = format!("[[sites]]\nlisten = [{listen}]\nroot = \"public\"\ntls = \"self-signed\"\n");
            spoken(&model_in(project().path(), &text))
        };
        let one = |listen: &str, tls, http2| (listen.to_owned(), tls, http2);
        assert_eq!(
            site(r#"":80", ":443", "unix:/s", ":8443""#),
            [
                one("0.0.0.0:80", false, false),
                one("0.0.0.0:443", true, true),
                one("unix:/s", false, false),
                one("0.0.0.0:8443", true, true)
            ]
        );
        assert_eq!(
            site(
                r#"{ address = ":80", tls = true, http2 = false }, { address = ":81", tls = false, http2 = true }"#
            ),
            [one("0.0.0.0:80", true, false), one("0.0.0.0:81", false, true)]
        );
    }

    #[test]
    fn tls_and_clear_text_on_one_address_are_told_with_both_places() {
        let project = project();
        let two = |first: &str, second: &str| {
            let site = |name: &str, lines: &str| {
                format!("[[sites]]\nnames = [\"{name}\"]\nroot = \"public\"\n{lines}\n")
            };
            mistakes_in(project.path(), &(site("a", first) + &site("b", second)))
        };
        let secured = "listen = [\":443\"]\ntls = \"self-signed\"";
        let hint = "an address is spoken to in one way: give both sites certificates, or one of them another address";
        assert_eq!(
            two(secured, "listen = [\":443\"]"),
            [format!("9:11: listen: no TLS at 0.0.0.0:443, and TLS there on line 4 [{hint}]")]
        );
        assert_eq!(
            two(
                "listen = [{ address = \":81\", http2 = true }]",
                "listen = [{ address = \":81\", http2 = false }]"
            ),
            ["8:11: listen: no http2 at 0.0.0.0:81, and http2 there on line 4 [say the same twice]"]
        );
        assert_eq!(two(secured, secured), [""; 0]);
    }

    #[test]
    fn certificates_that_nobody_would_see_and_doors_beside_the_guarded_one_are_mistakes() {
        let project = with_pairs();
        let mistakes =
            |lines: &str| mistakes_in(project.path(), &format!("[[sites]]\nroot = \"public\"\n{lines}\n"));
        assert_eq!(
            mistakes("listen = [\":80\"]\ntls = \"self-signed\""),
            ["4:1: tls: no listener of the site speaks TLS [listen = [\":80\", \":443\"]]"]
        );
        let found = mistakes("listen = [{ address = \":81\", tls = true }]");
        assert!(found[0].starts_with("3:36: tls: the site has no certificate"), "{found:?}");
        let guarded = "listen = [\":80\", \":443\"]\ntls = { cert = \"a.crt\", key = \"a.key\", verify = \"on\", ca = \"a.crt\" }";
        let found = mistakes(guarded);
        assert!(
            found[0].starts_with("3:11: listen: 0.0.0.0:80 lets clients in without a certificate"),
            "{found:?}"
        );
        assert_eq!(mistakes(&format!("{guarded}\nhttps = \"redirect\"")), [""; 0]);
    }

    #[test]
    fn no_key_is_ever_printed() {
        let project = with_pairs();
        let key = fs::read_to_string(project.path().join("a.key")).unwrap();
        let secret = key.lines().nth(1).unwrap();
        let text = text(r#"tls = { cert = "a.crt", key = "a.key" }"#);
        let model = parse(&text, "c.toml", project.path()).unwrap();
        let printed = format!("{model:?}");
        assert!(printed.contains("a.key") && !printed.contains(secret) && !printed.contains("SigningKey"));
    }
}
