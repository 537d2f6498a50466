//! What the running process and its successor say to each other, over a pair of sockets of which the successor finds one end as its
//! standard input: the listening sockets go one way, one a message, and one word comes back when the successor serves.
//!
//! The sockets travel with the messages (SCM_RIGHTS), so no descriptor is left open over an exec by mistake.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::activation;
use crate::config::model::Listen;

/// Tells a process that it is a successor; its value is the version of what is said here.
pub(super) const VARIABLE: &str = "CORNAC_HANDOVER";
/// See [`VARIABLE`].
pub(super) const VERSION: &str = "1";

const READY: &[u8] = b"ready";
/// After the last socket.
const END: &[u8] = b"end";
/// The length of a message, filled up with zeros. The longest address, the path of a unix socket, has 107 bytes.
const LENGTH: usize = 256;

/// Behind the address and its NUL: the socket's file is a service manager's, and stays when nobody listens any more. (A process that does
/// not know of it reads the address alone.)
const ANOTHERS: u8 = b'k';

/// A listening socket on its way from process to process.
#[derive(Debug)]
pub(super) struct Handed<S> {
    /// As the configuration writes it.
    pub(super) address: String,
    pub(super) socket: S,
    /// Whether its file, if it has one, is cornac's to remove.
    pub(super) ours: bool,
}

/// What a successor got, and where it says that it is ready.
#[derive(Debug)]
pub(super) struct Inheritance {
    sockets: Vec<Handed<OwnedFd>>,
    predecessor: Option<UnixStream>,
    /// They came from systemd.
    activated: bool,
}

/// Hands the sockets on.
pub(super) fn give<'a>(
    to: &UnixStream,
    sockets: impl Iterator<Item = Handed<BorrowedFd<'a>>>,
) -> io::Result<()> {
    for Handed { address, socket, ours } in sockets {
        let mut text = address.into_bytes();
        if !ours {
            text.extend([0, ANOTHERS]);
        }
        send(to, &text, Some(socket))?;
    }
    send(to, END, None)
}

fn send(to: &UnixStream, text: &[u8], socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut message = [0; LENGTH];
    let room = message.get_mut(..text.len()).ok_or_else(|| io::Error::other("an address is too long"))?;
    room.copy_from_slice(text);
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets: Vec<_> = socket.into_iter().collect();
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("no room for a socket"));
    }
    match sendmsg(to, &[IoSlice::new(&message)], &mut control, SendFlags::empty())? {
        LENGTH => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::WriteZero)),
    }
}

/// Whether a successor's word is that it serves.
pub(super) fn is_ready(word: &[u8]) -> bool {
    word == READY
}

impl Inheritance {
    /// Of systemd, if it listens for us.
    fn activated() -> Self {
        let passed = activation::sockets().into_iter();
        let sockets: Vec<_> =
            passed.map(|(address, socket)| Handed { address, socket, ours: false }).collect();
        Self { activated: !sockets.is_empty(), sockets, predecessor: None }
    }

    /// What a predecessor hands on, if there is one, or systemd.
    ///
    /// # Errors
    /// There is one that speaks otherwise.
    pub(super) fn receive() -> io::Result<Self> {
        match std::env::var(VARIABLE) {
            Err(_) => return Ok(Self::activated()),
            Ok(version) if version == VERSION => {}
            Ok(version) => return Err(io::Error::other(format!("{VARIABLE}={version} is not known here"))),
        }
        let predecessor = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let sockets = receive(&predecessor)?;
        // What is started from here must not find it, and its end must be seen when we end.
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(Self { sockets, predecessor: Some(predecessor), activated: false })
    }

    /// The socket of that address, if it was handed on.
    pub(super) fn take(&mut self, listen: &Listen) -> Option<Handed<OwnedFd>> {
        let place = self.sockets.iter().position(|known| known.address == listen.to_string())?;
        Some(self.sockets.swap_remove(place))
    }

    /// Clients are served here from now on. What was handed on and is not wanted any more is closed: the addresses whose files are ours to
    /// remove are returned.
    pub(super) fn is_served(&mut self) -> io::Result<Vec<String>> {
        let unwanted = std::mem::take(&mut self.sockets);
        if self.activated {
            for Handed { address, .. } in &unwanted {
                tracing::warn!("systemd listens on {address}, but no site does: it is closed here");
            }
        }
        if let Some(mut predecessor) = self.predecessor.take() {
            predecessor.write_all(READY)?;
        }
        Ok(unwanted.into_iter().filter(|handed| handed.ours).map(|handed| handed.address).collect())
    }
}

fn receive(from: &UnixStream) -> io::Result<Vec<Handed<OwnedFd>>> {
    let mut sockets = Vec::new();
    loop {
        let mut message = [0; LENGTH];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(from, &mut [IoSliceMut::new(&mut message)], &mut control, RecvFlags::WAITALL)?;
        let length = message.iter().position(|&byte| byte == 0).unwrap_or(LENGTH);
        let address = String::from_utf8_lossy(&message[..length]).into_owned();
        let ours = message.get(length + 1) != Some(&ANOTHERS);
        let socket = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        match socket {
            Some(socket) if got.bytes == LENGTH => {
                fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
                sockets.push(Handed { address, socket, ours });
            }
            None if address.as_bytes() == END => return Ok(sockets),
            _ => return Err(io::Error::other("the sockets did not arrive")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_that_is_handed_on_is_the_same_with_those_who_wait_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let _waits = TcpStream::connect(address).expect("it listens");
        let (mut here, there) = UnixStream::pair().expect("a pair");
        let listen = Listen::Tcp(address);
        let address = listen.to_string();
        let copy = listener.try_clone().expect("a descriptor more");
        let handed = [
            Handed { address: address.clone(), socket: listener.as_fd(), ours: true },
            Handed { address: "unix:/of/systemd".to_owned(), socket: copy.as_fd(), ours: false },
        ];
        give(&here, handed.into_iter()).expect("given");
        drop((listener, copy));
        let sockets = receive(&there).expect("received");
        let mut heir = Inheritance { sockets, predecessor: Some(there), activated: false };
        assert!(heir.take(&Listen::Unix("/other".into())).is_none());
        let handed = heir.take(&listen).expect("it was given");
        assert!(handed.ours);
        let socket = TcpListener::from(handed.socket);
        assert!(heir.take(&listen).is_none(), "each once");
        socket.accept().expect("who came to the old one");
        assert!(
            heir.is_served().expect("the other end is there").is_empty(),
            "its file is not ours to remove"
        );
        let mut word = [0; 16];
        let length = here.read(&mut word).expect("a word");
        assert!(is_ready(&word[..length]));
    }

    #[test]
    fn a_predecessor_that_ends_in_the_middle_is_an_error() {
        let (here, there) = UnixStream::pair().expect("a pair");
        drop(here);
        assert!(receive(&there).is_err());
    }
}
