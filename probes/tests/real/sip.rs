use probes::Tls;
use probes::kinds::sip::{Sip, Transport};
use probes::spec::{ProbeKind, Secret};

use crate::certificate::{Certificate, NOT_TRUSTED};
use crate::process::Place;
use crate::trouble::{hangs_and_returns, is_told_right_in_trouble};
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
async fn kamailio_answers_over_udp_tcp_and_tls() {
    let place = Place::new(5060);
    let files = Certificate::new(&place);
    let mut over_tls = place.address;
    over_tls.set_port(5061);
    let global = format!(
        "log_stderror=yes\ndebug=0\nchildren=1\ntcp_children=1\nauto_aliases=no\ndns=no\n\
         rev_dns=no\nenable_tls=yes\nlisten=udp:{0}\nlisten=tcp:{0}\nlisten=tls:{over_tls}\n\
         loadmodule \"tls.so\"\n\
         modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
         modparam(\"tls\", \"certificate\", \"{1}\")\n\
         modparam(\"tls\", \"private_key\", \"{2}\")\n",
        place.address, files.certificate, files.key
    );
    let file = place.write("kamailio.cfg", &format!("{global}{ROUTES}"));
    let folder = place.path("").to_str().unwrap().to_owned();
    let mut command = place.command("/usr/sbin/kamailio");
    command.args(["-f", &file, "-DD", "-E", "-m", "64", "-M", "8"]);
    command.args(["-Y", &folder, "-w", &folder]);
    let mut server = place.start(&mut command, "the test may begin");
    let address = server.address();

    let ways = [
        (address, Transport::Udp),
        (address, Transport::Tcp),
        (over_tls, Transport::Tls(files.tls())),
    ];
    for (address, transport) in ways {
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

    let stranger = sip(Transport::Tls(Tls::default()), None, None);
    is_down(over_tls, stranger, NOT_TRUSTED).await;
    let somebody = |transport| sip(transport, Some("probe"), Some("secret"));
    is_told_right_in_trouble(&server, address, somebody(Transport::Tcp)).await;
    let tls = Transport::Tls(files.tls());
    is_told_right_in_trouble(&server, over_tls, somebody(tls)).await;
    hangs_and_returns(&server, address, somebody(Transport::Udp)).await;

    server.stop();
    is_down(address, sip(Transport::Udp, None, None), "port unreachable").await;
    is_down(
        address,
        sip(Transport::Tcp, None, None),
        "connection refused",
    )
    .await;
}
