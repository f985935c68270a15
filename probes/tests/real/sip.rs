use probes::kinds::sip::{Sip, Transport};
use probes::spec::{ProbeKind, Secret};

use crate::process::Place;
use crate::{is_down, is_up};

/// Answers what it is asked, and wants to know who `probe` is.
const ROUTES: &str = r#"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "auth.so"
request_route {
    if (!is_method("OPTIONS")) {
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }
    if ($rU == "probe") {
        if (!pv_www_authenticate("example.org", "secret", "0")) {
            www_challenge("example.org", "1");
            exit;
        }
    } else if ($rU != $null) {
        sl_send_reply("404", "Not Here");
        exit;
    }
    sl_send_reply("200", "Fine");
}
event_route[core:worker-one-init] {
    xlog("L_ERR", "the test may begin\n");
}
"#;

fn sip(transport: Transport, user: Option<&str>, password: Option<&str>) -> ProbeKind {
    ProbeKind::Sip(Sip {
        transport,
        host: None,
        user: user.map(str::to_owned),
        password: password.map(|it| Secret(it.to_owned())),
        status: vec![(200, 299)],
    })
}

#[tokio::test]
async fn kamailio_answers_over_udp_and_tcp() {
    let place = Place::new(5060);
    let global = format!(
        "log_stderror=yes\ndebug=0\nchildren=1\ntcp_children=1\nauto_aliases=no\ndns=no\n\
         rev_dns=no\nlisten=udp:{0}\nlisten=tcp:{0}\n",
        place.address
    );
    let file = place.write("kamailio.cfg", &format!("{global}{ROUTES}"));
    let folder = place.path("").to_str().unwrap().to_owned();
    let mut command = place.command("/usr/sbin/kamailio");
    command.args(["-f", &file, "-DD", "-E", "-m", "16", "-M", "4"]);
    command.args(["-Y", &folder, "-w", &folder]);
    let mut server = place.start(&mut command, "the test may begin");
    let address = server.address();

    for transport in [Transport::Udp, Transport::Tcp] {
        let transport = || transport.clone();
        is_up(address, sip(transport(), None, None)).await;
        is_up(address, sip(transport(), Some("probe"), Some("secret"))).await;
        let unknown = "expected status 200-299, got 404 Not Here";
        is_down(address, sip(transport(), Some("nobody"), None), unknown).await;
        let wrong = "expected status 200-299, got 401 Unauthorized";
        is_down(
            address,
            sip(transport(), Some("probe"), Some("wrong")),
            wrong,
        )
        .await;
        is_down(address, sip(transport(), Some("probe"), None), wrong).await;
    }

    server.stop();
    is_down(address, sip(Transport::Udp, None, None), "port unreachable").await;
    is_down(
        address,
        sip(Transport::Tcp, None, None),
        "connection refused",
    )
    .await;
}
