//! Clients that ask one after another, each on a connection of its own that it keeps, until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::child::wait_until;
use super::fpm::Fpm;
use super::http::{Connection, Response};

/// What one request came to.
#[derive(Clone, Debug)]
pub struct Answer {
    pub target: String,
    /// 0: there was no whole response; `why` says what there was.
    pub status: u16,
    /// Empty where no fixture answered.
    pub member: String,
    pub why: String,
}

/// Running clients.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<Answer>>>,
}

impl Load {
    /// So many clients, each asking for `target(its number, the request's number)`: `METHOD /path`, or `/path` for a GET.
    pub fn start<T: Into<String>>(
        to: SocketAddr,
        clients: usize,
        target: impl Fn(usize, usize) -> T + Send + Sync + Clone + 'static,
    ) -> Self {
        Self::until(to, clients, usize::MAX, target)
    }

    /// Eight that ask for a file, for scripts that are quick and slow, and POST what [`Answer::each_post_ran_once`] counts.
    pub fn mixed(to: SocketAddr) -> Self {
        Self::start(to, 8, |client, number| match (client + number) % 4 {
            0 => "/style.css",
            1 => "POST /count/posted",
            2 => "/sleep/5",
            _ => "/json",
        })
    }

    /// The same as [`start`](Self::start), but each client ends after so many requests.
    pub fn until<T: Into<String>>(
        to: SocketAddr,
        clients: usize,
        requests: usize,
        target: impl Fn(usize, usize) -> T + Send + Sync + Clone + 'static,
    ) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..clients)
            .map(|client| {
                let (stop, done, target) = (Arc::clone(&stop), Arc::clone(&done), target.clone());
                std::thread::spawn(move || {
                    let mut connection = None;
                    let mut answers = vec![];
                    while answers.len() < requests && !stop.load(Ordering::Relaxed) {
                        answers.push(ask(to, &mut connection, target(client, answers.len()).into()));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    answers
                })
            })
            .collect();
        Self { stop, done, clients }
    }

    /// Waits until so many more requests are answered than now.
    pub fn wait_for(&self, more: usize) {
        let so_far = self.done.load(Ordering::Relaxed);
        let seen = wait_until(Duration::from_secs(30), || self.done.load(Ordering::Relaxed) >= so_far + more);
        assert!(seen, "only {} more answers, not {more}", self.done.load(Ordering::Relaxed) - so_far);
    }

    /// Lets the requests on their way finish, and ends.
    pub fn stop(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Does something while they run, and waits for their end.
    pub fn join_after(self, meanwhile: impl FnOnce()) -> Vec<Answer> {
        meanwhile();
        self.join()
    }

    /// Waits for the end of all clients.
    pub fn join(self) -> Vec<Answer> {
        self.clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect()
    }
}

impl Answer {
    /// Panics with what was wrong when any answer is not a 200.
    pub fn all_are_200(answers: &[Self]) {
        assert!(!answers.is_empty(), "nobody asked");
        let wrong: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        let some = &wrong[..wrong.len().min(5)];
        assert!(wrong.is_empty(), "{} of {} failed: {some:#?}", wrong.len(), answers.len());
    }

    /// As many times as clients of [`Load::mixed`] sent it.
    pub fn each_post_ran_once(answers: &[Self], members: &[Fpm]) {
        let posted = answers.iter().filter(|answer| answer.target.starts_with("POST")).count() as u64;
        assert_eq!(members.iter().map(|fpm| fpm.count("posted")).sum::<u64>(), posted, "each POST ran once");
    }

    pub fn of_member(answers: &[Self], member: &str) -> usize {
        answers.iter().filter(|answer| answer.member == member).count()
    }
}

fn ask(to: SocketAddr, connection: &mut Option<Connection>, target: String) -> Answer {
    let (method, path) = target.split_once(' ').unwrap_or(("GET", &target));
    let body = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{body}");
    let mut open = connection.take().unwrap_or_else(|| Connection::open(to));
    let answered = match open.try_send(request.as_bytes()) {
        Ok(()) => open.try_response(method).map_err(|broken| format!("{broken:?}")),
        Err(error) => Err(error.to_string()),
    };
    match answered {
        Ok(response) => {
            let closes = response.header("connection") == Some("close");
            *connection = (!closes).then_some(open);
            Answer { status: response.status, member: member_of(&response), why: String::new(), target }
        }
        Err(why) => Answer { status: 0, member: String::new(), why, target },
    }
}

fn member_of(response: &Response) -> String {
    response.header("x-fixture-member").unwrap_or_default().to_owned()
}
