use std::collections::BTreeSet;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{Server, full_backlog, hold, refusing};

async fn reach(watch: &Watch, to: SocketAddr) -> Result<(), String> {
    let connects = watch.get().unwrap();
    let waiting = connects.begin(to, &Source::default());
    let made = match waiting {
        Ok(waiting) => waiting.made().await,
        Err(failure) => Err(failure),
    };
    made.map(|_| ()).map_err(|failure| failure.to_string())
}

fn idle(watch: &Watch) -> usize {
    watch.get().unwrap().state().idle_count
}

#[tokio::test]
async fn a_socket_serves_check_after_check_and_remembers_none() {
    let up = Server::new(hold).await;
    let down = refusing("127.0.0.1");
    let (up, down) = (up.address(), down.local_addr().unwrap());
    let watch = Watch::default();
    for _ in 0..50 {
        assert_eq!(reach(&watch, up).await, Ok(()));
        let refused = Err("connection refused".to_owned());
        assert_eq!(reach(&watch, down).await, refused);
        assert_eq!(reach(&watch, down).await, refused);
    }
    assert_eq!(idle(&watch), 1);
    assert_eq!(watch.get().unwrap().state().next_number, 1, "one socket");
}

#[tokio::test]
async fn a_connection_is_given_up_with_a_reset() {
    let (ends, mut ended) = mpsc::channel(1);
    let server = Server::new(move |mut stream| {
        let ends = ends.clone();
        async move {
            let read = stream.read(&mut [0; 1]).await;
            ends.send(read.map_err(|error| error.kind())).await.unwrap();
        }
    })
    .await;
    let watch = Watch::default();
    for _ in 0..2 {
        assert_eq!(reach(&watch, server.address()).await, Ok(()));
        let end = ended.recv().await.unwrap();
        assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_socket_that_waited_in_vain_is_as_good_as_another() {
    let full = full_backlog().await;
    let up = Server::new(hold).await;
    let watch = Watch::default();
    let connects = watch.get().unwrap();
    let waiting = connects.begin(full.address(), &Source::default()).unwrap();
    // It is not waited for: nothing will come.
    tokio::task::yield_now().await;
    drop(waiting);
    assert_eq!(idle(&watch), 1);
    assert_eq!(reach(&watch, up.address()).await, Ok(()));
    assert_eq!(watch.get().unwrap().state().next_number, 1, "one socket");
}

#[tokio::test]
async fn many_wait_at_a_time_and_not_all_sockets_are_kept() {
    let up = Server::new(hold).await;
    let down = refusing("127.0.0.1");
    let watch = Watch::default();
    let mut waiting = Vec::new();
    for number in 0..IDLE + EVENTS {
        let good = number % 3 > 0;
        let to = if good {
            up.address()
        } else {
            down.local_addr().unwrap()
        };
        let begun = watch.get().unwrap().begin(to, &Source::default());
        waiting.push((good, begun.unwrap()));
    }
    let numbers: BTreeSet<u64> = waiting
        .iter()
        .map(|(_, it)| it.socket.as_ref().unwrap().number)
        .collect();
    assert_eq!(numbers.len(), IDLE + EVENTS, "each has its own");
    for (good, waiting) in waiting {
        assert_eq!(waiting.made().await.is_ok(), good);
    }
    assert_eq!(idle(&watch), IDLE);
    assert!(watch.get().unwrap().state().waiting.is_empty());
}

#[test]
fn sockets_are_kept_apart_by_what_they_cannot_change() {
    let addresses = [
        "192.0.2.1:80",
        "[2001:db8::1]:80",
        "[::ffff:192.0.2.1]:80",
        "[fe80::1%3]:80",
        "[fe80::1%4]:80",
    ];
    let families: BTreeSet<Family> = addresses
        .iter()
        .map(|address| Family::of(address.parse().unwrap()))
        .collect();
    assert_eq!(families.len(), addresses.len());
}

#[tokio::test]
async fn both_families_and_an_address_of_this_host_are_served_by_turns() {
    let v4 = Server::new(hold).await;
    let v6 = Server::at("::1", hold).await;
    let from = Source {
        address: Some("127.0.0.7".parse().unwrap()),
        ..Source::default()
    };
    let watch = Watch::default();
    let connects = watch.get().unwrap();
    for _ in 0..3 {
        for (to, source) in [
            (v4.address(), &Source::default()),
            (v6.address(), &Source::default()),
            (v4.address(), &from),
        ] {
            let waiting = Arc::clone(&connects).begin(to, source).unwrap();
            let socket = waiting.socket.as_ref().unwrap();
            let local = rustix::net::getsockname(&socket.descriptor).unwrap();
            let local = SocketAddr::try_from(local).unwrap();
            if let Some(address) = source.address {
                assert_eq!(local.ip(), address);
            } else {
                assert_eq!(local.ip(), to.ip());
            }
            waiting.made().await.unwrap();
        }
    }
    assert_eq!(idle(&watch), 3);
}
