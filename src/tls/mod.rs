//! Floor 4: certificates at work. What a configuration says of TLS, in the form that handshakes use.
//!
//! | file | owns |
//! |---|---|
//! | `vault` | the settings of each site's handshakes, from one generation to the next |
//! | `served` | the certificates of a site, the one that suits a client, and those that are made up for development |
//! | `renewal` | certificates whose files change while clients are served |
//! | `session` | what a handshake came to: protocol, cipher, the client's own certificate |
//!
//! Handshakes themselves are `front`'s, as is everything that a client may do slowly.

mod renewal;
mod served;
mod session;
mod vault;

pub use session::{Session, Stranger};
pub use vault::{Handshake, Vault};
