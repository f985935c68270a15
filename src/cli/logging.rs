//! The daemon's log: to standard error, and never waiting for whoever reads it.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::args::{LogArgs, LogFormat};
use super::output::wants_colour;

/// Events that may wait for a slow reader; more are counted and lost.
const WAITING: usize = 4096;
/// How long the end of the program waits for the last events to be read.
const FLUSH: Duration = Duration::from_secs(1);

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none.
    #[error("{0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log: {}", words::of(.0))]
    Thread(#[from] io::Error),
    /// It is set up already.
    #[error("the log is set up already")]
    Twice,
}

/// Writes what is still waiting when it is dropped: keep it until the end of the program.
#[must_use = "the log ends when this is dropped"]
#[derive(Debug)]
pub struct Logging {
    queue: Queue,
    written: Receiver<()>,
}

/// Sends the events of this process to standard error, as `args` say.
///
/// A thread writes them, so that a terminal that is held, or a journal that is stuck, delays
/// nobody who logs. On a terminal there are colours; under the journal, which has its own, there is
/// no time but a priority in front of each line (sd-daemon(3)).
///
/// # Errors
///
/// If the level is none, or the log has been set up before.
pub fn init(args: &LogArgs) -> Result<Logging, LoggingError> {
    let filter = EnvFilter::builder().parse(&args.log_level)?;
    let (logging, queue) = start(io::stderr())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_ansi(wants_colour(&io::stderr()))
        .with_writer(queue);
    let installed = match args.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text if stderr_is_the_journal() => {
            builder.event_format(Journal::default()).try_init()
        }
        LogFormat::Text => builder.try_init(),
    };
    installed.map_err(|_| LoggingError::Twice)?;
    Ok(logging)
}

/// `JOURNAL_STREAM` holds device and inode of what the service manager gave us. Something between
/// may have redirected standard error since (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

/// Lines as the journal wants them.
#[derive(Debug)]
struct Journal(Format<Full, ()>);

impl Default for Journal {
    fn default() -> Self {
        Self(
            Format::default()
                .without_time()
                .with_level(false)
                .with_ansi(false),
        )
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // The priorities of syslog(3).
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

enum Message {
    Line(Vec<u8>),
    Flush,
}

/// The way from those who log to the thread that writes.
#[derive(Clone, Debug)]
struct Queue {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// One event, put into the queue as a whole when it is complete.
struct Line<'a> {
    queue: &'a Queue,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            queue: self,
            text: Vec::new(),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let line = Message::Line(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_)) = self.queue.sender.try_send(line) {
            self.queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn start(output: impl Write + Send + 'static) -> io::Result<(Logging, Queue)> {
    let (sender, messages) = mpsc::sync_channel(WAITING);
    let (flushed, written) = mpsc::sync_channel(1);
    let queue = Queue {
        sender,
        lost: Arc::default(),
    };
    let lost = Arc::clone(&queue.lost);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_all(&messages, &lost, &flushed, output))?;
    Ok((
        Logging {
            queue: queue.clone(),
            written,
        },
        queue,
    ))
}

/// A log that cannot be written is no reason to stop, and there is nowhere to say so.
fn write_all(
    messages: &Receiver<Message>,
    lost: &AtomicU64,
    flushed: &SyncSender<()>,
    mut output: impl Write,
) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => {
                let _ = output.write_all(&line);
            }
            Message::Flush => {
                let _ = output.flush();
                let _ = flushed.try_send(());
            }
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => {
                let _ = writeln!(
                    output,
                    "{count} lines of the log were lost: nobody read them in time"
                );
            }
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if self.queue.sender.try_send(Message::Flush).is_err() {
            return;
        }
        match self.written.recv_timeout(FLUSH) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

#[cfg(test)]
mod tests;
