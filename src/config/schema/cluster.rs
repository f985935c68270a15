//! The sections about directors: cluster, heartbeat, director, reachability, group, control,
//! watchdog.

use super::{HOUR, Key, Kind, Otherwise, Section, ms, secs};

pub(in super::super) const CLUSTER: Section = Section {
    header: "[cluster]",
    doc: "Who belongs together, and the secrets that prove it. Required.",
    keys: &[&CLUSTER_NAME, &CLUSTER_KEYS],
    later: &[],
};

pub(in super::super) const CLUSTER_NAME: Key = Key {
    name: "name",
    kind: Kind::Name,
    otherwise: Otherwise::Required,
    doc: "Heartbeats that carry the name of another cluster are dropped. \
          Clusters that share a network need different names.",
};

pub(in super::super) const CLUSTER_KEYS: Key = Key {
    name: "keys",
    kind: Kind::List(&Kind::Path),
    otherwise: Otherwise::Required,
    doc: "Key files. The first signs heartbeats, all of them verify: to change the key, add the \
          new one at the end on every director, then move it to the front, then drop the old \
          one (see CHANGING THE KEY). Each is a regular file of mode 0600 or 0400 that belongs to root or to the \
          user running caribe; anything else is refused. It holds one line of 64 or more \
          hexadecimal digits, or of base64 that stands for 32 bytes or more.",
};

pub(in super::super) const HEARTBEAT: Section = Section {
    header: "[heartbeat]",
    doc: "How often directors tell each other that they live, and when silence means death. \
          Optional.",
    keys: &[&KEEPALIVE, &DEADTIME, &WARNTIME, &INITDEAD, &HEARTBEAT_PORT],
    later: &[],
};

pub(in super::super) const KEEPALIVE: Key = Key {
    name: "keepalive",
    kind: Kind::Duration(ms(5), secs(60)),
    otherwise: Otherwise::Duration(ms(200)),
    doc: "Time between two heartbeats on a path. One may come earlier, together with a peer's, and \
          the next up to an eighth of it later. Kernels before 6.2 add up all IPVS statistics \
          every two seconds in one go, and let nothing else run meanwhile; where thousands of \
          servers make that longer than a keepalive may be late, set run_estimation = 0 in \
          ipvs.sysctl and do without rates. Where packets are many, the kernel leaves them, and \
          heartbeats among them, to its ksoftirqd threads, which wait for a processor as any \
          program does. Where others want it all the time, chrt --rr --pid 19 puts such a thread \
          before them and after the heartbeats, which have 20; a flood of packets goes before them \
          then, too.",
};

pub(in super::super) const DEADTIME: Key = Key {
    name: "deadtime",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Duration(secs(1)),
    doc: "Silence on every path that means a peer is dead. Must be above twice keepalive, so that \
          one lost heartbeat does not move a group. Below 30 ms it wants hosts that are never \
          paused.",
};

pub(in super::super) const WARNTIME: Key = Key {
    name: "warntime",
    kind: Kind::Duration(ms(5), HOUR),
    otherwise: Otherwise::Is("half of deadtime"),
    doc: "Silence that is logged as late. Must be above keepalive and below deadtime.",
};

pub(in super::super) const INITDEAD: Key = Key {
    name: "initdead",
    kind: Kind::Duration(ms(10), HOUR),
    otherwise: Otherwise::Duration(secs(5)),
    doc: "How long a fresh start waits for peers that it has never heard. Must not be below \
          deadtime; when it is not given and deadtime is longer than its default, it is deadtime. \
          Links and switches need some seconds after a boot.",
};

pub(in super::super) const HEARTBEAT_PORT: Key = Key {
    name: "port",
    kind: Kind::Integer(1, 65535),
    otherwise: Otherwise::Integer(539),
    doc: "UDP port of the heartbeats, on every director. What is urgent goes to this port too, but \
          leaves from another one, which the kernel chooses: a firewall must let it in from any \
          port.",
};

pub(in super::super) const DIRECTOR: Section = Section {
    header: "[[director]]",
    doc: "A host that runs caribe. The file lists all of them and is the same on each. At least \
          one, at most 8.",
    keys: &[&DIRECTOR_NAME, &PRIORITY, &PATHS],
    later: &[],
};

pub(in super::super) const DIRECTOR_NAME: Key = Key {
    name: "name",
    kind: Kind::Name,
    otherwise: Otherwise::Required,
    doc: "The name of the host as hostname(1) shows it, or what the option --node says.",
};

pub(in super::super) const PRIORITY: Key = Key {
    name: "priority",
    kind: Kind::Integer(0, 65535),
    otherwise: Otherwise::Integer(100),
    doc: "Among directors that can serve a group equally well, the one with more is preferred; \
          among equals the one whose name sorts first.",
};

pub(in super::super) const PATHS: Key = Key {
    name: "paths",
    kind: Kind::Tables(&PATH),
    otherwise: Otherwise::Required,
    doc: "The ways for heartbeats to this director, at least one and at most 16. The first path of \
          one director talks to the first path of every other, the second to the second, and so \
          on; so every director has as many. Two paths over different switches are worth having, IPv4 and \
          IPv6 and other kinds together.",
};

pub(in super::super) const PATH: Section = Section {
    header: "director.paths",
    doc: "Each entry of a director's paths is an inline table with exactly one of udp, broadcast, \
          multicast and serial. The paths of one place in all directors' lists are of one kind, \
          and lead to each other.",
    keys: &[
        &PATH_UDP,
        &PATH_BROADCAST,
        &PATH_MULTICAST,
        &PATH_INTERFACE,
        &PATH_TTL,
        &PATH_SERIAL,
        &PATH_BAUD,
    ],
    later: &[],
};

pub(in super::super) const PATH_UDP: Key = Key {
    name: "udp",
    kind: Kind::Address,
    otherwise: Otherwise::Is("none"),
    doc: "An address of the director itself, not a virtual one. The other directors send to it. \
          The only kind of path by which a director learns at once that a peer's daemon is gone \
          while its host lives.",
};

pub(in super::super) const PATH_BROADCAST: Key = Key {
    name: "broadcast",
    kind: Kind::Address,
    otherwise: Otherwise::Is("none"),
    doc: "The IPv4 broadcast address of a network that the directors share, such as 192.0.2.255, \
          the same for all of them; or 255.255.255.255, with interface. Every host of the network \
          receives the heartbeats.",
};

pub(in super::super) const PATH_MULTICAST: Key = Key {
    name: "multicast",
    kind: Kind::Address,
    otherwise: Otherwise::Is("none"),
    doc: "A multicast group, IPv4 or IPv6, the same for all directors; 239.0.0.0/8 and ff05::/16 \
          are free to use in a site. Needs interface.",
};

pub(in super::super) const PATH_INTERFACE: Key = Key {
    name: "interface",
    kind: Kind::Interface,
    otherwise: Otherwise::Is("with broadcast, the one that has the network"),
    doc: "With broadcast and multicast: where this director has the network. Directors may have it \
          on interfaces of different names.",
};

pub(in super::super) const PATH_TTL: Key = Key {
    name: "ttl",
    kind: Kind::Integer(1, 255),
    otherwise: Otherwise::Integer(1),
    doc: "With multicast: 1 stays on the network; each router on the way to a peer needs 1 more.",
};

pub(in super::super) const PATH_SERIAL: Key = Key {
    name: "serial",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "The device of a serial line to the other director, over a null modem cable; only where \
          there are two directors. It is opened raw, with 8 bits, no parity and no flow control, \
          and again when it was away. Nothing else may use it: no console, no getty.",
};

pub(in super::super) const PATH_BAUD: Key = Key {
    name: "baud",
    kind: Kind::Integer(9600, 460_800),
    otherwise: Otherwise::Integer(115_200),
    doc: "With serial: 9600, 19200, 38400, 57600, 115200, 230400 or 460800 bits a second, the same \
          at both ends. When a heartbeat takes longer on the line than keepalive, it is sent as \
          often as the line allows, and deadtime should leave room for three; caribe check tells.",
};

pub(in super::super) const REACHABILITY: Section = Section {
    header: "[reachability]",
    doc: "Hosts that tell a director whether it is itself cut off. Optional.",
    keys: &[&TARGETS],
    later: &[],
};

pub(in super::super) const TARGETS: Key = Key {
    name: "targets",
    kind: Kind::List(&Kind::Address),
    otherwise: Otherwise::Required,
    doc: "Addresses, IPv4 or IPv6, at most 16, that answer echo requests (ping) as long as the \
          network of the clients can be reached: the router, a switch. Each is asked every five \
          keepalives, but every 200ms at least and every second at most, and counts as unreached \
          when it has not answered for deadtime and for three requests. A director that reaches \
          fewer than another is less fit for every group; one that reaches none is unfit: it gives \
          its groups to a peer that reaches any, gives them up when it hears no peer any more, and \
          takes none over unless it knows that its peers are no better off. A virtual address or \
          one of a director is no good target.",
};

pub(in super::super) const GROUP: Section = Section {
    header: "[[group]]",
    doc: "Virtual IP addresses that move together. At any time at most one director is active in \
          a group. At least one, at most 40.",
    keys: &[
        &GROUP_NAME,
        &VIPS,
        &PREFER,
        &FAILBACK,
        &FAILBACK_DELAY,
        &ASK_FIRST,
        &MONITOR_LINKS,
    ],
    later: &[],
};

pub(in super::super) const GROUP_NAME: Key = Key {
    name: "name",
    kind: Kind::Name,
    otherwise: Otherwise::Required,
    doc: "What messages, commands and the virtual services of the group call it.",
};

pub(in super::super) const VIPS: Key = Key {
    name: "vips",
    kind: Kind::Tables(&VIP),
    otherwise: Otherwise::Required,
    doc: "The addresses, at least one. With forwarding by nat, list the address that the real \
          servers use as their router too, so that it moves along.",
};

pub(in super::super) const PREFER: Key = Key {
    name: "prefer",
    kind: Kind::Name,
    otherwise: Otherwise::Is("priority alone decides"),
    doc: "The name of the director that is preferred for this group before any priority. With two \
          groups that prefer different directors, both directors work.",
};

pub(in super::super) const FAILBACK: Key = Key {
    name: "failback",
    kind: Kind::Words(&["auto", "manual"]),
    otherwise: Otherwise::Text("auto"),
    doc: "Whether the group goes back by itself to a better director that has returned, or only \
          when an operator hands it over. One director is better than another if it is fitter, else \
          if the group prefers it, else by priority. It is less fit for a group if it reaches fewer \
          targets, or its kernel refuses services of the group; and unfit, which it gives the group \
          up for at once, without a link of monitor_links, or if it cannot work on the IPVS table.",
};

pub(in super::super) const FAILBACK_DELAY: Key = Key {
    name: "failback_delay",
    kind: Kind::Duration(ms(0), secs(24 * 3600)),
    otherwise: Otherwise::Duration(secs(60)),
    doc: "With automatic failback: how long the better director must have been fit and ready \
          before the group goes back to it. Keeps a director that comes and goes from pulling the \
          group along.",
};

pub(in super::super) const ASK_FIRST: Key = Key {
    name: "ask_first",
    kind: Kind::Duration(ms(0), secs(5)),
    otherwise: Otherwise::Duration(ms(300)),
    doc: "When no director has held the group lately, as at a start: how long the network is asked \
          for the addresses, by three ARP probes or neighbour solicitations each, before they are \
          put. One that a host answers for which is no director is not put, and told of, until that \
          host answers no more; the others are. What another director has held until now is put \
          without waiting, but for what a host is known to answer for. With 0 nobody is asked, and \
          an address is put whoever answers. See ADDRESSES THAT ANOTHER HOST HAS.",
};

pub(in super::super) const MONITOR_LINKS: Key = Key {
    name: "monitor_links",
    kind: Kind::List(&Kind::Interface),
    otherwise: Otherwise::Is("none"),
    doc: "A director that loses carrier on one of these interfaces is unfit for the group and \
          gives it up. A loss counts after 50 ms, the carrier's return after a second; an \
          interface that is not there has none.",
};

pub(in super::super) const VIP: Section = Section {
    header: "group.vips",
    doc: "Each entry of a group's vips is an inline table.",
    keys: &[&VIP_ADDRESS, &VIP_INTERFACE, &VIP_LABEL],
    later: &[],
};

pub(in super::super) const VIP_ADDRESS: Key = Key {
    name: "address",
    kind: Kind::Network,
    otherwise: Otherwise::Required,
    doc: "The address, with the prefix length of its network; /32 or /128 adds the address alone. \
          No address may be given twice in the file.",
};

pub(in super::super) const VIP_INTERFACE: Key = Key {
    name: "interface",
    kind: Kind::Interface,
    otherwise: Otherwise::Required,
    doc: "The interface that carries it, on every director.",
};

pub(in super::super) const VIP_LABEL: Key = Key {
    name: "label",
    kind: Kind::Text,
    otherwise: Otherwise::Is("none"),
    doc: "For an IPv4 address: the label that ip(8) and older tools show. It begins with the \
          interface's name and a colon, and has at most 15 bytes.",
};

pub(in super::super) const CONTROL: Section = Section {
    header: "[control]",
    doc: "Where the daemon is asked and told. Optional.",
    keys: &[&SOCKET],
    later: &["listen"],
};

pub(in super::super) const SOCKET: Key = Key {
    name: "socket",
    kind: Kind::Path,
    otherwise: Otherwise::Text("/run/caribe/caribe.sock"),
    doc: "The Unix socket of the API. The path has at most 107 bytes.",
};

pub(in super::super) const WATCHDOG: Section = Section {
    header: "[watchdog]",
    doc: "What resets the host when heartbeats stop while it lives. Optional.",
    keys: &[&WATCHDOG_DEVICE],
    later: &[],
};

pub(in super::super) const WATCHDOG_DEVICE: Key = Key {
    name: "device",
    kind: Kind::Path,
    otherwise: Otherwise::Is("none"),
    doc: "A watchdog of the kernel, such as /dev/watchdog. It is fed every second as long as the \
          thread that sends heartbeats turns; a clean stop switches it off, where the driver lets \
          it. Its timeout is the driver's own and should be 3 s or more. Nobody else may have it \
          open. Apart from it, the watchdog of systemd is fed where the unit asks for it.",
};
