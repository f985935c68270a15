//! A kernel with IPVS for every test, and the hosts, cables and servers in it.
//!
//! Few machines that build this code have IPVS in their kernel, and none may have its network
//! changed by a test. So each kernel test boots a User-Mode Linux of its own: one ordinary program
//! that needs neither root nor virtualisation. The test binary is that kernel's process 1; it lays
//! a writable copy over the host's files, starts itself once more in it, and that second self runs
//! the body of the test:
//!
//! ```no_run
//! lab::kernel_test! {
//!     fn a_client_reaches_a_server(lab) {
//!         let farm = lab::Farm::new(lab, lab::Mode::Direct, lab::Family::V4);
//!         let answer = farm.client.exec(&["curl", "-s", "http://192.0.2.21/"]).expect_success();
//!         assert_eq!(answer, "rs1\n");
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Hosts are triples of namespaces (network, mounts, name), joined by bridges and veth pairs. What a
//! guest leaves in `/out` is found on the host under `target/lab/NAME`.

pub mod boot;
pub mod client;
pub mod director;
pub mod farm;
pub mod guest;
pub mod host;
pub mod line;
mod links;
mod namespaces;
pub mod net;
mod nginx;
pub mod packages;
pub mod traffic;
pub mod transfers;
pub mod wait;

pub use client::{Load, Report};
pub use director::Director;
pub use farm::{Family, Farm, Mode};
pub use host::{Host, Process};
pub use line::SerialLine;
pub use net::{Bridge, Cable};
pub use wait::{SOON, until};

use std::path::{Path, PathBuf};

/// A kernel with nothing in it but this process: where a test puts its hosts.
#[derive(Debug)]
pub struct Lab {
    /// Where results and logs go; the same folder is seen by the host.
    out: PathBuf,
}

impl Lab {
    /// The folder whose files outlive the guest.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }
}

/// Makes tests whose bodies run in a kernel of their own.
///
/// Each function takes the name under which its body knows the [`Lab`]. It fails, naming the remedy,
/// on a machine where no such kernel can be started.
#[macro_export]
macro_rules! kernel_test {
    ($($(#[$attribute:meta])* fn $name:ident($lab:ident) $body:block)+) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                $crate::boot::kernel_test(
                    concat!(module_path!(), "::", stringify!($name)),
                    |$lab: &$crate::Lab| $body,
                );
            }
        )+
    };
}

/// The folder where cargo put the programs of this build: `caribe` and `lvsadm` among them.
///
/// Test binaries live one level below it.
#[must_use]
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or_else(|| Path::new("/"));
    if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder).to_owned()
    } else {
        folder.to_owned()
    }
}
