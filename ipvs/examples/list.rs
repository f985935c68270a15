//! Lists the kernel's table as text; needs `CAP_NET_ADMIN`.

use std::error::Error;
use std::io::{self, Write};

use ipvs::{Client, Kernel};

fn main() -> Result<(), Box<dyn Error>> {
    let mut client = Client::open()?;
    let mut out = io::stdout().lock();
    for listed in client.listing()? {
        let service = &listed.service;
        write!(out, "{} {}", listed.key, service.scheduler)?;
        if let Some(persistence) = &service.persistence {
            write!(out, ", persistent for {} s", persistence.timeout)?;
        }
        writeln!(out, ", {} connections so far", listed.stats.connections)?;
        for server in &listed.destinations {
            let destination = &server.destination;
            writeln!(
                out,
                "    {} {:?}, weight {}: {} active and {} inactive connections",
                server.key,
                destination.forwarding,
                destination.weight,
                server.active,
                server.inactive,
            )?;
        }
    }
    Ok(())
}
