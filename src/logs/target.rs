//! Where lines can go, and how they are written there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::config::model::{LogTarget, Syslog};

/// Local use 7, informational (RFC 5424 §6.2.1), as nginx has it.
const PRIORITY: u8 = 23 * 8 + 6;

/// An open target.
#[derive(Debug)]
pub(super) enum Target {
    Stdout,
    Stderr,
    /// Appended to, with whole lines in each write, so that lines of several processes do not mix (POSIX, O_APPEND).
    File(File),
    /// The system's own: the address is looked up for each line, so that a syslog that starts again is found.
    Local(UnixDatagram, PathBuf),
    Remote(UdpSocket, String),
}

impl Target {
    /// `None` where nothing is to be written.
    pub(super) fn open(to: &LogTarget) -> io::Result<Option<Self>> {
        Ok(Some(match to {
            LogTarget::Off => return Ok(None),
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File(open_file(path)?),
            LogTarget::Syslog(Syslog::Unix(path)) => Self::Local(UnixDatagram::unbound()?, path.clone()),
            LogTarget::Syslog(Syslog::Udp(address)) => {
                let own: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(own)?;
                socket.connect(address)?;
                Self::Remote(socket, rustix::system::uname().nodename().to_string_lossy().into_owned())
            }
        }))
    }

    /// Writes lines, each with its end. How many were lost, and why.
    pub(super) fn write(&mut self, lines: &[Vec<u8>]) -> Result<(), (usize, io::Error)> {
        let all = |error| (lines.len(), error);
        match self {
            Self::Stdout => write_whole(&mut io::stdout().lock(), lines).map_err(all),
            Self::Stderr => write_whole(&mut io::stderr().lock(), lines).map_err(all),
            Self::File(file) => write_whole(file, lines).map_err(all),
            Self::Local(socket, path) => each(lines, |line| socket.send_to(&local(line), &*path)),
            Self::Remote(socket, host) => each(lines, |line| socket.send(&remote(line, host))),
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn write_whole(to: &mut impl Write, lines: &[Vec<u8>]) -> io::Result<()> {
    match lines {
        [line] => to.write_all(line)?,
        lines => to.write_all(&lines.concat())?,
    }
    to.flush()
}

fn each(
    lines: &[Vec<u8>],
    mut send: impl FnMut(&[u8]) -> io::Result<usize>,
) -> Result<(), (usize, io::Error)> {
    let failed: Vec<_> = lines.iter().filter_map(|line| send(line.trim_ascii_end()).err()).collect();
    let lost = failed.len();
    failed.into_iter().next().map_or(Ok(()), |first| Err((lost, first)))
}

/// What syslog(3) sends: without a host, which is this one.
fn local(line: &[u8]) -> Vec<u8> {
    let now = jiff::Zoned::now().strftime("%b %e %H:%M:%S");
    let pid = std::process::id();
    [format!("<{PRIORITY}>{now} cornac[{pid}]: ").as_bytes(), line].concat()
}

/// RFC 5424 §6.
fn remote(line: &[u8], host: &str) -> Vec<u8> {
    let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.6f%:z");
    let pid = std::process::id();
    [format!("<{PRIORITY}>1 {now} {host} cornac {pid} access - ").as_bytes(), line].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_datagram_of_syslogs_own_form() {
        let folder = tempfile::tempdir().expect("a temp dir");
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).expect("a fresh name");
        let mut target =
            Target::open(&LogTarget::Syslog(Syslog::Unix(path.clone()))).expect("opens").expect("on");
        let mut got = [0; 1024];
        let lines = [b"one\n".to_vec(), b"two\n".to_vec()];
        target.write(&lines).expect("somebody listens");
        let length = daemon.recv(&mut got).expect("a datagram");
        let text = String::from_utf8_lossy(&got[..length]).into_owned();
        let end = format!(" cornac[{}]: one", std::process::id());
        assert!(text.starts_with("<190>") && text.ends_with(&end), "{text}");
        drop(daemon);
        assert_eq!(target.write(&lines).expect_err("nobody listens").0, 2);
        std::fs::remove_file(&path).expect("its file");
        let daemon = UnixDatagram::bind(&path).expect("it starts again");
        target.write(&lines[..1]).expect("and is found");
        daemon.recv(&mut got).expect("a datagram");
    }

    #[test]
    fn over_udp_it_is_rfc_5424() {
        let daemon = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let to = Syslog::Udp(daemon.local_addr().expect("bound"));
        let mut target = Target::open(&LogTarget::Syslog(to)).expect("opens").expect("on");
        target.write(&[b"a line\n".to_vec()]).expect("sent");
        let mut got = [0; 1024];
        let length = daemon.recv(&mut got).expect("a datagram");
        let text = String::from_utf8_lossy(&got[..length]).into_owned();
        let words: Vec<_> = text.splitn(8, ' ').collect();
        assert_eq!(
            (words[0], words[3], words[5], words[6], words[7]),
            ("<190>1", "cornac", "access", "-", "a line")
        );
        assert!(words[1].parse::<jiff::Timestamp>().is_ok(), "{text}");
    }
}
