mod listing;
mod other;
mod restore;
mod sample;
mod texts;

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use ipvs::connections::{self, ListedConnection};
use ipvs::fake::Fake;
use ipvs::netlink::KernelError;
use ipvs::{
    Command, Error, Info, Kernel, ListedService, Protocol, ServiceKey, SyncDaemon, Table, Timeouts,
};

use super::Session;
use super::kernel::Source;
use super::names::Resolver;

/// A kernel whose state a test sees after a run.
#[derive(Clone, Default)]
struct Stub {
    fake: Rc<RefCell<Fake>>,
    /// What is listed in place of the fake's table.
    services: Option<Rc<Vec<ListedService>>>,
    connections: Rc<Vec<String>>,
}

impl Stub {
    fn listing(services: Vec<ListedService>) -> Self {
        Self {
            services: Some(Rc::new(services)),
            ..Self::default()
        }
    }

    fn failing(fault: Error) -> Self {
        let stub = Self::default();
        stub.fake.borrow_mut().fault = Some(fault);
        stub
    }

    fn table(&self) -> Table {
        self.fake.borrow().table.clone()
    }
}

impl Kernel for Stub {
    fn listing(&mut self) -> Result<Vec<ListedService>, Error> {
        match &self.services {
            Some(services) => Ok(services.to_vec()),
            None => self.fake.borrow_mut().listing(),
        }
    }

    fn execute(&mut self, commands: &[Command]) -> Result<Vec<Result<(), KernelError>>, Error> {
        self.fake.borrow_mut().execute(commands)
    }

    fn info(&mut self) -> Result<Info, Error> {
        Ok(Info {
            version: (1, 2, 1),
            connection_table_size: 4096,
        })
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.fake.borrow_mut().timeouts()
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        self.fake.borrow_mut().daemons()
    }
}

impl Source for Stub {
    fn service(&mut self, key: &ServiceKey) -> Result<ListedService, Error> {
        let found = self
            .listing()?
            .into_iter()
            .find(|listed| listed.key == *key);
        found.ok_or(Error::NoService(*key))
    }

    fn connections(
        &mut self,
    ) -> Result<Box<dyn Iterator<Item = Result<ListedConnection, Error>>>, Error> {
        let lines = (*self.connections).clone().into_iter();
        Ok(Box::new(lines.map(|line| {
            connections::parse(&line).map_err(Error::from)
        })))
    }
}

/// Knows few names, and no network.
struct Book;

impl Resolver for Book {
    fn address(&self, name: &str) -> Option<Ipv4Addr> {
        (name == "www.example.net").then_some(Ipv4Addr::new(192, 0, 2, 80))
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        match (name, protocol) {
            ("http", Protocol::Tcp) => Some(80),
            ("domain", Protocol::Tcp | Protocol::Udp) => Some(53),
            _ => None,
        }
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        listing::name(address).map(str::to_owned)
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        (port == 80 && protocol == Protocol::Tcp).then(|| "http".to_owned())
    }
}

/// Status, standard output and standard error of a run with some standard input.
fn run(args: &[&str], input: &str, kernel: &Stub) -> (u8, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = run_into(args, input, Ok(kernel), &mut stdout, &mut stderr);
    (
        status,
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn run_into(
    args: &[&str],
    input: &str,
    kernel: Result<&Stub, fn() -> Error>,
    stdout: &mut impl Write,
    stderr: &mut Vec<u8>,
) -> u8 {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    Session {
        program: "lvsadm",
        resolver: &Book,
        open: || kernel.cloned().map_err(|error| error()),
        terminal: false,
        stdin: input.as_bytes(),
        stdout,
        stderr,
    }
    .run(&args)
}

/// An output that fails as it is told to.
struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
