//! Who is alive, and who owns which group: a pure machine, and the datagrams it speaks with.
//!
//! # The protocol on a page
//!
//! At every keepalive each director sends one [`Heartbeat`], the same to every peer on every path;
//! [`Codec`] makes the datagrams and signs them. What changes ownership is sent at once, with the
//! wish to be answered at once, and again every quarter of a keepalive until all living peers have
//! echoed it, four times at most.
//!
//! **What is trusted.** A director draws a random session when it starts, and counts its
//! heartbeats. Each heartbeat echoes the last session and counter heard from each peer.
//! - A new session is trusted only by a heartbeat that echoes the receiver's own session and a
//!   counter that it sent less than deadtime ago: a proof. Until then it is a candidate; a director
//!   without a trusted session of a peer echoes the candidates in turn, four at most, so that two
//!   fresh directors know each other after two heartbeats. A recorded session can hold this up by
//!   some keepalives, and do no more. A session that another has followed stays away for as long
//!   as it is heard.
//! - Within a trusted session each path hears a counter once, and a datagram names its path.
//! - A trusted session that does not echo us speaks, but does not hear us: a path is cut in one
//!   direction. It is listened to as long as its clock, which ran along with ours since the last
//!   proof, says that it was sent within deadtime. No absolute time is compared, and what was lost
//!   and recorded is of no use later.
//!
//! **Who is alive.** A peer from which a trusted heartbeat came in within deadtime, by any path; it
//! *hears us* if it has echoed one that we sent within deadtime. A peer is dead when it is silent
//! for deadtime; when its host has said on every path that is up that nobody listens, and no
//! heartbeat has contradicted that for a tenth of a keepalive (2 ms at least: such a message can be
//! forged, and a peer that lives is asked to answer); when it says that it stops and holds
//! nothing; or when somebody who outlives it sends its *last word*, a heartbeat with the greatest
//! counter, which it signed for that while it lived. A dead peer that speaks again is alive.
//!
//! **Who owns a group.** A director judges by what it hears, after each input:
//! - Standby, and no living peer is active or still releasing: it takes the group if it is the best
//!   candidate alive: fit, then ready, then how fit, then preferred, then priority, then name, which
//!   everybody says of itself. A better candidate that does not take the group is passed over after
//!   deadtime, two of them after twice that.
//! - It does not take what a living peer hears a third director hold, if that one is only silent to
//!   us, or if the peer has heard a newer claim of it.
//! - It does not take when it is unfit, unless it knows of every peer that it is unfit or not
//!   running: being cut off looks like everybody else's death. An unfit director stays active while
//!   nobody fit and ready is there; but one that reaches none of its reachability targets leaves
//!   when it hears no peer and cannot know that none runs: it is probably itself that is cut off.
//! - After its start it takes nothing until every peer has proved to hear it, initdead is over, or
//!   an active director of the group has been heard. A group that nobody has held since then waits
//!   on, until initdead is over at most, for every fit candidate to be ready: who is first by
//!   some milliseconds is so by chance.
//! - Active, and another is active too: if the other hears us, the lower in the above order leaves;
//!   if it does not, for deadtime since it was first heard again, we leave, since it cannot know.
//!   Whoever stays claims a newer epoch and announces its addresses, when it has won and again
//!   when the other has left.
//!   It also outbids a newer claim of somebody who has left unheard, but not of one whom only a
//!   third director hears and says to be active: the two would outbid each other without an end.
//! - Active, and a fit and ready peer that hears us is better: unfit, we hand over at once; with
//!   automatic failback after its delay, if more than a name or readiness is between us. The same
//!   when an operator says so, or wants us to stand by, or when the daemon stops.
//! - Handing over is make before break. We are *releasing* with an offer: the VIPs are quiet, which
//!   is that they forward what comes but are not answered for. Whom we offer the group to takes it
//!   the moment it hears that, and nobody else does. A second after we have heard its claim, we
//!   remove the VIPs; until then we take the group at once if it is offered back, and are in nobody's
//!   way if it is handed on. If it does not claim the group within deadtime, or is gone, we take it back,
//!   and offer that peer nothing for a minute unless told to. Two never answer for a VIP in it, and
//!   at every moment one forwards.
//! - Who stands by takes nothing, and gives what it has to the first peer that is fit and ready.
//! - Not run for longer than deadtime: another may have taken over. Every group is left before
//!   anything is said, unless every peer is heard at once (sent within two keepalives by its clock), holds
//!   nothing, and knows of no other owner. Then nothing is taken until those that were alive have
//!   answered or deadtime is over.
//!
//! A change is said at once, four times within a keepalive or until everybody has echoed it, and
//! whoever hears that answers at once. What is only an answer asks for none: five directors with
//! something to say would otherwise answer each other's answers, more with each travel.
//!
//! **What may wait.** Who hears a peer that has no group learns nothing from most of its heartbeats
//! that it must act upon. It may leave them unread until it speaks itself
//! ([`Machine::lets_wait`]), but for those that ask for an answer, and is then told for how long each
//! has been there, so that it takes nobody for late. The peers come to speak when an owner does, as
//! soon as they hear it: each host is woken once in a keepalive, however many directors there are.
//!
//! An epoch is one more than the newest known. The owner of a group is the active director with the
//! newest.
//!
//! # The contract
//!
//! [`Machine`] has no clock, socket or random number. Feed it [`Input`]s with
//! [`Machine::handle`]; then do what [`Machine::poll_output`] says until it says nothing, in that
//! order; then wait until [`Machine::poll_timeout`] for the next input, and give
//! [`Input::Timeout`] if there is none. Only `handle` changes the time of the next timeout, any
//! input can. A timeout that comes early, twice or late does no harm: it does what is due.
//!
//! After a wait, read the sockets before giving [`Input::Timeout`], and then give it even if there
//! was something to read. A heartbeat that is handled while a timeout is due is only remembered:
//! after a pause, short or long, the first one read says nothing of those behind it. The timeout
//! then judges by all of them. What was let wait is read before any other input is given.
//!
//! [`Input::Released`] must follow every [`Output::Deactivate`], once the addresses are gone:
//! until then the others wait. Inputs and outputs can be serialised, and the same inputs at the same
//! times give the same outputs, so a run can be recorded and replayed.

mod auth;
mod event;
mod heartbeat;
mod histogram;
mod last_word;
mod liveness;
mod machine;
mod ownership;
mod packet;
mod recording;
mod rhythm;
mod rules;
mod settings;
#[cfg(test)]
mod sim;
mod status;

pub use auth::{KeyId, Keys, TAG_LEN};
pub use event::{Answer, Ask, DeathCause, Event, Input, Left, Output, Refusal, Taken, Unsuited};
pub use heartbeat::{Claim, Echo, Fitness, Heartbeat, Rank, Role, Standing, Station};
pub use histogram::Histogram;
pub use machine::Machine;
pub use packet::{
    Codec, Dropped, Limit, MAX_DATAGRAM, MAX_DIRECTORS, MAX_GROUPS, MAX_NAME, MAX_STATIONS,
    datagram_len,
};
pub use recording::{Counted, Difference, Line, Replay, Start, Step};
pub use rhythm::Rhythm;
pub use settings::{GroupSettings, PeerSettings, Settings};
pub use status::{Counters, GroupStatus, Liveness, PathStatus, PeerStatus, Status};
