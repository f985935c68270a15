//! Makes sense of strings: names, paths, interfaces, addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use super::reader::At;
use crate::config::diagnostic::Fault;

/// Text from the file as it may stand in a message: in backticks, of moderate length and without
/// control characters.
pub(in crate::config) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    format!("`{}`", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

pub(super) fn read_name(text: &At<String>) -> Result<String, Fault> {
    let name = &text.value;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let label = if name.is_empty() {
        "it is empty"
    } else if name.len() > 64 {
        "it has more than 64 bytes"
    } else if !name.chars().all(good) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "letters, digits, `.`, `_` and `-`, with a letter or digit first"
    } else {
        return Ok(name.clone());
    };
    Err(Fault::new(&text.span, format!("{} is no name", quote(name))).label(label))
}

/// Bytes as people write them: `\n \r \t \\ \0 \xNN`, and the rest as it is.
pub(super) fn read_bytes(text: &At<String>) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut rest = text.value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'\\' {
            bytes.push(*byte);
            rest = after;
            continue;
        }
        let (byte, length) = match after {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'0', ..] => (b'\0', 1),
            [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
                let byte = digit(*high) << 4 | digit(*low);
                (u8::try_from(byte).unwrap_or_default(), 3)
            }
            _ => {
                let shown = String::from_utf8_lossy(&rest[..rest.len().min(4)]);
                return Err(Fault::new(
                    &text.span,
                    format!("{} means nothing", quote(shown.as_ref())),
                )
                .label("expected \\n, \\r, \\t, \\\\, \\0 or \\xNN after a backslash")
                .help("in a TOML string in double quotes each backslash is written twice"));
            }
        };
        bytes.push(byte);
        rest = &after[length..];
    }
    Ok(bytes)
}

pub(super) fn read_path(text: &At<String>) -> Result<String, Fault> {
    if text.value.contains('\0') {
        return Err(Fault::new(&text.span, "a path cannot hold a zero byte"));
    }
    if !text.value.starts_with('/') {
        let fault = Fault::new(
            &text.span,
            format!("{} is no absolute path", quote(&text.value)),
        );
        return Err(fault.label("expected a path that begins with `/`"));
    }
    Ok(text.value.clone())
}

/// What the kernel accepts as an interface's name (`dev_valid_name`, net/core/dev.c).
pub(super) fn read_interface(text: &At<String>) -> Result<String, Fault> {
    let name = &text.value;
    let fault = Fault::new(&text.span, format!("{} is no interface name", quote(name)));
    if let Some((interface, rest)) = name.split_once(':')
        && !interface.is_empty()
        && !rest.is_empty()
    {
        return Err(fault.label("a label, not an interface").help(format!(
            "name the interface, {}, and give `label` for the rest",
            quote(interface)
        )));
    }
    let label = if name.is_empty() {
        "it is empty"
    } else if name.len() > 15 {
        "it has more than 15 bytes"
    } else if name == "." || name == ".." {
        "the kernel refuses this name"
    } else if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) {
        "the kernel refuses `/`, `:`, spaces and control characters in it"
    } else {
        return Ok(name.clone());
    };
    Err(fault.label(label))
}

/// Why an address can be no host's, if it cannot.
fn unusable(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("it stands for no host"),
        _ if address.is_multicast() => Some("it is a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("it is the broadcast address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Some("it is an IPv4 address in the clothes of IPv6")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("a link-local address means nothing without its interface")
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

fn usable(address: IpAddr, text: &At<String>) -> Result<IpAddr, Fault> {
    match unusable(address) {
        Some(why) => Err(Fault::new(
            &text.span,
            format!("{} cannot be used here", quote(&text.value)),
        )
        .label(why)),
        None => Ok(address),
    }
}

pub(super) fn read_address(text: &At<String>) -> Result<IpAddr, Fault> {
    if let Ok(address) = text.value.parse() {
        return usable(address, text);
    }
    let fault = Fault::new(
        &text.span,
        format!("{} is no IP address", quote(&text.value)),
    );
    Err(if let Ok(network) = text.value.parse::<IpNet>() {
        fault
            .label("no prefix length is wanted here")
            .help(format!("write \"{}\"", network.addr()))
    } else if let Ok(socket) = text.value.parse::<SocketAddr>() {
        fault
            .label("no port is wanted here")
            .help(format!("write \"{}\", and the port as `port`", socket.ip()))
    } else if text.value.contains(|c: char| c.is_ascii_alphabetic()) && !text.value.contains(':') {
        fault
            .label("expected an address, not a name")
            .help("names are not resolved: a director must start when no name server answers")
    } else {
        fault.label("expected an address such as 192.0.2.80 or 2001:db8::80")
    })
}

/// A group to multicast to: the kernel refuses any other for connection sync
/// (`ip_vs_genl_new_daemon`, net/netfilter/ipvs/ip_vs_ctl.c).
pub(super) fn read_multicast(text: &At<String>) -> Result<IpAddr, Fault> {
    match text.value.parse::<IpAddr>() {
        Ok(address) if address.is_multicast() => Ok(address),
        Ok(_) | Err(_) => Err(Fault::new(
            &text.span,
            format!("{} is no multicast address", quote(&text.value)),
        )
        .label("expected one such as 224.0.0.81 or ff02::81")),
    }
}

/// That it is a network's last address cannot be seen without the network.
pub(super) fn read_broadcast(text: &At<String>) -> Result<Ipv4Addr, Fault> {
    let fault = Fault::new(
        &text.span,
        format!("{} is no broadcast address", quote(&text.value)),
    );
    match text.value.parse::<IpAddr>() {
        Ok(IpAddr::V4(address))
            if !address.is_multicast() && !address.is_unspecified() && !address.is_loopback() =>
        {
            Ok(address)
        }
        Ok(IpAddr::V6(_)) => Err(fault
            .label("IPv6 has no broadcast")
            .help("use `multicast`, such as \"ff05::539\"")),
        Ok(IpAddr::V4(_)) | Err(_) => {
            Err(fault.label("expected the last address of a network, such as 192.0.2.255"))
        }
    }
}

pub(super) fn read_network(text: &At<String>) -> Result<IpNet, Fault> {
    let network: IpNet = match text.value.parse() {
        Ok(network) => network,
        Err(_) => {
            let fault = Fault::new(
                &text.span,
                format!("{} is no address with prefix length", quote(&text.value)),
            );
            return Err(match text.value.parse::<IpAddr>() {
                Ok(address) => {
                    let alone = if address.is_ipv4() { 32 } else { 128 };
                    let usual = if address.is_ipv4() { 24 } else { 64 };
                    fault.label("its prefix length is missing").help(format!(
                        "write \"{address}/{usual}\" if that is its network's, or \
                         \"{address}/{alone}\" to add the address alone"
                    ))
                }
                Err(_) => fault.label("expected one such as 192.0.2.80/24 or 2001:db8::80/64"),
            });
        }
    };
    usable(network.addr(), text)?;
    // In networks of two addresses both are hosts' (RFC 3021, RFC 6164).
    let IpNet::V4(v4) = network else {
        return Ok(network);
    };
    let role = match network.addr() {
        _ if v4.prefix_len() >= 31 => return Ok(network),
        address if address == v4.network() => "it is the network's own address",
        address if address == v4.broadcast() => "it is the network's broadcast address",
        _ => return Ok(network),
    };
    Err(Fault::new(
        &text.span,
        format!("{} is no host's address", quote(&text.value)),
    )
    .label(role))
}

pub(super) fn read_address_port(text: &At<String>) -> Result<(IpAddr, Option<u16>), Fault> {
    let (address, port) = if let Ok(socket) = text.value.parse::<SocketAddr>() {
        (socket.ip(), Some(socket.port()))
    } else if let Ok(address) = text.value.parse() {
        (address, None)
    } else {
        let fault = Fault::new(
            &text.span,
            format!("{} is no address and port", quote(&text.value)),
        );
        return Err(fault.label("expected one such as 192.0.2.99:80 or [2001:db8::99]:80"));
    };
    if port == Some(0) {
        return Err(
            Fault::new(&text.span, format!("{} has port 0", quote(&text.value)))
                .label("expected a port from 1 to 65535"),
        );
    }
    Ok((usable(address, text)?, port))
}
