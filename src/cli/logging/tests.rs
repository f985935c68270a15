use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Takes nothing until it is let go, and says when the first write has come.
struct Stuck {
    came: mpsc::Sender<()>,
    go: Receiver<()>,
    then: Shared,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.came.send(());
        let _ = self.go.recv();
        self.then.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_waits_is_written_before_the_end() {
    let output = Shared::default();
    let (logging, queue) = start(output.clone()).unwrap();
    for n in 0..100 {
        writeln!(queue.make_writer(), "line {n}").unwrap();
    }
    drop(logging);
    let expected: String = (0..100).map(|n| format!("line {n}\n")).collect();
    assert_eq!(output.text(), expected);
}

#[test]
fn a_stuck_reader_delays_nobody_and_losses_are_told() {
    let output = Shared::default();
    let (came, comes) = mpsc::channel();
    let (go, waits) = mpsc::channel();
    let (logging, queue) = start(Stuck {
        came,
        go: waits,
        then: output.clone(),
    })
    .unwrap();
    writeln!(queue.make_writer(), "first").unwrap();
    comes.recv().unwrap();
    for _ in 0..WAITING + 7 {
        writeln!(queue.make_writer(), "more").unwrap();
    }
    drop(go);
    // The queue is full until the writer gets on; only then is there room for the flush.
    while queue.lost.load(Ordering::Relaxed) != 0 {
        thread::yield_now();
    }
    loop {
        if queue.sender.try_send(Message::Flush).is_ok() {
            logging.written.recv().unwrap();
            break;
        }
        thread::yield_now();
    }
    let text = output.text();
    assert_eq!(text.matches("more\n").count(), WAITING, "{text}");
    assert!(text.contains("\n7 lines of the log were lost"), "{text}");
}

#[test]
fn the_journal_gets_priorities_and_no_time() {
    let output = Shared::default();
    let (logging, queue) = start(output.clone()).unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(queue)
        .event_format(Journal::default())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        tracing::error!(target: "caribe", group = "web", "two active directors");
        tracing::warn!(target: "caribe", "late");
        tracing::info!(target: "caribe", "takeover");
        tracing::trace!(target: "caribe", "heartbeat");
    });
    drop(logging);
    let expected = "<3>caribe: two active directors group=\"web\"\n<4>caribe: late\n\
                    <6>caribe: takeover\n<7>caribe: heartbeat\n";
    assert_eq!(output.text(), expected);
}
