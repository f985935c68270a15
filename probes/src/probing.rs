//! A probe under way: until when it may wait, and what it took so far.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::connects::{Connection, Connects, Watch};
use crate::datagrams::Datagrams;
use crate::echoes::Sockets;
use crate::failure::{Failure, Stage};
use crate::report::Times;
use crate::session::Session;
use crate::socket;
use crate::spec::Source;
use crate::target::Target;
use crate::tls::{Tls, Trust};
use crate::users::Users;

/// What probes have in common: read once, and shared by all that run.
///
/// A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Common>);

#[derive(Debug, Default)]
struct Common {
    trust: Trust,
    echoes: Sockets,
    connects: Watch,
    users: Users,
}

impl Shared {
    pub(crate) fn trust(&self) -> &Trust {
        &self.0.trust
    }

    /// What sends echo requests.
    pub(crate) fn echoes(&self) -> &Sockets {
        &self.0.echoes
    }

    /// The users of this host.
    pub(crate) fn users(&self) -> &Users {
        &self.0.users
    }

    /// What makes TCP connections.
    pub(crate) fn connects(&self) -> Result<Arc<Connects>, Failure> {
        self.0.connects.get()
    }
}

/// A probe under way. The kinds do everything that may wait through it and what it gives them.
#[derive(Debug)]
pub(crate) struct Probing {
    target: Target,
    shared: Shared,
    start: Instant,
    stage: Stage,
    times: Times,
    /// When what was waited for last was there, if somebody has seen that already.
    ended: Option<Instant>,
    warning: Option<String>,
}

impl Probing {
    pub(crate) fn new(target: Target, shared: Shared, start: Instant) -> Self {
        Self {
            target,
            shared,
            start,
            stage: Stage::Connecting,
            times: Times::default(),
            ended: None,
            warning: None,
        }
    }

    /// What is probed.
    pub(crate) fn address(&self) -> SocketAddr {
        self.target.address()
    }

    /// From where.
    pub(crate) fn source(&self) -> &Source {
        &self.target.spec().source
    }

    /// What probes share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The timeout of the whole probe.
    pub(crate) fn timeout(&self) -> Duration {
        self.target.spec().timeout
    }

    /// When the whole probe ends. A timeout that no clock can count is as good as a day.
    pub(crate) fn end(&self) -> Instant {
        let day = Duration::from_secs(24 * 3600);
        self.start + self.timeout().min(day)
    }

    /// What is being done.
    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Does one step, which may wait until the probe's time is over.
    pub(crate) async fn during<F: Future>(
        &mut self,
        stage: Stage,
        step: F,
    ) -> Result<F::Output, Failure> {
        self.stage = stage;
        self.ended = None;
        tokio::time::timeout_at(self.end(), step)
            .await
            .map_err(|_| self.timed_out())
    }

    /// The failure of a probe whose time is over.
    pub(crate) fn timed_out(&self) -> Failure {
        Failure::TimedOut {
            after: self.timeout(),
            stage: self.stage,
        }
    }

    /// Sees whether a TCP connection to the target can be made: that is the whole probe.
    pub(crate) async fn reach(&mut self) -> Result<(), Failure> {
        self.connection().await.map(drop)
    }

    /// A TCP connection to the target.
    pub(crate) async fn connect(&mut self) -> Result<Session<'_>, Failure> {
        let connection = self.connection().await?;
        Ok(Session::new(self, connection))
    }

    async fn connection(&mut self) -> Result<Connection, Failure> {
        let connects = self.shared.connects()?;
        let mut connection = connects.begin(self.address(), self.source())?;
        let made = connection.made();
        let at = self.during(Stage::Connecting, made).await??;
        self.times.connect = Some(at.saturating_duration_since(self.start));
        self.ended = Some(at);
        Ok(connection)
    }

    /// A TCP connection to the target with TLS from the start, for a server that is called `name`
    /// unless the settings call it otherwise.
    pub(crate) async fn connect_tls(
        &mut self,
        tls: &Tls,
        name: Option<&str>,
    ) -> Result<Session<'_>, Failure> {
        let mut session = self.connect().await?;
        session.start_tls(tls, name).await?;
        Ok(session)
    }

    /// A UDP socket that is connected to the target.
    pub(crate) fn datagrams(&mut self) -> Result<Datagrams<'_>, Failure> {
        let socket = socket::udp(self.address(), self.source())?;
        Ok(Datagrams::new(self, socket))
    }

    pub(crate) fn tls_agreed(&mut self) {
        self.times.tls = Some(self.start.elapsed());
        self.times.first_byte = None;
    }

    pub(crate) fn byte_came(&mut self) {
        if self.times.first_byte.is_none() {
            self.times.first_byte = Some(self.start.elapsed());
        }
    }

    /// The same of what was seen at `at`, which spares a look at the clock.
    pub(crate) fn byte_seen(&mut self, at: Instant) {
        let took = at.saturating_duration_since(self.start);
        self.times.first_byte.get_or_insert(took);
        self.ended = Some(at);
    }

    /// Says what will be wrong soon.
    pub(crate) fn warn(&mut self, warning: String) {
        self.warning = Some(warning);
    }

    /// The warning, if there was one, and what the probe took until now.
    pub(crate) fn finish(self) -> (Option<String>, Times) {
        let mut times = self.times;
        let ended = self.ended.unwrap_or_else(Instant::now);
        times.whole = ended.saturating_duration_since(self.start);
        (self.warning, times)
    }
}
