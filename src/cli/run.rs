//! `caribe run`: the director in the foreground.

use std::io;

use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::args::RunArgs;
use super::output::{complain, print_report};
use super::{Exit, check, guard, logging};
use crate::config::{self, HostFacts, Loaded};
use crate::control::Server;
use crate::director::guard::{Guard, first_charge};
use crate::director::{self, Director};

pub(super) fn run(args: &RunArgs) -> Exit {
    director::keep_memory();
    let host = match &args.node {
        Some(node) => HostFacts::named(node),
        None => HostFacts::this_host(),
    };
    let loaded = match config::load(&args.config, &host) {
        Ok(loaded) => loaded,
        Err(report) => {
            print_report(&report);
            return Exit::Failed;
        }
    };
    let _logging = match logging::init(&args.log) {
        Ok(logging) => logging,
        Err(error) => return failed(&error, Exit::Failed),
    };
    for warning in loaded.warnings.iter().chain(&check::at_start(&loaded)) {
        tracing::warn!("{warning}");
    }
    abort_on_panic();
    // Whoever holds the socket is the only director of this configuration here: before anything
    // of the host is touched.
    let server = match Server::bind(&loaded.config.control.socket) {
        Ok(server) => server,
        Err(error) => return failed(&error, Exit::from(&error)),
    };
    let runtime = match Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Exit::Failed),
    };
    let guard = guarded(args, &loaded);
    let director = match Director::start(runtime.handle(), &loaded, args.record.as_deref()) {
        Ok(director) => match guard {
            Some(guard) => director.guarded_by(guard),
            None => director,
        },
        Err(error) => return failed(&Remedied(&error), exit_of(&error)),
    };
    match serve(&runtime, &loaded, director, server) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Failed,
        Err(error) => failed(&error, Exit::Failed),
    }
}

/// The guard, before there is anything to guard. A director without one is better than none.
fn guarded(args: &RunArgs, loaded: &Loaded) -> Option<Guard> {
    let socket = loaded.config.control.socket.clone();
    let log = args.log.clone();
    let command = move || guard::command(&socket, &log);
    match Guard::spawn(command, first_charge(&loaded.config)) {
        Ok(guard) => Some(guard),
        Err(error) => {
            tracing::error!(error = %words::of(&error), "no guard: VIPs would stay behind if this process died");
            None
        }
    }
}

/// Runs director and API until a signal says stop. Whether the director ended well.
fn serve(
    runtime: &Runtime,
    loaded: &Loaded,
    director: Director,
    server: Server,
) -> io::Result<bool> {
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (shut, shutdown) = oneshot::channel::<()>();
        let server = server.with_history(director.history());
        let api = tokio::spawn(server.serve(director.sight(), director.operator(), async {
            // Told or forgotten, it is over.
            let _ = shutdown.await;
        }));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            node = loaded.node,
            config = %loaded.config.digest,
            "director runs"
        );
        notify(&[NotifyState::Ready]);
        let well = director
            .run(async {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => break,
                        _ = interrupt.recv() => break,
                        _ = hangup.recv() => {
                            tracing::warn!("SIGHUP changes nothing: this version cannot reload");
                        }
                    }
                }
                notify(&[NotifyState::Stopping]);
            })
            .await;
        drop(shut);
        if let Ok(Err(error)) = api.await {
            tracing::error!(%error, "the API ended");
        }
        tracing::info!("director stopped");
        Ok(well)
    })
}

/// A director that has lost one of its threads must not go on with the others.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(error = %words::of(&error), "the service manager was not told");
    }
}

fn exit_of(error: &director::Error) -> Exit {
    if error.is_no_ipvs() {
        Exit::NoIpvs
    } else if error.is_denied() {
        Exit::NoRights
    } else {
        Exit::Failed
    }
}

fn failed(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    complain(error);
    exit
}

/// An error with what the operator can do about it.
struct Remedied<'a>(&'a director::Error);

impl std::fmt::Display for Remedied<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)?;
        if self.0.is_no_ipvs() || self.0.is_denied() {
            f.write_str("; `cargo lab demo` in the sources tries caribe without either")?;
        }
        Ok(())
    }
}
