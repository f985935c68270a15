use super::*;

#[test]
fn a_request_sums_up_to_nothing() {
    for mark in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
        let request = request(false, Some(0xfedc), mark);
        assert_eq!(request.len(), HEADER + MARK);
        assert_eq!(checksum(&request), 0);
    }
}

impl Sockets {
    /// Requests from `source` are sent over IPv4, from anywhere, and nobody hears their replies.
    pub(crate) fn be_deaf(&self, source: &Source) {
        let (socket, raw) = open_socket(false, &Source::default()).unwrap();
        let echoes = Echoes {
            socket: UdpSocket::from_std(socket.into()).unwrap(),
            ipv6: false,
            raw: raw.then_some(7),
            waiting: Mutex::default(),
        };
        let deaf = Open {
            echoes: Arc::new(echoes),
            reader: tokio::spawn(std::future::pending()),
        };
        self.open
            .lock()
            .unwrap()
            .insert((false, source.clone()), deaf);
    }
}

/// Who waits at a socket, and what is told.
fn waiting(
    ipv6: bool,
    raw: Option<u16>,
    to: IpAddr,
) -> (Arc<Echoes>, Request, oneshot::Receiver<Reply>) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let echoes = Echoes {
        socket: UdpSocket::from_std(socket).unwrap(),
        ipv6,
        raw,
        waiting: Mutex::default(),
    };
    let request = (to, fastrand::u128(..));
    let (sender, reply) = oneshot::channel();
    echoes.waiting().insert(request, sender);
    (Arc::new(echoes), request, reply)
}

#[tokio::test]
async fn a_request_that_comes_back_is_known_by_as_much_as_is_quoted() {
    let target: IpAddr = "198.51.100.7".parse().unwrap();
    let other: IpAddr = "198.51.100.8".parse().unwrap();
    for (ipv6, raw) in [
        (false, None),
        (true, None),
        (false, Some(7)),
        (true, Some(7)),
    ] {
        let (echoes, (_, mark), _reply) = waiting(ipv6, raw, target);
        let sent = request(ipv6, raw, mark);
        let another = request(ipv6, raw, mark ^ 1);
        let stranger = request(ipv6, Some(8), mark);
        let mut answer = sent.clone();
        answer[0] = if ipv6 { 129 } else { 0 };
        let table = [
            (target, sent.as_slice(), true),
            (target, &sent[..HEADER], true),
            (target, &sent[..HEADER + MARK - 1], true),
            (target, &sent[..HEADER - 1], false),
            (target, &[], false),
            (other, &sent[..HEADER], false),
            (target, &another[..HEADER], false),
            (target, &stranger[..HEADER], raw.is_none()),
            (target, &answer, false),
        ];
        for (to, quote, known) in table {
            let returned = Returned {
                to,
                quote: quote.to_vec(),
                refusal: None,
            };
            let found = echoes.request_of(&returned);
            assert_eq!(found, known.then_some((target, mark)), "{to} {quote:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_refusal_leaves_a_request_waiting() {
    let target: IpAddr = "198.51.100.7".parse().unwrap();
    let (echoes, (_, mark), mut reply) = waiting(false, None, target);
    echoes.take_back(&Returned {
        to: target,
        quote: request(false, None, mark),
        refusal: None,
    });
    assert_eq!(reply.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    let mut answer = request(false, None, mark);
    answer[0] = 0;
    echoes.take(&answer, "198.51.100.8".parse().unwrap());
    assert_eq!(reply.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    echoes.take(&answer, target);
    assert_eq!(reply.try_recv(), Ok(Ok(())));
}

#[tokio::test]
async fn a_socket_whose_source_has_gone_is_replaced_and_another_is_not() {
    let to: IpAddr = "127.0.0.1".parse().unwrap();
    let from = |address: Option<&str>| Source {
        address: address.map(|it| it.parse().unwrap()),
        ..Source::default()
    };
    // To this one, as to one whose interface has gone, no address means anything.
    let lost = || {
        let (lost, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
        lost.set_nonblocking(true).unwrap();
        let descriptor = std::os::fd::OwnedFd::from(lost);
        Open::reading(Arc::new(Echoes {
            socket: UdpSocket::from_std(descriptor.into()).unwrap(),
            ipv6: false,
            raw: None,
            waiting: Mutex::default(),
        }))
    };
    let sockets = Sockets::default();
    let known = [None, Some("127.0.0.1"), Some("192.0.2.7")].map(from);
    for source in &known {
        let key = (false, source.clone());
        sockets.open.lock().unwrap().insert(key, lost());
    }
    let [anywhere, here, gone] = known;
    let failure = sockets.send(to, &anywhere).unwrap_err();
    assert!(failure.concerns_server(), "{failure}");
    for _ in 0..2 {
        let waiting = sockets.send(to, &here).unwrap();
        assert_eq!(waiting.answered().await, Ok(()));
    }
    let failure = sockets.send(to, &gone).unwrap_err();
    assert!(!failure.concerns_server(), "{failure}");
    assert_eq!(sockets.open.lock().unwrap().len(), 3);
}
