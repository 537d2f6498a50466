//! A thread that writes lines, and the bounded line to it.
//!
//! Whoever has a line never waits: where the thread cannot keep up, lines are dropped, counted and said. After each write it may rest for
//! a moment, so that busy times are written in a few large pieces. (tracing-appender's thread writes each line by itself, and cannot open
//! a file anew.)

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::target::Target;
use crate::balance::Rarely;
use crate::config::model::LogTarget;

/// As many lines may wait to be written: some seconds' worth of a stalled disk, and a few megabytes.
const ROOM: usize = 16_384;
/// As many are written at once.
const MOST: usize = 1_024;
/// How long an end looks away from a line that is full.
const MOMENT: Duration = Duration::from_millis(5);
/// How often it is said that lines are lost.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long an end waits until everything is written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A log's lines, on their way. Clones share the thread.
#[derive(Debug, Clone)]
pub struct Writer {
    line: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    to: Mutex<LogTarget>,
    /// A target that takes the place of the present one before the next write.
    next: Mutex<Option<Target>>,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// There is a new target.
    Look,
    /// Answered when all before is written.
    Written(mpsc::Sender<()>),
}

impl Writer {
    /// Opens the target and starts the thread; `None` where nothing is to be written. `name` is for complaints, and `rest` how long
    /// lines are gathered after each write.
    ///
    /// # Errors
    /// The target cannot be opened, or there is no thread.
    pub fn open(name: &'static str, to: &LogTarget, rest: Duration) -> io::Result<Option<Self>> {
        let Some(target) = Target::open(to)? else { return Ok(None) };
        let (line, lines) = sync_channel(ROOM);
        let (to, next, lost) = (Mutex::new(to.clone()), Mutex::default(), AtomicU64::default());
        let shared = Arc::new(Shared { name, to, next, lost });
        let work = Work { lines, target, shared: Arc::clone(&shared), rest, said: Rarely::every(SAY_EVERY) };
        thread::Builder::new().name(format!("cornac-{name}")).spawn(|| work.run())?;
        Ok(Some(Self { line, shared }))
    }

    /// Hands over a line with its end.
    pub fn write(&self, line: Vec<u8>) {
        if self.line.try_send(Message::Line(line)).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the target anew, as after a file was moved away.
    ///
    /// # Errors
    /// It cannot be opened; the old one is written on.
    pub fn reopen(&self) -> io::Result<()> {
        let to = self.shared.to.lock().clone();
        self.redirect(&to)
    }

    /// Writes there from now on.
    ///
    /// # Errors
    /// It cannot be opened; the old one is written on.
    pub fn redirect(&self, to: &LogTarget) -> io::Result<()> {
        let Some(target) = Target::open(to)? else { return Ok(()) };
        *self.shared.to.lock() = to.clone();
        *self.shared.next.lock() = Some(target);
        // With a full line it is busy, and will look before its next write.
        drop(self.line.try_send(Message::Look));
        Ok(())
    }

    /// Returns when everything is written so far, or after a second: at the end of the process.
    pub fn flush(&self) {
        let (written, is_written) = mpsc::channel();
        let mut message = Message::Written(written);
        let deadline = Instant::now() + LAST_WORDS;
        while let Err(mpsc::TrySendError::Full(back)) = self.line.try_send(message) {
            if Instant::now() >= deadline {
                return;
            }
            message = back;
            thread::sleep(MOMENT);
        }
        let _in_time = is_written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

struct Work {
    lines: Receiver<Message>,
    target: Target,
    shared: Arc<Shared>,
    rest: Duration,
    said: Rarely,
}

impl Work {
    /// Until every writer is gone.
    fn run(mut self) {
        while let Ok(first) = self.lines.recv() {
            let mut lines = Vec::new();
            let mut asked = Vec::new();
            let more = std::iter::from_fn(|| self.lines.try_recv().ok());
            for message in std::iter::once(first).chain(more.take(MOST)) {
                match message {
                    Message::Line(line) => lines.push(line),
                    Message::Look => {}
                    Message::Written(answer) => asked.push(answer),
                }
            }
            self.write(&lines);
            for answer in asked {
                // Who asked may have gone.
                let _heard = answer.send(());
            }
            thread::sleep(self.rest);
        }
    }

    fn write(&mut self, lines: &[Vec<u8>]) {
        if let Some(target) = self.shared.next.lock().take() {
            self.target = target;
        }
        if lines.is_empty() {
            return;
        }
        let dropped = self.shared.lost.swap(0, Ordering::Relaxed);
        match self.target.write(lines) {
            Ok(()) if dropped == 0 => {}
            Ok(()) => self.say(dropped, &"whoever reads or stores them is too slow"),
            Err((lost, error)) => self.say(dropped + lost as u64, &error),
        }
    }

    /// The event log's own trouble is said in it as well, and on standard error, where somebody may look.
    fn say(&mut self, lost: u64, why: &dyn std::fmt::Display) {
        let times = self.said.happened_times(lost, Instant::now());
        let Some(lines) = times else { return };
        let log = self.shared.name;
        tracing::error!(log, lines, "lines of a log are lost: {why}");
        if matches!(self.target, Target::File(_)) && log == super::events::NAME {
            // There is nowhere left to complain to.
            drop(
                io::stderr().write_all(
                    format!("cornac: {lines} lines of the event log are lost: {why}\n").as_bytes(),
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::*;

    fn lines_of(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_arrive_in_order_and_in_the_file_that_has_the_name() {
        let folder = tempfile::tempdir().expect("a temp dir");
        let (path, moved) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        let writer =
            Writer::open("test", &LogTarget::File(path.clone()), MOMENT).expect("opens").expect("on");
        (0..3_000).for_each(|number| writer.write(format!("{number}\n").into_bytes()));
        writer.flush();
        let expected: Vec<_> = (0..3_000).map(|number| number.to_string()).collect();
        assert_eq!(lines_of(&path), expected);
        std::fs::rename(&path, &moved).expect("a rotation");
        writer.reopen().expect("opens");
        writer.write(b"after\n".to_vec());
        writer.flush();
        assert_eq!(lines_of(&path), ["after"]);
        assert_eq!(lines_of(&moved).len(), 3_000);
        writer.redirect(&LogTarget::File(folder.path().to_owned())).expect_err("a folder");
        writer.write(b"still\n".to_vec());
        writer.flush();
        assert_eq!(lines_of(&path), ["after", "still"]);
    }

    #[test]
    fn who_has_a_line_never_waits_for_a_reader_that_has_stopped() {
        let folder = tempfile::tempdir().expect("a temp dir");
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a fifo");
        let reader = std::fs::File::options().read(true).write(true).open(&path).expect("a fifo");
        let writer = Writer::open("test", &LogTarget::File(path), MOMENT).expect("opens").expect("on");
        let line = vec![b'x'; 1_000];
        // A pipe holds 64 KiB; all of this would need a reader.
        (0..2 * ROOM).for_each(|_| writer.write(line.clone()));
        assert!(writer.shared.lost.load(Ordering::Relaxed) > 0, "some are dropped");
        let mut some = [0; 4_096];
        (&reader).read_exact(&mut some).expect("the first are there");
    }
}
