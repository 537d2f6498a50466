//! How long clients may take. They may have changed from one connection to the next.

use std::time::Duration;

use crate::config::model::Server;

/// One connection's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a request's head, from its first byte; for the first one from the connection's beginning.
    pub(super) header: Duration,
    /// Between two pieces of a request's body.
    pub(super) body: Duration,
    /// For taking something of a reply.
    pub(super) send: Duration,
    /// Between a reply and the next request's first byte.
    pub(super) keepalive: Duration,
    /// The last of a connection's requests; 0: any number.
    pub(super) requests: u32,
}

impl Timeouts {
    /// As they are configured.
    pub fn of(server: &Server) -> Self {
        Self {
            header: server.client_header_timeout,
            body: server.client_body_timeout,
            send: server.send_timeout,
            keepalive: server.keepalive_timeout,
            requests: server.keepalive_requests,
        }
    }

    /// Whether this is the last request of its connection.
    pub(super) fn is_last(&self, number: u32) -> bool {
        self.requests != 0 && number >= self.requests
    }
}
