//! Between two requests: nothing is kept of a connection but its socket, its timer and its place among the idle ones. What hyper
//! needs to talk over it, some 20 KB of buffers, is there again when the client says something.
//!
//! A connection is parked only after half a second of silence, so a busy client never pays for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio_io_timeout::TimeoutStream;

use super::linger::{Lingering, Stream};
use super::lobby::Lobby;
use super::notes::Notes;
use super::patience::Patience;

/// A client's stream, as hyper gets it and gives it back.
pub(super) type Line<S> = Pin<Box<TimeoutStream<Lingering<S>>>>;

/// Waits for the client to say something; `false`: it does not, and the connection should be closed.
pub(super) async fn speaks<S: Stream>(
    line: &Line<S>,
    notes: &Notes,
    lobby: &Lobby,
    patience: &mut Patience<'_>,
) -> bool {
    notes.parked(true);
    patience.parks();
    let mut seat = None;
    let speaks = poll_fn(|cx| {
        if line.get_ref().poll_readable(cx).is_ready() {
            return Poll::Ready(true);
        }
        let dismissed = match &seat {
            None => {
                seat = Some(lobby.sits(cx.waker().clone()));
                false
            }
            Some(seat) => seat.is_gone(),
        };
        match dismissed || patience.poll_parked(cx).is_ready() {
            true => Poll::Ready(false),
            false => Poll::Pending,
        }
    })
    .await;
    if speaks {
        notes.parked(false);
    }
    speaks
}
