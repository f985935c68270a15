use probes::Tls;
use probes::kinds::dialogue::Begin;
use probes::kinds::ldap::Ldap;
use probes::spec::{Login, ProbeKind, Secret};

use crate::certificate::{Certificate, EXPIRED, NOT_TRUSTED, STRANGER};
use crate::process::{Place, Process};
use crate::trouble::is_told_right_in_trouble;
use crate::{is_down, is_up};

/// A server at `place`, by `ldap` or `ldaps`, with some lines more in its configuration.
fn start(place: Place, scheme: &str, global: &str) -> Process {
    let folder = place.path("data");
    std::fs::create_dir(&folder).unwrap();
    let configuration = format!(
        "include /etc/ldap/schema/core.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         {global}\n\
         database mdb\n\
         suffix dc=example\n\
         rootdn cn=probe,dc=example\n\
         rootpw secret\n\
         maxsize 1048576\n\
         directory {}\n",
        folder.display()
    );
    let file = place.write("slapd.conf", &configuration);
    let entries = "dn: dc=example\n\
                   objectClass: dcObject\n\
                   objectClass: organization\n\
                   dc: example\n\
                   o: An Example\n";
    let entries = place.write("entries.ldif", entries);
    place.run(
        place
            .command("/usr/sbin/slapadd")
            .args(["-f", &file, "-l", &entries]),
    );
    let url = format!("{scheme}://{}", place.address);
    let mut command = place.command("/usr/sbin/slapd");
    command.args(["-f", &file, "-h", &url, "-d", "conns"]);
    place.start(&mut command, "daemon: epoll: listen=")
}

fn login(password: &str) -> Option<Login> {
    Some(Login {
        user: "cn=probe,dc=example".to_owned(),
        password: Secret(password.to_owned()),
    })
}

fn searching(base: &str, expect: Option<&str>) -> ProbeKind {
    ProbeKind::Ldap(Ldap {
        login: login("secret"),
        search: Some(base.to_owned()),
        expect: expect.map(str::to_owned),
        encryption: None,
    })
}

fn binding(login: Option<Login>) -> ProbeKind {
    ProbeKind::Ldap(Ldap {
        login,
        ..Ldap::default()
    })
}

#[tokio::test]
async fn an_entry_is_found_by_whom_the_server_knows() {
    let mut server = start(Place::new(3389), "ldap", "");
    let address = server.address();
    is_up(address, binding(None)).await;
    is_up(address, binding(login("secret"))).await;
    is_up(address, searching("dc=example", None)).await;
    is_up(address, searching("dc=example", Some("An Example"))).await;
    is_up(address, searching("", None)).await;
    is_down(
        address,
        binding(login("wrong")),
        "the bind failed: invalid credentials",
    )
    .await;
    let other = searching("dc=example", Some("another"));
    is_down(address, other, r#"expected "another" in the entry"#).await;
    let entry = searching("dc=example", Some("An Example"));
    is_told_right_in_trouble(&server, address, entry).await;
    let missing = searching("ou=none,dc=example", None);
    is_down(address, missing, "the search failed: no such object").await;
    server.stop();
    is_down(address, binding(None), "connection refused").await;
}

#[tokio::test]
async fn a_server_without_anonymous_binds_is_well() {
    let server = start(Place::new(3390), "ldap", "disallow bind_anon");
    is_up(server.address(), binding(None)).await;
    is_up(server.address(), binding(login("secret"))).await;
}

#[tokio::test]
async fn a_server_with_tls_is_asked_over_it() {
    let place = Place::new(6636);
    let files = Certificate::new(&place);
    let shows = |certificate: &str| {
        format!(
            "TLSCertificateFile {certificate}\nTLSCertificateKeyFile {}",
            files.key
        )
    };
    let server = start(place, "ldaps", &shows(&files.certificate));
    let kind = |begin, tls| {
        ProbeKind::Ldap(Ldap {
            login: login("secret"),
            search: Some("dc=example".to_owned()),
            expect: Some("An Example".to_owned()),
            encryption: Some((begin, tls)),
        })
    };
    let at_once = || kind(Begin::AtOnce, files.tls());
    is_up(server.address(), at_once()).await;
    let stranger = kind(Begin::AtOnce, Tls::default());
    is_down(server.address(), stranger, NOT_TRUSTED).await;
    is_told_right_in_trouble(&server, server.address(), at_once()).await;

    // StartTLS, with a server that lets nobody bind without.
    let strict = format!("{}\nsecurity tls=128", shows(&files.certificate));
    let plain = start(Place::new(3391), "ldap", &strict);
    let asked = || kind(Begin::Asked, files.tls());
    is_up(plain.address(), asked()).await;
    let stranger = kind(Begin::Asked, Tls::default());
    is_down(plain.address(), stranger, NOT_TRUSTED).await;
    let bare = searching("dc=example", None);
    is_down(plain.address(), bare, "the bind failed: only over TLS").await;
    is_told_right_in_trouble(&plain, plain.address(), asked()).await;

    let wrong = [
        (6637, "ldaps", Begin::AtOnce, &files.expired, EXPIRED),
        (6638, "ldaps", Begin::AtOnce, &files.strangers, STRANGER),
        (3392, "ldap", Begin::Asked, &files.expired, EXPIRED),
    ];
    for (port, scheme, begin, certificate, reason) in wrong {
        let server = start(Place::new(port), scheme, &shows(certificate));
        is_down(server.address(), kind(begin, files.tls()), reason).await;
    }
    let without = start(Place::new(3393), "ldap", "");
    let words = "the server does not begin TLS: ";
    is_down(without.address(), asked(), words).await;
}
