use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::testing::{Server, full_backlog, hold, refusing};

async fn reach(watch: &Watch, to: SocketAddr) -> Result<(), String> {
    let connects = watch.get().unwrap();
    let waiting = connects.begin(to, &Source::default());
    let made = match waiting {
        Ok(mut waiting) => waiting.made().await,
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
        .map(|(_, it)| it.socket().unwrap().number)
        .collect();
    assert_eq!(numbers.len(), IDLE + EVENTS, "each has its own");
    for (good, mut waiting) in waiting {
        assert_eq!(waiting.made().await.is_ok(), good);
    }
    assert_eq!(idle(&watch), IDLE);
    assert!(watch.get().unwrap().state().seen.is_empty());
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
            let mut waiting = Arc::clone(&connects).begin(to, source).unwrap();
            let local = waiting.local_address().unwrap();
            if let Some(address) = source.address {
                assert_eq!(local.ip(), address);
            } else {
                assert_eq!(local.ip(), to.ip());
            }
            waiting.made().await.unwrap();
        }
    }
    // One that is bound would not notice that its address has gone.
    assert_eq!(idle(&watch), 2);
}

#[tokio::test]
async fn an_interface_or_address_is_looked_for_each_time() {
    let server = Server::new(hold).await;
    let watch = Watch::default();
    let connects = watch.get().unwrap();
    let table = [
        (Source::default(), true),
        (
            Source {
                address: Some("127.0.0.7".parse().unwrap()),
                ..Source::default()
            },
            false,
        ),
    ];
    for (source, kept) in table {
        for _ in 0..2 {
            let before = connects.state().next_number;
            let begun = Arc::clone(&connects).begin(server.address(), &source);
            begun.unwrap().made().await.unwrap();
            let opened = connects.state().next_number > before;
            assert_eq!(opened, !kept || before == 0, "{source:?}");
        }
    }
}

#[tokio::test]
async fn a_conversation_leaves_nothing_to_the_next() {
    let server = Server::new(|mut stream| async move {
        let mut number = [0; 1];
        stream.read_exact(&mut number).await.unwrap();
        // More than is read.
        stream.write_all(&[number[0]; 20_000]).await.unwrap();
        hold(stream).await;
    })
    .await;
    let watch = Watch::default();
    let connects = watch.get().unwrap();
    for number in 0..20 {
        let connects = Arc::clone(&connects);
        let begun = connects.begin(server.address(), &Source::default());
        let mut connection = begun.unwrap();
        connection.made().await.unwrap();
        connection.write_all(&[number]).await.unwrap();
        let mut input = Vec::new();
        let length = connection.read_to(&mut input, 100).await.unwrap();
        assert_eq!(input, vec![number; length]);
    }
    assert_eq!(connects.state().next_number, 1, "one socket");
}

#[tokio::test]
async fn what_is_too_much_at_once_is_said_and_heard_piece_by_piece() {
    const SIZE: usize = 8 * 1024 * 1024;
    let server = Server::new(|mut stream| async move {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    })
    .await;
    let watch = Watch::default();
    let begun = watch
        .get()
        .unwrap()
        .begin(server.address(), &Source::default());
    let mut connection = begun.unwrap();
    connection.made().await.unwrap();
    let said: Vec<u8> = (0..SIZE).map(|at| at.to_le_bytes()[at % 3]).collect();
    connection.write_all(&said).await.unwrap();
    connection.shut_down().unwrap();
    let mut heard = Vec::new();
    while connection.read_to(&mut heard, 4096).await.unwrap() > 0 {}
    assert!(heard == said);
}
