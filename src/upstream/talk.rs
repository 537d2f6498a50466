//! One exchange over one lease: writes the request while it reads the reply, and keeps the time.
//!
//! Full duplex, because a script may answer before it has read an upload (fpm-facts 5). What the bytes mean is
//! `fcgi::Exchange`'s; where the reply goes is `reply`'s; what to do about a fault is `cluster`'s.

use super::complaints::Complaints;
use super::lease::{Lease, Permit};
use super::lifeline::is_cut;
use super::outcome::Fault;
use super::request::{RequestBody, Upload, UploadError};
use crate::balance::{Connection as Origin, Failure, Seen};
use crate::config::model::Timeouts;
use crate::fcgi::{Event, Exchange, ReplyHead, RequestId, Verdict, Violation};
use bytes::Bytes;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// What php-fpm said next.
#[derive(Debug)]
pub(crate) enum Said {
    Head(Box<ReplyHead>),
    Body(Bytes),
    /// END_REQUEST: nothing comes after it.
    End,
}

#[derive(Debug)]
pub(crate) struct Talk {
    lease: Lease,
    exchange: Exchange,
    id: RequestId,
    upload: Upload,
    sending: Sending,
    complaints: Complaints,
    timeouts: Timeouts,
    /// When php-fpm had the whole request, until it answers.
    sent_at: Option<Instant>,
    heard_at: Instant,
    /// When the present silence has lasted too long, and which fault that is.
    deadline: (Instant, Fault),
    /// When all of it has.
    last_moment: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// There is something to send, and the socket or the client may take or give it.
    Going,
    Done,
    /// php-fpm takes no more; an answer may still come.
    Refused,
}

impl Talk {
    pub(crate) fn new(
        mut lease: Lease,
        exchange: Exchange,
        upload: Upload,
        complaints: Complaints,
        timeouts: Timeouts,
        last_moment: Option<Instant>,
    ) -> Box<Self> {
        lease.connection.carries(upload.size());
        let heard_at = lease.began();
        // Holds until something was sent, which sets it anew.
        let deadline = (heard_at + timeouts.connect + timeouts.first_byte, Fault::FirstByteTimeout);
        let id = upload.id();
        let sending = Sending::Going;
        Box::new(Self {
            lease,
            exchange,
            id,
            upload,
            sending,
            complaints,
            timeouts,
            sent_at: None,
            heard_at,
            deadline,
            last_moment,
        })
    }

    /// What php-fpm says next, while the request goes on being sent.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Said, Fault>> {
        loop {
            if let Some(said) = self.take_said()? {
                return Poll::Ready(Ok(said));
            }
            self.poll_send(cx)?;
            match self.lease.connection.poll_read(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.received(bytes.freeze()),
                Poll::Ready(Err(error)) if is_cut(&error) => return Poll::Ready(Err(self.cut())),
                Poll::Ready(_) => return Poll::Ready(Err(self.closed())),
                Poll::Pending => return self.poll_patience(cx).map(Err),
            }
        }
    }

    /// When php-fpm's latest bytes came.
    pub(crate) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// How long php-fpm may be silent in the middle of a reply.
    pub(crate) fn longest_silence(&self) -> Duration {
        self.timeouts.between_reads
    }

    /// Whether everything that has arrived is a whole reply that leaves the connection usable.
    fn may_be_reused(&self) -> bool {
        self.exchange.verdict() == Verdict::Reuse
    }

    /// Ends after [`Said::End`]: gives the worker back, with the connection if it may be used again.
    pub(crate) fn finish(self: Box<Self>) {
        if self.may_be_reused() {
            self.lease.finish(self.id, self.heard_at);
        }
    }

    /// What a fault means for sending the request again.
    pub(crate) fn seen(&self, fault: Fault) -> Seen {
        match fault {
            Fault::ClosedEarly if self.upload.nothing_sent() => Seen::NothingSent(self.lease.origin()),
            Fault::ClosedEarly => Seen::ClosedBeforeFirstByte(self.lease.origin()),
            // Another connection to the same host would be as good.
            Fault::HostGone => Seen::ClosedBeforeFirstByte(Origin::Fresh),
            Fault::FirstByteTimeout | Fault::UploadStalled => Seen::Silence,
            _ if self.exchange.first_byte_seen() => Seen::SomeReply,
            _ => Seen::Silence,
        }
    }

    /// Ends after a fault: tells the member's health what it is to blame for, closes the connection and returns the slot
    /// and the body, if that can still be sent from its beginning.
    pub(crate) fn fail(mut self: Box<Self>, fault: Fault) -> (Permit, Option<RequestBody>, Complaints) {
        let (stale, now) = (self.lease.origin() == Origin::Reused, Instant::now());
        if let (Fault::FirstByteTimeout, Some(sent_at)) = (fault, self.sent_at) {
            self.lease.silent_for(sent_at.elapsed(), now);
        }
        let failure = match fault {
            // It is the script that does not answer.
            Fault::FirstByteTimeout | Fault::UploadStalled
                if self.lease.member().spoke_lately(self.lease.began(), now) =>
            {
                None
            }
            Fault::ClosedEarly if !stale => Some(Failure::ClosedEarly),
            Fault::FirstByteTimeout | Fault::UploadStalled => Some(Failure::Silent),
            Fault::HostGone => Some(Failure::Unreachable),
            Fault::Garbage(violation) if blames_the_member(violation) => Some(Failure::Garbage),
            _ => None,
        };
        if let Some(failure) = failure {
            self.lease.permit().failed(failure);
        }
        (self.lease.into_permit(), self.upload.reclaim(), self.complaints)
    }

    fn take_said(&mut self) -> Result<Option<Said>, Fault> {
        while let Some(event) = self.exchange.next_event().map_err(Fault::Garbage)? {
            match event {
                Event::Head(head) => {
                    self.lease.permit().succeeded();
                    return Ok(Some(Said::Head(head)));
                }
                Event::Body(bytes) => return Ok(Some(Said::Body(bytes))),
                Event::Stderr(text) => {
                    self.complaints.log(&text, self.lease.pool(), self.lease.member().name())
                }
                Event::End(_) => return Ok(Some(Said::End)),
            }
        }
        Ok(None)
    }

    fn received(&mut self, bytes: Bytes) {
        self.heard_at = Instant::now();
        self.lease.heard(self.heard_at);
        if let Some(sent_at) = self.sent_at.take() {
            self.lease.answered(self.heard_at - sent_at, self.heard_at);
        }
        self.deadline = (self.heard_at + self.timeouts.between_reads, Fault::Stalled);
        self.exchange.receive(bytes);
    }

    fn closed(&mut self) -> Fault {
        self.exchange.closed();
        if self.exchange.first_byte_seen() { Fault::Truncated } else { Fault::ClosedEarly }
    }

    /// The host at the other end is gone.
    fn cut(&self) -> Fault {
        if self.exchange.first_byte_seen() { Fault::Stalled } else { Fault::HostGone }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.sending != Sending::Going {
            return Ok(());
        }
        let before = self.upload.sent();
        let connection = &mut self.lease.connection;
        match self.upload.poll_send(|slices, cx| connection.poll_write(slices, cx), cx) {
            Poll::Ready(Ok(())) => {
                self.sending = Sending::Done;
                self.exchange.request_sent();
                if !self.exchange.first_byte_seen() {
                    let now = Instant::now();
                    self.sent_at = Some(now);
                    self.deadline = (now + self.timeouts.first_byte, Fault::FirstByteTimeout);
                }
            }
            Poll::Ready(Err(UploadError::Socket)) => self.sending = Sending::Refused,
            Poll::Ready(Err(UploadError::Body)) => return Err(Fault::RequestBody),
            Poll::Ready(Err(UploadError::Silence)) => return Err(Fault::RequestBodyTimeout),
            Poll::Pending if self.upload.sent() > before => self.deadline = self.patience_now(),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// The patience with a silence that begins now, before all of the request was sent.
    fn patience_now(&self) -> (Instant, Fault) {
        let begun = self.exchange.first_byte_seen();
        let fault = if begun { Fault::Stalled } else { Fault::UploadStalled };
        (Instant::now() + self.timeouts.between_reads, fault)
    }

    /// Which timeout is over, if one is. A slow client is not php-fpm's fault; its body ends by itself when it has stopped.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let waits_for_client = self.sending == Sending::Going && self.upload.waits_for_client();
        if waits_for_client {
            self.deadline = self.patience_now();
        }
        let silence = (!waits_for_client).then_some(self.deadline);
        let total = self.last_moment.map(|moment| (moment, Fault::TotalTimeout));
        let Some((deadline, fault)) = silence.into_iter().chain(total).min_by_key(|&(moment, _)| moment)
        else {
            return Poll::Pending;
        };
        ready!(self.lease.connection.poll_expired(deadline, cx));
        Poll::Ready(fault)
    }
}

/// Whether a violation says that something is wrong with the member, and not only with a script of it.
pub(crate) fn blames_the_member(violation: Violation) -> bool {
    !matches!(violation, Violation::BadHead(_) | Violation::EndWithoutHead { .. })
}
