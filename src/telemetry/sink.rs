//! A queue of lines and the thread that writes them. Logging never blocks: if the queue is full,
//! the line is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_queue::SegQueue;
use parking_lot::Mutex;

use super::TelemetryError;
use super::log_file::LogFile;
use crate::clock::now_ms;
use crate::model::LogFileSettings;

/// The most bytes that wait for a slow disk or terminal.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// The bytes that are written at once, plus at most one line.
const MAX_BATCH_BYTES: usize = 64 << 10;

/// How long closing waits for the lines in the queue.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The output of lines.
#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    Stderr,
    File(LogFile),
}

impl Output {
    /// The end of a file, which `section` of the config names.
    pub(super) fn open(
        file: &LogFileSettings,
        section: &'static str,
    ) -> Result<Self, TelemetryError> {
        let path = file.path.clone();
        let opened = LogFile::open(file.clone()).map(Self::File);
        opened.map_err(|source| TelemetryError::OpenFile { section, path, source })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(file) => file.write(lines, now_ms()),
        }
    }
}

/// The sender of the queue. When the last reference is dropped, the writer writes the rest and
/// ends.
#[derive(Debug)]
pub(super) struct Sink {
    shared: Arc<Shared>,
    writer: Thread,
    ended: Mutex<mpsc::Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    lines: SegQueue<Vec<u8>>,
    /// Bytes of lines that are not written yet.
    waiting: AtomicUsize,
    dropped: Arc<AtomicU64>,
    /// Whether the writer is asleep.
    asleep: AtomicBool,
    reopen: AtomicBool,
    closing: AtomicBool,
}

impl Sink {
    /// Starts a writer. After a wake-up it waits for `linger`, so that many lines wake it seldom.
    pub(super) fn start(
        name: &str,
        output: Output,
        linger: Duration,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            lines: SegQueue::new(),
            waiting: AtomicUsize::new(0),
            dropped,
            asleep: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let (end, ended) = mpsc::channel();
        let mut writer = Writer { shared: Arc::clone(&shared), output, linger, failing: false };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            writer.run();
            drop(end);
        })?;
        Ok(Self { shared, writer: thread.thread().clone(), ended: Mutex::new(ended) })
    }

    /// Puts a line into the queue, its end included, or drops it.
    pub(super) fn send(&self, line: Vec<u8>) {
        let shared = &self.shared;
        if shared.waiting.fetch_add(line.len(), Ordering::Relaxed) > MAX_WAITING_BYTES {
            shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shared.lines.push(line);
        // Either the writer sees the line before it sleeps, or this sees that it is asleep.
        fence(Ordering::SeqCst);
        if shared.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Makes the writer reopen the file under its name.
    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Waits until the queue is written, or until the timeout. Later lines may be lost.
    pub(super) fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
        let ended = self.ended.lock().recv_timeout(CLOSE_TIMEOUT);
        if matches!(ended, Err(RecvTimeoutError::Timeout)) {
            let left = u64::try_from(self.shared.lines.len()).unwrap_or(u64::MAX);
            self.shared.dropped.fetch_add(left, Ordering::Relaxed);
        }
    }

    fn wake(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
        self.writer.unpark();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
    }
}

/// The receiver.
struct Writer {
    shared: Arc<Shared>,
    output: Output,
    linger: Duration,
    /// Whether the last write failed, so that it is reported once.
    failing: bool,
}

impl Writer {
    fn run(&mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH_BYTES);
        loop {
            // Read before the lines are taken: all lines from before the end are written.
            let closing = self.shared.closing.load(Ordering::Acquire);
            if self.shared.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
            while self.write_batch(&mut batch) {}
            if closing {
                return;
            }
            self.sleep();
        }
    }

    /// Writes a batch, and returns whether there may be more.
    fn write_batch(&mut self, batch: &mut Vec<u8>) -> bool {
        batch.clear();
        let mut lines = 0;
        while batch.len() < MAX_BATCH_BYTES
            && let Some(line) = self.shared.lines.pop()
        {
            batch.extend_from_slice(&line);
            lines += 1;
        }
        if batch.is_empty() {
            return false;
        }
        let written = self.output.write(batch);
        self.shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        if written.is_err() {
            self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
        self.tell(written.err().as_ref());
        true
    }

    /// Reports when writing begins to fail, and when it works again.
    fn tell(&mut self, error: Option<&io::Error>) {
        let begins = error.is_some() && !self.failing;
        self.failing = error.is_some();
        if let (Some(error), true) = (error, begins) {
            let thread = std::thread::current();
            let log = thread.name().unwrap_or_default();
            // The failing output may be the log itself.
            if !matches!(self.output, Output::Stderr) {
                let _ = writeln!(io::stderr(), "error: {log}: cannot write lines: {error}");
            }
            tracing::error!(log, %error, "cannot write lines; they are dropped and counted");
        }
    }

    fn reopen(&mut self) {
        if let Output::File(file) = &mut self.output {
            let reopened = file.reopen();
            self.tell(reopened.err().as_ref());
        }
    }

    fn sleep(&self) {
        let shared = &self.shared;
        shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let is_idle = || {
            shared.asleep.load(Ordering::Relaxed)
                && shared.lines.is_empty()
                && !shared.closing.load(Ordering::Relaxed)
                && !shared.reopen.load(Ordering::Relaxed)
        };
        while is_idle() {
            std::thread::park();
        }
        shared.asleep.store(false, Ordering::Relaxed);
        if !self.linger.is_zero() && !shared.closing.load(Ordering::Relaxed) {
            std::thread::sleep(self.linger);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::time::Instant;

    use super::*;
    use crate::model::{LogFileSettings, Rotation};

    fn file(path: &std::path::Path) -> Output {
        let (path, rotation) = (path.to_owned(), Rotation::Never);
        Output::File(LogFile::open(LogFileSettings { path, rotation, keep: 1 }).expect("it opens"))
    }

    #[test]
    fn what_was_sent_is_written_in_order_by_the_time_it_is_closed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let dropped = Arc::<AtomicU64>::default();
        let linger = Duration::from_millis(1);
        let sink = Sink::start("t", file(&path), linger, Arc::clone(&dropped)).expect("a thread");
        let sink = Arc::new(sink);
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let sink = Arc::clone(&sink);
                std::thread::spawn(move || {
                    for number in 0..5000 {
                        sink.send(format!("{sender} {number}\n").into_bytes());
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("it sends");
        }
        sink.close();
        let text = std::fs::read_to_string(&path).expect("it is there");
        for sender in 0..4 {
            let prefix = format!("{sender} ");
            let numbers = text.lines().filter_map(|line| line.strip_prefix(&prefix));
            assert!(numbers.map(|n| n.parse::<i32>().unwrap()).eq(0..5000), "sender {sender}");
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_output_that_nobody_reads_costs_lines_and_no_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let mut reader = File::options().read(true).write(true).open(&path).expect("it opens");
        let dropped = Arc::<AtomicU64>::default();
        let sink = Sink::start("t", file(&path), Duration::ZERO, Arc::clone(&dropped));
        let sink = sink.expect("a thread");
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        let sent = 2 * MAX_WAITING_BYTES / line.len();
        let started = Instant::now();
        (0..sent).for_each(|_| sink.send(line.clone()));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let lost = usize::try_from(dropped.load(Ordering::Relaxed)).expect("it is small");
        assert!(lost > sent / 3 && lost < sent, "{lost} of {sent}");
        // Whoever reads gets the rest, whole lines all of it.
        let mut rest = vec![0; (sent - lost) * line.len()];
        reader.read_exact(&mut rest).expect("the lines come");
        assert!(rest.chunks(line.len()).all(|got| got == line));
        assert_eq!(usize::try_from(dropped.load(Ordering::Relaxed)).expect("small"), lost);
    }
}
