//! What became of one request: the one value that the access log, the metrics and whoever else wants to know read.
//!
//! The ledger travels with the request through queue, attempts and reply, and hands the outcome over exactly once, at its
//! own end: also when the client leaves, because that drops it.

use crate::balance::Failure;
use crate::fcgi::Violation;
use crate::metrics::PoolMeter;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// What went wrong, in the order of a request's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The queue has its length.
    #[error("the queue is full")]
    QueueFull,
    /// The queue moves too slowly for one more.
    #[error("overload: it would have waited too long")]
    Overload,
    /// No worker got free within `queue.timeout`.
    #[error("no worker got free in time")]
    QueueTimeout,
    /// Every member is down, draining or tried in vain.
    #[error("no member is left that could answer")]
    Nobody,
    /// No connection came about.
    #[error("{0}")]
    Connect(Failure),
    /// The connection closed before one byte of a reply.
    #[error("closed without an answer (the worker died, or listen.allowed_clients refuses us)")]
    ClosedEarly,
    /// `timeouts.first_byte` passed.
    #[error("no answer in time")]
    FirstByteTimeout,
    /// The member's host acknowledges nothing any more; no byte of a reply came.
    #[error("its host is gone: nothing that was sent is acknowledged")]
    HostGone,
    /// `timeouts.between_reads` passed and no more of the request was taken; no byte of a reply came.
    #[error("took no more of the request")]
    UploadStalled,
    /// `timeouts.between_reads` passed within the reply.
    #[error("stopped in the middle")]
    Stalled,
    /// `timeouts.total` passed.
    #[error("took longer than it may in total")]
    TotalTimeout,
    /// The connection closed before END_REQUEST.
    #[error("reply cut short")]
    Truncated,
    /// The reply ended before its own Content-Length.
    #[error("reply shorter than its Content-Length")]
    TooShort,
    /// The bytes are not FastCGI, or not a CGI reply.
    #[error("{0}")]
    Garbage(Violation),
    /// The client's body failed or ended too early.
    #[error("the request's body failed")]
    RequestBody,
    /// The client stopped in the middle of a body that went straight to php-fpm.
    #[error("the client stopped sending its body")]
    RequestBodyTimeout,
    /// A temp file could not be written or read.
    #[error("temp file failed")]
    TempFile,
}

impl Fault {
    /// One word for each, for metrics; [`Fault::place`] is the place here.
    pub const WORDS: [&str; 17] = [
        "queue_full",
        "overload",
        "queue_timeout",
        "nobody",
        "connect",
        "closed_early",
        "first_byte_timeout",
        "upload_stalled",
        "stalled",
        "total_timeout",
        "truncated",
        "too_short",
        "garbage",
        "request_body",
        "request_body_timeout",
        "temp_file",
        "host_gone",
    ];

    /// Its place in [`Fault::WORDS`].
    pub fn place(self) -> usize {
        match self {
            Self::QueueFull => 0,
            Self::Overload => 1,
            Self::QueueTimeout => 2,
            Self::Nobody => 3,
            Self::Connect(_) => 4,
            Self::ClosedEarly => 5,
            Self::FirstByteTimeout => 6,
            Self::UploadStalled => 7,
            Self::Stalled => 8,
            Self::TotalTimeout => 9,
            Self::Truncated => 10,
            Self::TooShort => 11,
            Self::Garbage(_) => 12,
            Self::RequestBody => 13,
            Self::RequestBodyTimeout => 14,
            Self::TempFile => 15,
            Self::HostGone => 16,
        }
    }

    /// The part of the way on which it happened, for the log.
    pub fn phase(self) -> &'static str {
        match self {
            Self::QueueFull | Self::Overload | Self::QueueTimeout | Self::Nobody => "queue",
            Self::Connect(_) => "connect",
            Self::RequestBody | Self::RequestBodyTimeout | Self::UploadStalled => "request",
            Self::ClosedEarly | Self::HostGone | Self::FirstByteTimeout => "first byte",
            Self::Stalled | Self::TotalTimeout | Self::Truncated => "reply",
            Self::TooShort | Self::Garbage(_) | Self::TempFile => "reply",
        }
    }

    /// Whether it says something about a member or the pool: not what a client did, nor what the queue tells of itself.
    pub(crate) fn is_the_pools(self) -> bool {
        use Fault::{Overload, QueueFull, RequestBody, RequestBodyTimeout, TempFile};
        !matches!(self, QueueFull | Overload | RequestBody | RequestBodyTimeout | TempFile)
    }

    /// Whether waiting longer might have helped: what a gateway answers with 504 instead of 502.
    pub fn is_timeout(self) -> bool {
        match self {
            Self::Connect(failure) => failure == Failure::ConnectTimeout,
            Self::HostGone
            | Self::FirstByteTimeout
            | Self::UploadStalled
            | Self::Stalled
            | Self::TotalTimeout => true,
            _ => false,
        }
    }
}

/// No reply: nothing has gone to the client yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// What went wrong, at the last attempt.
    pub fault: Fault,
    /// The member of the last attempt, if one was made.
    pub member: Option<Arc<str>>,
    /// When it makes sense to come again, where the queue refused.
    pub retry_after: Option<Duration>,
    /// How long it waited for a worker, where the client is to know (`queue.header`).
    pub queued: Option<Duration>,
    /// The log has just heard of one like it, and will hear how many more there were.
    pub repeated: bool,
}

/// A reply that broke off after its head had gone out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyError {
    /// What went wrong.
    pub fault: Fault,
    /// Whose reply it was.
    pub member: Option<Arc<str>>,
}

/// `10.0.0.3:9000: reply: reply cut short`.
fn write_fault(f: &mut fmt::Formatter<'_>, member: Option<&str>, fault: Fault) -> fmt::Result {
    if let Some(member) = member {
        write!(f, "{member}: ")?;
    }
    write!(f, "{}: {fault}", fault.phase())
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_fault(f, self.member.as_deref(), self.fault)
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_fault(f, self.member.as_deref(), self.fault)
    }
}

impl std::error::Error for SendError {}
impl std::error::Error for ReplyError {}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The whole reply was handed on.
    Complete,
    /// The client went away first.
    ClientLeft,
    /// It failed.
    Failed(Fault),
}

/// What became of one request. Times are measured from when it was handed to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The member of the last attempt.
    pub member: Option<Arc<str>>,
    /// Whether that went over a connection that had served before.
    pub reused: bool,
    /// Attempts made; 0: it never got a slot.
    pub tries: u32,
    /// Time spent waiting for a slot, over all attempts.
    pub queued: Duration,
    /// Time spent connecting, over all attempts.
    pub connecting: Duration,
    /// Until the head of the reply was there.
    pub first_byte: Option<Duration>,
    /// Until the worker was free again, if it answered.
    pub worker: Option<Duration>,
    /// Until the reply was handed on, or whatever else ended it.
    pub total: Duration,
    /// Bytes of the reply's body handed on.
    pub body_bytes: u64,
    /// How it ended.
    pub ending: Ending,
}

/// Hears of the outcome, exactly once.
pub type Observer = Box<dyn FnOnce(Outcome) + Send>;

/// The outcome while it comes about.
pub(crate) struct Ledger {
    began: Instant,
    outcome: Outcome,
    observer: Option<Observer>,
    meter: Option<PoolMeter>,
}

impl Ledger {
    pub(crate) fn new(observer: Option<Observer>, meter: Option<PoolMeter>, now: Instant) -> Self {
        let outcome = Outcome {
            member: None,
            reused: false,
            tries: 0,
            queued: Duration::ZERO,
            connecting: Duration::ZERO,
            first_byte: None,
            worker: None,
            total: Duration::ZERO,
            body_bytes: 0,
            ending: Ending::ClientLeft,
        };
        Self { began: now, outcome, observer, meter }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn tries(&self) -> u32 {
        self.outcome.tries
    }

    pub(crate) fn queued(&self) -> Duration {
        self.outcome.queued
    }

    pub(crate) fn waited(&mut self, queued: Duration) {
        self.outcome.queued += queued;
    }

    pub(crate) fn connected(&mut self, connecting: Duration) {
        self.outcome.connecting += connecting;
    }

    pub(crate) fn attempt(&mut self, member: &Arc<str>) {
        self.outcome.tries += 1;
        self.outcome.member = Some(Arc::clone(member));
    }

    pub(crate) fn sends_on(&mut self, reused: bool) {
        self.outcome.reused = reused;
    }

    pub(crate) fn head_seen(&mut self, at: Instant) {
        self.outcome.first_byte = Some(at.duration_since(self.began));
    }

    pub(crate) fn worker_free(&mut self, at: Instant) {
        self.outcome.worker = Some(at.duration_since(self.began));
    }

    pub(crate) fn handed_on(&mut self, bytes: usize) {
        self.outcome.body_bytes += bytes as u64;
    }

    pub(crate) fn ends(&mut self, ending: Ending) {
        self.outcome.ending = ending;
        self.deliver();
    }

    pub(crate) fn fails(&mut self, fault: Fault, retry_after: Option<Duration>) -> SendError {
        self.ends(Ending::Failed(fault));
        let member = self.outcome.member.clone();
        SendError { fault, member, retry_after, queued: Some(self.outcome.queued), repeated: false }
    }

    pub(crate) fn breaks_off(&mut self, fault: Fault) -> ReplyError {
        self.ends(Ending::Failed(fault));
        ReplyError { fault, member: self.outcome.member.clone() }
    }

    /// Another attempt is made after this.
    pub(crate) fn tries_again(&self, fault: Fault) {
        if let Some(meter) = &self.meter {
            meter.retried(fault.place());
        }
    }

    /// Another attempt would be made, but for the budget.
    pub(crate) fn may_not_try_again(&self) {
        if let Some(meter) = &self.meter {
            meter.denied();
        }
    }

    fn deliver(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.ended(self.outcome.queued, self.outcome.first_byte);
            if let Ending::Failed(fault) = self.outcome.ending {
                meter.failed(fault.place());
            }
        }
        let Some(observer) = self.observer.take() else { return };
        self.outcome.total = self.began.elapsed();
        observer(self.outcome.clone());
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.deliver();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn ledger() -> (Ledger, mpsc::Receiver<Outcome>) {
        let (tell, told) = mpsc::channel();
        let observer: Observer = Box::new(move |outcome| tell.send(outcome).unwrap());
        (Ledger::new(Some(observer), None, Instant::now()), told)
    }

    #[test]
    fn a_client_that_leaves_has_an_outcome_too() {
        let (ledger, told) = ledger();
        drop(ledger);
        let outcome = told.recv().unwrap();
        assert_eq!((outcome.ending, outcome.tries, outcome.member), (Ending::ClientLeft, 0, None));
    }

    #[test]
    fn the_outcome_is_told_once() {
        let (mut ledger, told) = ledger();
        ledger.attempt(&"10.0.0.3:9000".into());
        let error = ledger.fails(Fault::Truncated, None);
        drop(ledger);
        assert_eq!(error.to_string(), "10.0.0.3:9000: reply: reply cut short");
        assert_eq!(
            told.iter().map(|outcome| outcome.ending).collect::<Vec<_>>(),
            [Ending::Failed(Fault::Truncated)]
        );
    }

    #[test]
    fn each_fault_has_a_word_of_its_own() {
        let mut words = Fault::WORDS.to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Fault::WORDS.len());
        for (fault, word) in [
            (Fault::QueueFull, "queue_full"),
            (Fault::Connect(Failure::Refused), "connect"),
            (Fault::Garbage(Violation::Version(0)), "garbage"),
            (Fault::TempFile, "temp_file"),
        ] {
            assert_eq!(Fault::WORDS[fault.place()], word);
        }
    }

    #[test]
    fn what_a_gateway_answers_504_to() {
        assert!(Fault::FirstByteTimeout.is_timeout() && Fault::HostGone.is_timeout());
        assert!(Fault::Connect(Failure::ConnectTimeout).is_timeout());
        assert!(!Fault::Connect(Failure::Refused).is_timeout() && !Fault::Truncated.is_timeout());
    }
}
