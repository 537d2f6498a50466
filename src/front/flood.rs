//! Clients of HTTP/2 that keep a server busy without asking it for anything: floods of PING, SETTINGS, resets, priorities, window
//! updates and empty frames, each of which costs them less than us (CVE-2019-9512 and its kin, CVE-2023-44487).
//!
//! Frames are counted as they come in: what only costs is owed, what asks or brings something pays, as do the bytes of replies. h2
//! bounds what it keeps in memory; this bounds its work.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::notes::Notes;

const PREFACE: usize = 24;
const HEAD: usize = 9;

/// As many may be owed in so long a time. Browsers owe a dozen.
const MOST: u32 = 2_000;
const TIME: Duration = Duration::from_secs(10);
/// For each so many bytes of a reply clients may open windows, of the stream and of the connection.
const BYTES_PER_FRAME: usize = 4 * 1024;

/// A client's stream, whose frames are counted.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    ledger: Ledger,
}

#[derive(Debug)]
struct Ledger {
    /// Bytes that are no head: of the preface, of a frame's payload.
    skip: usize,
    head: [u8; HEAD],
    filled: usize,
    owed: u32,
    since: Instant,
    /// Written since the last that was paid for.
    written: usize,
    notes: Notes,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, notes: Notes) -> Self {
        let (skip, head, since) = (PREFACE, [0; HEAD], Instant::now());
        let ledger = Ledger { skip, head, filled: 0, owed: 0, since, written: 0, notes };
        Self { stream, ledger }
    }
}

impl Ledger {
    /// Whether the client owes too much.
    fn takes(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                (self.skip, bytes) = (self.skip - passed, &bytes[passed..]);
                continue;
            }
            let wanted = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + wanted].copy_from_slice(&bytes[..wanted]);
            (self.filled, bytes) = (self.filled + wanted, &bytes[wanted..]);
            if self.filled == HEAD {
                self.filled = 0;
                self.skip = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]) as usize;
                self.counts(self.head[3]);
            }
        }
        self.is_too_much()
    }

    fn counts(&mut self, kind: u8) {
        match kind {
            // DATA and HEADERS; empty ones bring nothing, but for the end of a body, which comes once.
            0 | 1 if self.skip > 0 => self.owed = self.owed.saturating_sub(1),
            // RST_STREAM takes back what HEADERS paid.
            3 => self.owed += 2,
            _ => self.owed += 1,
        }
    }

    /// The clock is looked at only when there is a reason to.
    fn is_too_much(&mut self) -> bool {
        if self.owed <= MOST {
            return false;
        }
        let now = Instant::now();
        let too_fast = now.duration_since(self.since) < TIME;
        (self.owed, self.since) = (0, now);
        too_fast
    }

    fn sent(&mut self, bytes: usize) {
        self.written += bytes;
        let paid = (self.written / BYTES_PER_FRAME) as u32;
        self.written %= BYTES_PER_FRAME;
        self.owed = self.owed.saturating_sub(paid);
        if paid > 0 {
            self.notes.took_some();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        match self.ledger.takes(&buffer.filled()[before..]) {
            true => Poll::Ready(Err(io::Error::other("a flood of frames that ask for nothing"))),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.ledger.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.ledger.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Counted::new((), Notes::default()).ledger;
        assert!(!ledger.takes(&[b'P'; PREFACE]));
        ledger
    }

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        bytes.resize(HEAD + usize::from(length), 0xff);
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_end_it_and_however_they_are_cut() {
        for cut in [1, 2, 9, 13, 1000] {
            for (kind, length) in [(6, 8), (4, 0), (2, 5), (8, 4), (9, 0), (0, 0), (77, 3)] {
                let mut ledger = ledger();
                let flood = frame(kind, length).repeat(MOST as usize + 1);
                let ends: Vec<_> = flood.chunks(cut).map(|piece| ledger.takes(piece)).collect();
                assert_eq!(ends.iter().filter(|end| **end).count(), 1, "{kind} in pieces of {cut}");
                let at = ends.iter().position(|end| *end).expect("it ends") * cut;
                assert!(at + cut >= flood.len() - usize::from(length), "not before the last head");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_taken_back_at_once_end_it_and_requests_do_not() {
        let (get, reset) = (frame(1, 40), frame(3, 4));
        assert!(ledger().takes(&[&get[..], &reset].concat().repeat(MOST as usize + 1)));
        assert!(!ledger().takes(&get.repeat(10 * MOST as usize)));
    }

    #[tokio::test(start_paused = true)]
    async fn windows_are_opened_for_the_bytes_of_replies() {
        let mut ledger = ledger();
        for _ in 0..10 * MOST {
            ledger.sent(2 * BYTES_PER_FRAME);
            assert!(!ledger.takes(&frame(8, 4).repeat(2)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_time_owes_nothing() {
        let mut ledger = ledger();
        for _ in 0..5 {
            assert!(!ledger.takes(&frame(6, 8).repeat(MOST as usize)));
            tokio::time::advance(TIME).await;
        }
    }
}
