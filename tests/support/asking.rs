//! Threads that ask again and again until they are told to stop; what came of it can be seen meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

/// Clients whose requests come to an `A` each.
#[derive(Debug)]
pub struct Asking<A> {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<A>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<A: Send + 'static> Asking<A> {
    /// So many; `client(its number)` is called on its thread, and returns what asks once.
    pub fn start<Once: FnMut() -> A>(
        clients: usize,
        client: impl Fn(usize) -> Once + Send + Clone + 'static,
    ) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(vec![])));
        let threads = (0..clients).map(|number| {
            let (stop, answers, client) = (Arc::clone(&stop), Arc::clone(&answers), client.clone());
            std::thread::spawn(move || {
                let mut ask = client(number);
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask();
                    answers.lock().push(answer);
                }
            })
        });
        let threads = threads.collect();
        Self { stop, answers, threads }
    }

    pub fn look<T>(&self, at: impl FnOnce(&[A]) -> T) -> T {
        at(&self.answers.lock())
    }

    /// Lets the requests on their way finish.
    pub fn stop(self) -> Vec<A> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client does not panic");
        }
        std::mem::take(&mut self.answers.lock())
    }
}
