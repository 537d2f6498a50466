//! Addresses: where a pool's server listens, and where a site does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::model::{EndpointSpec, Listen};
use super::text::Text;

/// Linux' `sun_path`, with its closing NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// `"host:port"`, `"[::1]:9000"` or `"unix:/path"`.
pub(super) fn server(text: &Text<'_>, base: &Path) -> Option<EndpointSpec> {
    if let Some(path) = unix(text, base) {
        return path.map(EndpointSpec::Unix);
    }
    if let Some(scheme_end) = text.find("://") {
        let hint = "write host:port or unix:/path; the protocol is the pool's `protocol`";
        text.mistake_in(0..scheme_end + 3, "an address has no scheme here", hint);
        return None;
    }
    let Some((host, port, at)) = split_port(text) else {
        let hint = match text.parse::<Ipv6Addr>() {
            Ok(_) => format!("write \"[{}]:9000\"", text.value),
            Err(_) if text.is_empty() => "write \"127.0.0.1:9000\"".to_owned(),
            Err(_) => format!("write \"{}:9000\"", text.trim_end_matches(':')),
        };
        text.mistake("the port is missing", hint);
        return None;
    };
    let port = read_port(text, port, at);
    Some(EndpointSpec::Tcp { host: read_host(text, host)?, port: port? })
}

/// `"0.0.0.0:8080"`, `"[::]:8080"`, `":8080"`, `"8080"`, `"*:8080"` or `"unix:/path"`.
pub(super) fn listen(text: &Text<'_>, base: &Path) -> Option<Listen> {
    if let Some(path) = unix(text, base) {
        return path.map(Listen::Unix);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return any_address(read_port(text, text.value, 0)?);
    }
    let Some((host, port, at)) = split_port(text) else {
        text.mistake("the port is missing", "write \"0.0.0.0:8080\", \":8080\" or \"unix:/run/cornac.sock\"");
        return None;
    };
    let port = read_port(text, port, at)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match (host, inner.parse::<IpAddr>()) {
        ("" | "*", _) => any_address(port),
        ("localhost", _) => Some(Listen::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))),
        (_, Ok(address)) => Some(Listen::Tcp(SocketAddr::new(address, port))),
        (_, Err(_)) => {
            let hint = "0.0.0.0 is every IPv4 address, [::] every IPv6 one; host names belong into `names`";
            text.mistake_in(0..host.len(), format_args!("'{host}' is not an address of this machine"), hint);
            None
        }
    }
}

/// nginx's `listen 8080`: every IPv4 address.
#[expect(clippy::unnecessary_wraps, reason = "reads as the end of every arm above")]
pub(super) fn any_address(port: u16) -> Option<Listen> {
    Some(Listen::Tcp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)))
}

/// `None`: it is not written as a unix socket; `Some(None)`: it is, and wrong.
fn unix(text: &Text<'_>, base: &Path) -> Option<Option<PathBuf>> {
    let Some(path) = text.strip_prefix("unix:") else {
        if !text.starts_with(['/', '.']) {
            return None;
        }
        text.mistake("a path is not an address", format!("write \"unix:{}\"", text.value));
        return Some(None);
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains('\0') {
        text.mistake("the path of the socket is missing", "write \"unix:/run/php-fpm.sock\"");
        return Some(None);
    }
    let path = base.join(path);
    if path.as_os_str().len() > LONGEST_SOCKET_PATH {
        let hint = "unix sockets have short paths: move it, for instance below /run";
        text.mistake(format_args!("the path is longer than {LONGEST_SOCKET_PATH} bytes"), hint);
        return Some(None);
    }
    Some(Some(path))
}

/// Host, port, and where the port begins.
fn split_port<'a>(text: &Text<'a>) -> Option<(&'a str, &'a str, usize)> {
    let (host, port) = text.value.rsplit_once(':')?;
    let several_colons = host.contains(':') && !host.ends_with(']');
    (!port.is_empty() && !several_colons).then_some((host, port, host.len() + 1))
}

/// The port that begins `at` this place of the text.
pub(super) fn read_port(text: &Text<'_>, port: &str, at: usize) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|&number| digits && number != 0);
    if number.is_none() {
        text.mistake_in(
            at..at + port.len(),
            format_args!("'{port}' is not a port"),
            "a port is a number from 1 to 65535",
        );
    }
    number
}

fn read_host(text: &Text<'_>, host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        if address.is_none() {
            text.mistake_in(
                0..host.len(),
                format_args!("'{host}' is not an IPv6 address"),
                "write \"[::1]:9000\"",
            );
        }
        return address.map(|address| address.to_string());
    }
    if host.is_empty() {
        text.mistake("the host is missing", format!("write \"127.0.0.1{}\"", text.value));
        return None;
    }
    let strange = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if let Some(at) = host.find(strange) {
        let c = host[at..].chars().next().unwrap_or_default();
        text.mistake_in(
            at..at + c.len_utf8(),
            format_args!("'{c}' cannot be in a host name"),
            "write host:port",
        );
        return None;
    }
    Some(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{model, model_in, project};

    #[test]
    fn every_spelling_of_a_listener() {
        let list = r#"[":80", "8080", "*:81", "localhost:82", "127.0.0.2:83", "[::]:84", "unix:/run/c.sock", { address = ":85", http2 = false }]"#;
        let site = model(&format!("[[sites]]\nlisten = {list}\nroot = \"public\"\n")).sites.remove(0);
        let tcp = |address: &str| Listen::Tcp(address.parse().unwrap());
        let expected = [
            tcp("0.0.0.0:80"),
            tcp("0.0.0.0:8080"),
            tcp("0.0.0.0:81"),
            tcp("127.0.0.1:82"),
            tcp("127.0.0.2:83"),
            tcp("[::]:84"),
            Listen::Unix("/run/c.sock".into()),
            tcp("0.0.0.0:85"),
        ];
        assert_eq!(site.listen, expected);
        for one in ["\"80\"", "80", "\":80\"", "\"*:80\"", "[80]", "{ address = \"80\" }"] {
            let site = model(&format!("[[sites]]\nlisten = {one}\nroot = \"public\"\n")).sites.remove(0);
            assert_eq!(site.listen, [tcp("0.0.0.0:80")], "{one}");
        }
    }

    #[test]
    fn a_relative_socket_lies_beside_the_file() {
        let project = project();
        let text = "[pools.php]\nservers = [\"unix:run/fpm.sock\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";
        let server = model_in(project.path(), text).pools.remove(0).servers.remove(0);
        assert_eq!(server.endpoint, EndpointSpec::Unix(project.path().join("run/fpm.sock")));
    }
}
