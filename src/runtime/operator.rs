//! The operator's listener: bound with the others, served by the main runtime, so that he is heard while every worker thread is busy.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tracing::error;

use super::handover::{Handed, Inheritance};
use super::listen::{self, Accepted, BindError, Listener};
use super::reception::{BREATH, is_the_clients_own};
use crate::admin::{Admin, Readiness, Wish, Wishes, wishes};
use crate::config::Secret;
use crate::config::model::{self, Listen};
use crate::site::Generation;

/// Connections at once; who comes while all are taken is sent away.
const GUESTS: usize = 64;

/// The operator's door, and what is asked of the runtime there. Dropping it closes the door.
#[derive(Debug)]
pub(super) struct Operator {
    /// As it is configured.
    listen: Listen,
    bound: Listen,
    /// The same socket, to be handed on.
    socket: OwnedFd,
    /// Whether a socket file is ours to remove.
    ours: bool,
    handed_on: bool,
    admin: Arc<Admin>,
    serving: AbortHandle,
    wishes: Wishes,
    readiness: Arc<Readiness>,
}

impl Operator {
    /// Binds, and answers from now on.
    pub(super) fn start(
        settings: &model::Admin,
        generation: &Arc<ArcSwap<Generation>>,
        inheritance: &mut Inheritance,
    ) -> Result<Self, BindError> {
        let listen = settings.listen.clone();
        let (socket, ours) = match inheritance.take(&listen) {
            Some(handed) => (Ok(handed.socket), handed.ours),
            None => (listen::bind(&listen, false), true),
        };
        let fault = |source| BindError { listen: listen.to_string(), source };
        let socket = socket.map_err(fault)?;
        let listener = socket.try_clone().and_then(Listener::of).map_err(fault)?;
        let bound = listen::address_of(&socket).map_or_else(|| listen.clone(), Listen::Tcp);
        let (wish, wishes) = wishes();
        let readiness = Arc::new(Readiness::default());
        let admin = Admin::new(Arc::clone(generation), Arc::clone(&readiness), settings.token.clone(), wish);
        let admin = Arc::new(admin);
        let serving = tokio::spawn(accept(listener, Arc::clone(&admin))).abort_handle();
        Ok(Self { listen, bound, socket, ours, handed_on: false, admin, serving, wishes, readiness })
    }

    /// Where he is listened to, with the real port where 0 was asked for.
    pub(super) fn address(&self) -> &Listen {
        &self.bound
    }

    /// For a successor.
    pub(super) fn socket(&self) -> Handed<BorrowedFd<'_>> {
        Handed { address: self.listen.to_string(), socket: self.socket.as_fd(), ours: self.ours }
    }

    /// After a reload that leaves him where he is.
    pub(super) fn set_token(&self, token: Option<Secret>) {
        self.admin.set_token(token);
    }

    /// Requests are finished only. Whoever took over answers from now on, on the same socket.
    pub(super) fn hears_of_the_end(&mut self, handed_on: bool) {
        self.readiness.stops();
        self.handed_on = handed_on;
        if handed_on {
            self.serving.abort();
        }
    }

    /// His next wish; never, where there is no door.
    pub(super) async fn next_wish(operator: Option<&mut Self>) -> Wish {
        match operator {
            Some(operator) => match operator.wishes.recv().await {
                Some(wish) => wish,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.serving.abort();
        if let (Listen::Unix(path), true) = (&self.listen, self.ours && !self.handed_on) {
            // Somebody may have taken it away already.
            drop(std::fs::remove_file(path));
        }
    }
}

async fn accept(listener: Listener, admin: Arc<Admin>) {
    let places = Arc::new(Semaphore::new(GUESTS));
    loop {
        match listener.accept().await {
            Ok((accepted, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let admin = Arc::clone(&admin);
                tokio::spawn(async move {
                    serve(admin, accepted).await;
                    drop(place);
                });
            }
            Err(error) if is_the_clients_own(&error) => {}
            Err(error) => {
                error!(%error, "cannot accept on the admin listener");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn serve(admin: Arc<Admin>, accepted: Accepted) {
    accepted.prepare();
    let own: Option<IpAddr> = accepted.local_addr().map(|own| own.ip());
    let unserved = match accepted {
        Accepted::Tcp(stream) => match TcpStream::from_std(stream) {
            Ok(stream) => return admin.serve(stream, own).await,
            Err(error) => error,
        },
        Accepted::Unix(stream) => match UnixStream::from_std(stream) {
            Ok(stream) => return admin.serve(stream, own).await,
            Err(error) => error,
        },
    };
    error!(error = %unserved, "an operator was accepted but cannot be served");
}
