//! Floor 1: FastCGI 1.0 as bytes in and bytes out. No socket, no clock.
//!
//! - `record`: the 8-byte header, its types and ids; `params`: one request's opening as one buffer.
//! - `deframe` takes records apart, `exchange` knows what they mean for one request, `violation` is all that can be
//!   wrong with them, and `verdict` whether the connection may serve the next one.
//! - `head` finds where the CGI head ends, `reply` turns it into a status and headers, `accel` holds php's orders to us.
//! - `stderr` recognises the messages of php-fpm that have a known remedy.
//!
//! When to connect, how long to wait, whether to send again: `upstream` and `balance`.

mod accel;
mod deframe;
mod exchange;
mod head;
mod lookup;
mod params;
mod record;
mod reply;
mod stderr;
mod verdict;
mod violation;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod wire;

pub use accel::Accel;
pub use exchange::{BodyRule, Event, Exchange};
pub use lookup::param_of;
pub use params::{PairTooLarge, RequestEncoder};
pub use record::{EndRequest, Keep, ProtocolStatus, RequestId, stdin_header};
pub use reply::ReplyHead;
pub use stderr::{KnownError, recognise};
pub use verdict::{Closed, Reason, Verdict};
pub use violation::{HeadError, Violation};
