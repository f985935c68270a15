//! Events in words, for people.

use std::fmt;

use super::What;

impl What {
    /// Whether it should make somebody look.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match self {
            Self::DirectorDead { .. }
            | Self::DirectorRefuses { .. }
            | Self::DirectorHears {
                hears_us: false, ..
            }
            | Self::DirectorConfig { same: false, .. }
            | Self::PathDown { .. }
            | Self::LateHeartbeats { .. }
            | Self::Paused { .. }
            | Self::GroupConflict { .. }
            | Self::GroupUnserved { .. }
            | Self::VipLost { .. }
            | Self::VipForeseen { .. }
            | Self::VipRefused { .. }
            | Self::VipContested { .. }
            | Self::VipFailed { .. }
            | Self::Link { up: false, .. }
            | Self::ServerDown { .. }
            | Self::TableDrift { .. }
            | Self::TableFailed { .. }
            | Self::Lost { .. } => true,
            Self::Fitness { amiss, .. } => !amiss.is_empty(),
            Self::Started { .. }
            | Self::Stopping
            | Self::DirectorAlive { .. }
            | Self::DirectorHears { hears_us: true, .. }
            | Self::DirectorConfig { same: true, .. }
            | Self::PathUp { .. }
            | Self::GroupActive { .. }
            | Self::GroupOffered { .. }
            | Self::GroupStandby { .. }
            | Self::GroupConflictOver { .. }
            | Self::Takeover { .. }
            | Self::FirstPacket { .. }
            | Self::VipsHere { .. }
            | Self::VipsGone { .. }
            | Self::VipYielded { .. }
            | Self::Link { up: true, .. }
            | Self::ServerUp { .. }
            | Self::TableWorks => false,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { version, config } => {
                write!(f, "caribe {version} runs, configuration {config}")
            }
            Self::Stopping => write!(f, "caribe stops"),
            Self::DirectorAlive {
                director,
                silence_us,
                restarted,
            } => {
                let how = if *restarted { "was restarted" } else { "lives" };
                write!(f, "{director} {how}")?;
                match silence_us {
                    Some(silence) => write!(f, ", after {} ms of silence", ms(*silence)),
                    None => Ok(()),
                }
            }
            Self::DirectorDead {
                director,
                silence_us,
                cause,
            } => write!(
                f,
                "{director} is dead: {cause}, last heard {} ms ago",
                ms(*silence_us)
            ),
            Self::DirectorRefuses { director, path } => {
                write!(
                    f,
                    "nobody listens on the host of {director}, says path {path}"
                )
            }
            Self::DirectorHears {
                director,
                hears_us: true,
            } => write!(f, "{director} hears us"),
            Self::DirectorHears {
                director,
                hears_us: false,
            } => write!(f, "{director} does not hear us"),
            Self::DirectorConfig {
                director,
                same: true,
                ..
            } => write!(f, "{director} runs the same configuration"),
            Self::DirectorConfig {
                director,
                same: false,
                differing,
            } => {
                write!(f, "{director} runs another configuration")?;
                if differing.is_empty() {
                    return Ok(());
                }
                write!(f, ": {} differ", differing.join(", "))
            }
            Self::PathUp { director, path } => write!(f, "path {path} to {director} is up"),
            Self::PathDown { director, path } => write!(f, "path {path} to {director} is down"),
            Self::LateHeartbeats {
                director,
                path,
                heartbeats,
                longest_us,
            } => {
                let what = if *heartbeats == 1 {
                    "heartbeat"
                } else {
                    "heartbeats"
                };
                write!(
                    f,
                    "{heartbeats} late {what} of {director} on path {path}, {} ms at most",
                    ms(*longest_us)
                )
            }
            Self::Paused { lasted_us } => {
                write!(f, "this director was not run for {} ms", ms(*lasted_us))
            }
            Self::GroupActive {
                group,
                epoch,
                reason,
            } => write!(f, "active in {group}, epoch {epoch}: {reason}"),
            Self::GroupOffered { group, to, reason } => {
                write!(f, "gives {group} to {to}: {reason}")
            }
            Self::GroupStandby { group, reason } => write!(f, "standby in {group}: {reason}"),
            Self::GroupConflict { group, rival } => write!(f, "{rival} is active in {group} too"),
            Self::GroupConflictOver { group, rival } => {
                write!(f, "{rival} is no longer active in {group}")
            }
            Self::GroupUnserved { group } => {
                write!(f, "nobody is active in {group}, and this director is unfit")
            }
            Self::Fitness {
                group,
                fitness,
                amiss,
            } => {
                write!(f, "fitness for {group} is {fitness}")?;
                if amiss.is_empty() {
                    return Ok(());
                }
                write!(f, ": {}", amiss.join(", "))
            }
            Self::Takeover { .. } => self.takeover(f),
            Self::FirstPacket { group, after_us } => {
                let after = ms(*after_us);
                write!(f, "first packet for {group}, {after} ms after the claim")
            }
            Self::VipsHere { group, vips, of } => {
                write!(f, "VIPs of {group} are here: {}", share(*vips, *of))
            }
            Self::VipsGone { group, vips, of } => {
                write!(f, "VIPs of {group} are gone: {}", share(*vips, *of))
            }
            Self::VipLost { address, interface } => {
                write!(
                    f,
                    "somebody removed {address} from {interface}; it is put back"
                )
            }
            Self::VipRefused {
                address,
                interface,
                mac,
            } => write!(
                f,
                "{mac} has {address} on {interface}, and is no director: not put until it leaves"
            ),
            Self::VipForeseen {
                address,
                interface,
                mac,
            } => write!(
                f,
                "{mac} has {address} on {interface}, and is no director: it would not be put here"
            ),
            Self::VipContested {
                address,
                interface,
                mac,
                director,
            } => {
                match director {
                    Some(director) => write!(f, "{director} ({mac})")?,
                    None => write!(f, "{mac}")?,
                }
                write!(f, " answers for {address} on {interface} too")
            }
            Self::VipYielded { address, interface } => {
                write!(
                    f,
                    "nobody else answers for {address} on {interface} any more"
                )
            }
            Self::VipFailed { problem } => write!(f, "{problem}"),
            Self::Link { interface, up } => {
                let state = if *up { "up" } else { "down" };
                write!(f, "link {interface} is {state}")
            }
            Self::ServerUp { service, server } => write!(f, "{server} of {service} is up"),
            Self::ServerDown {
                service,
                server,
                reason,
            } => {
                write!(f, "{server} of {service} is down")?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::TableDrift { changes } => write!(
                f,
                "somebody changed the IPVS table; mended, {changes} in all"
            ),
            Self::TableFailed { problem } => write!(f, "cannot work on the IPVS table: {problem}"),
            Self::TableWorks => write!(f, "the IPVS table can be worked on again"),
            Self::Lost { events: 1 } => write!(f, "1 event is not known any more"),
            Self::Lost { events } => write!(f, "{events} events are not known any more"),
        }
    }
}

impl What {
    /// The phases in their order, from the first that is known.
    fn takeover(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Takeover {
            group,
            reason,
            heard_before_us,
            suspected_before_us,
            addresses_after_us,
            announced_after_us,
            ..
        } = self
        else {
            return Ok(());
        };
        let heard = heard_before_us.unwrap_or(0);
        let start = heard.max(suspected_before_us.unwrap_or(0));
        let before = |time: &Option<u64>| time.map(|time| start - time);
        let after = |time: &Option<u64>| time.map(|time| start.saturating_add(time));
        let phases = [
            ("last heartbeat", before(heard_before_us)),
            ("suspicion", before(suspected_before_us)),
            ("claim", Some(start)),
            ("addresses", after(addresses_after_us)),
            ("announced", after(announced_after_us)),
        ];
        write!(f, "takeover of {group} ({reason}): ")?;
        let mut unit = " ms";
        let known = phases.iter().filter_map(|(name, at)| Some((name, (*at)?)));
        for (i, (name, at)) in known.enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            if i == 0 && at == 0 {
                write!(f, "{name} 0")?;
            } else {
                write!(f, "{comma}{name} +{}{unit}", ms(at))?;
                unit = "";
            }
        }
        Ok(())
    }
}

/// All of them, or how many of how many.
fn share(part: usize, of: usize) -> String {
    if part == of {
        return part.to_string();
    }
    format!("{part} of {of}")
}

fn ms(micros: u64) -> String {
    let tenths = micros.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}
