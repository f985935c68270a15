use std::net::SocketAddr;
use std::time::Duration;

use probes::kinds::radius::Radius;
use probes::spec::{Login, ProbeKind, Secret};

use crate::process::Place;
use crate::trouble::hangs_and_returns;
use crate::{ask_for, is_down, is_up};

/// The least of a server that knows one client and one user.
fn configuration(folder: &str, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "name = freeradius\n\
         prefix = /usr\n\
         localstatedir = {folder}\n\
         logdir = {folder}\n\
         run_dir = {folder}\n\
         libdir = /usr/lib/freeradius\n\
         pidfile = {folder}/pid\n\
         security {{\n  reject_delay = 0\n  status_server = yes\n}}\n\
         thread pool {{\n}}\n\
         modules {{\n\
           pap {{\n  }}\n\
           files {{\n    usersfile = {folder}/users\n  }}\n\
         }}\n\
         client test {{\n  ipaddr = 127.0.0.0/8\n  secret = shared\n\
           require_message_authenticator = yes\n}}\n\
         server test {{\n\
           listen {{\n    type = auth\n    ipaddr = {ip}\n    port = {port}\n  }}\n\
           authorize {{\n    files\n    pap\n  }}\n\
           authenticate {{\n    Auth-Type PAP {{\n      pap\n    }}\n  }}\n\
         }}\n"
    )
}

fn status(secret: &str) -> ProbeKind {
    ProbeKind::Radius(Radius {
        secret: Secret(secret.to_owned()),
        login: None,
    })
}

fn login(user: &str, password: &str) -> ProbeKind {
    ProbeKind::Radius(Radius {
        secret: Secret("shared".to_owned()),
        login: Some(Login {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
        }),
    })
}

#[tokio::test]
async fn freeradius_lets_in_whom_it_knows() {
    let place = Place::new(1812);
    let folder = place.path("").to_str().unwrap().to_owned();
    let long = "a password that is longer than sixteen bytes";
    let users = format!(
        "probe Cleartext-Password := \"secret\"\n\
         long Cleartext-Password := \"{long}\"\n\
         closed Auth-Type := Reject\n  Reply-Message = \"come back tomorrow\"\n"
    );
    place.write("users", &users);
    place.write("dictionary", "$INCLUDE /usr/share/freeradius/dictionary\n");
    place.write("radiusd.conf", &configuration(&folder, place.address));
    let mut command = place.command("/usr/sbin/freeradius");
    command.args(["-X", "-n", "radiusd", "-d", &folder]);
    let mut server = place.start(&mut command, "Ready to process requests");
    let address = server.address();

    is_up(address, status("shared")).await;
    is_up(address, login("probe", "secret")).await;
    is_up(address, login("long", long)).await;
    is_down(address, login("probe", "wrong"), "the login failed").await;
    let closed = "the login failed: come back tomorrow";
    is_down(address, login("closed", "x"), closed).await;
    // It has no answer to who signs with another secret.
    let brief = Duration::from_secs(1);
    let reason = ask_for(brief, address, status("another"))
        .await
        .unwrap_err();
    assert!(
        reason.contains("which a wrong secret does not get, got nothing"),
        "{reason}"
    );

    hangs_and_returns(&server, address, login("probe", "secret")).await;
    server.stop();
    is_down(address, status("shared"), "port unreachable").await;
}
