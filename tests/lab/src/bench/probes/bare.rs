//! A bare loop of epoll: the least that it takes to ask targets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, sockopt,
};

/// Targets that are asked at a time.
pub(super) const CONCURRENCY: usize = 256;

/// Asks one target after the other: connects without waiting, waits, sees how it went, closes; and in
/// between sends `question`, unless it is empty, and takes what comes. How many were asked.
pub(super) fn ask(
    targets: impl IntoIterator<Item = SocketAddr>,
    question: &[u8],
) -> io::Result<u64> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut targets = targets.into_iter();
    let mut under_way = Vec::with_capacity(CONCURRENCY);
    for (place, target) in targets.by_ref().take(CONCURRENCY).enumerate() {
        under_way.push(Some(begin(&poll, target, place)?));
    }
    let (mut left, mut asked) = (under_way.len(), 0);
    let mut events = Vec::with_capacity(CONCURRENCY);
    while left > 0 {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let place = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let Some(slot) = under_way.get_mut(place) else {
                continue;
            };
            let over = match slot {
                Some(socket) => go_on(socket, event.flags, question)?,
                None => false,
            };
            if over {
                asked += 1;
                *slot = None;
                match targets.next() {
                    Some(target) => *slot = Some(begin(&poll, target, place)?),
                    None => left -= 1,
                }
            }
        }
    }
    Ok(asked)
}

fn begin(poll: &OwnedFd, target: SocketAddr, place: usize) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let data = epoll::EventData::new_u64(place as u64);
    let flags = epoll::EventFlags::OUT | epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(poll, &socket, data, flags)?;
    Ok(socket)
}

/// The next step with a socket; whether it was the last.
fn go_on(socket: &OwnedFd, flags: epoll::EventFlags, question: &[u8]) -> io::Result<bool> {
    if question.is_empty() {
        sockopt::socket_error(socket)??;
    } else if flags.contains(epoll::EventFlags::IN) {
        recv(socket, &mut [0; 1024], RecvFlags::empty())?;
    } else {
        send(socket, question, SendFlags::NOSIGNAL)?;
        return Ok(false);
    }
    // It leaves nothing in TIME_WAIT.
    sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
    Ok(true)
}
