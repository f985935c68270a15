//! ICMP: echo requests, of which many targets share a socket.

use serde::{Deserialize, Serialize};

use crate::failure::{End, Failure, Stage};
use crate::kinds::Ask;
use crate::probing::Probing;
use crate::report::Answer;
use crate::socket;
#[cfg(test)]
use crate::testing::Talk;
#[cfg(test)]
use crate::tls::Tls;

/// Sends one echo request (ping), and waits for the reply.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Icmp;

impl Ask for Icmp {
    const PORT: bool = false;

    async fn ask(&self, probing: &mut Probing) -> Result<Answer, Failure> {
        let address = probing.address().ip();
        let waiting = probing.shared().echoes().send(address, probing.source())?;
        match probing.during(Stage::Waiting, waiting.answered()).await {
            Ok(Ok(())) => {
                probing.byte_came();
                Ok(Answer::good())
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => {
                // The socket has been there before this probe.
                socket::is_there(probing.source(), address.is_ipv6())?;
                Err(Failure::Reply {
                    expected: "an echo reply".to_owned(),
                    got: String::new(),
                    end: End::TimedOut(probing.timeout()),
                })
            }
        }
    }

    #[cfg(test)]
    fn talks(_tls: &Tls) -> Vec<Talk<Self>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::spec::{ProbeKind, ProbeSpec, Source};
    use crate::{Shared, Target};

    fn target(address: &str, timeout: u64) -> Target {
        let spec = ProbeSpec {
            timeout: Duration::from_secs(timeout),
            ..ProbeSpec::new(ProbeKind::Icmp(Icmp))
        };
        Target::new(SocketAddr::new(address.parse().unwrap(), 0), spec)
    }

    #[tokio::test]
    async fn many_targets_answer_over_one_socket_of_each_family() {
        let shared = Shared::default();
        let addresses = (1..=100).map(|host| format!("127.0.1.{host}"));
        let addresses: Vec<String> = addresses.chain(["::1".to_owned()]).collect();
        let mut probes = tokio::task::JoinSet::new();
        for address in addresses {
            let shared = shared.clone();
            probes.spawn(async move {
                let report = crate::probe(&target(&address, 30), &shared).await;
                (address, report)
            });
        }
        while let Some(report) = probes.join_next().await {
            let (address, report) = report.unwrap();
            assert_eq!(report.result, Ok(Answer::good()), "{address}");
            assert!(report.times.first_byte.is_some());
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_is_waited_for_and_others_are_not_held_up() {
        let shared = Shared::default();
        // A black hole on loopback: packets for it are routed back to this host, which is not it.
        let silent = crate::probe(&target("127.255.255.255", 1), &shared).await;
        let failure = silent.result.unwrap_err();
        assert!(failure.concerns_server() || failure.to_string().contains("could not run"));
        let report = crate::probe(&target("127.0.0.1", 30), &shared).await;
        assert_eq!(report.result, Ok(Answer::good()));
    }

    #[tokio::test]
    async fn a_source_that_this_host_has_not_is_not_the_servers_fault() {
        let spec = ProbeSpec {
            source: Source {
                address: Some("192.0.2.7".parse().unwrap()),
                ..Source::default()
            },
            ..ProbeSpec::new(ProbeKind::Icmp(Icmp))
        };
        let target = Target::new("127.0.0.1:0".parse().unwrap(), spec);
        let report = crate::probe(&target, &Shared::default()).await;
        assert!(!report.result.unwrap_err().concerns_server());
    }

    #[tokio::test]
    async fn an_address_that_has_gone_is_not_the_servers_fault() {
        for (address, here) in [("127.0.0.1", true), ("192.0.2.7", false)] {
            let spec = ProbeSpec {
                source: Source {
                    address: Some(address.parse().unwrap()),
                    ..Source::default()
                },
                timeout: Duration::from_secs(1),
                ..ProbeSpec::new(ProbeKind::Icmp(Icmp))
            };
            let shared = Shared::default();
            shared.echoes().be_deaf(&spec.source);
            let target = Target::new("127.0.0.1:0".parse().unwrap(), spec);
            let failure = crate::probe(&target, &shared).await.result.unwrap_err();
            assert_eq!(failure.concerns_server(), here, "{address}: {failure}");
        }
    }
}
