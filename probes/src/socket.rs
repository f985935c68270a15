//! Sockets that come from where a probe shall come from.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::failure::{Failure, Stage};
use crate::refusals;
use crate::spec::Source;

/// A UDP socket that is connected to `to`: it takes datagrams from there alone, and learns what
/// the network says of its own (udp(7)).
pub(crate) fn udp(to: SocketAddr, source: &Source) -> Result<UdpSocket, Failure> {
    let socket = open(Domain::for_address(to), source, Type::DGRAM, Protocol::UDP)?;
    refusals::keep(&socket, to.is_ipv6())
        .and_then(|()| socket.connect(&to.into()))
        .map_err(|error| Failure::io(&error, Stage::Connecting))?;
    UdpSocket::from_std(socket.into()).map_err(|error| Failure::io(&error, Stage::Connecting))
}

/// A socket that does not block, before it is connected.
pub(crate) fn open(
    domain: Domain,
    source: &Source,
    kind: Type,
    protocol: Protocol,
) -> Result<Socket, Failure> {
    let kind = kind.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(protocol))
        .map_err(|error| Failure::io(&error, Stage::Connecting))?;
    if let Some(interface) = &source.interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(|error| not_from(format!("interface {interface}"), &error))?;
    }
    if let Some(mark) = source.mark {
        socket
            .set_mark(mark)
            .map_err(|error| not_from(format!("mark {mark}"), &error))?;
    }
    if let Some(address) = source.address {
        socket
            .bind(&SocketAddr::new(address, 0).into())
            .map_err(|error| not_from(format!("address {address}"), &error))?;
    }
    Ok(socket)
}

/// Whether this host still has what `source` names. Over IPv6 the kernel goes on sending from an
/// address that has gone.
pub(crate) fn is_there(source: &Source, ipv6: bool) -> Result<(), Failure> {
    if !source.may_go() {
        return Ok(());
    }
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    open(domain, source, Type::DGRAM, Protocol::UDP).map(drop)
}

/// What this host lacks is not the server's fault.
fn not_from(what: String, error: &io::Error) -> Failure {
    let words = words::of(error);
    Failure::NotRun(format!("it cannot come from {what}: {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_this_host_has_not_is_not_the_servers_fault() {
        let sources = [
            Source {
                address: Some("192.0.2.1".parse().unwrap()),
                ..Source::default()
            },
            Source {
                interface: Some("none-such0".to_owned()),
                ..Source::default()
            },
            Source {
                address: Some("2001:db8::1".parse().unwrap()),
                ..Source::default()
            },
        ];
        for source in sources {
            let opened = open(Domain::IPV4, &source, Type::STREAM, Protocol::TCP);
            let failure = opened.unwrap_err();
            assert!(!failure.concerns_server(), "{failure}");
            assert!(!failure.to_string().contains("os error"), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_source_that_this_host_has_is_used() {
        let source = Source {
            address: Some("127.0.0.7".parse().unwrap()),
            ..Source::default()
        };
        let socket = udp("127.0.0.1:9".parse().unwrap(), &source).unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), source.address.unwrap());
    }
}
