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
