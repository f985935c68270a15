use probes::Tls;
use probes::kinds::ldap::{Ldap, Login};
use probes::spec::{ProbeKind, Secret};

use crate::certificate::{Certificate, NOT_TRUSTED};
use crate::process::{Place, Process};
use crate::{is_down, is_up};

/// A server at `place`, by `ldap` or `ldaps`, with some lines more in its configuration.
fn server(place: Place, scheme: &str, global: &str) -> Process {
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
        tls: None,
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
    let mut server = server(Place::new(3389), "ldap", "");
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
    let missing = searching("ou=none,dc=example", None);
    is_down(address, missing, "the search failed: no such object").await;
    server.stop();
    is_down(address, binding(None), "connection refused").await;
}

#[tokio::test]
async fn a_server_without_anonymous_binds_is_well() {
    let server = server(Place::new(3390), "ldap", "disallow bind_anon");
    is_up(server.address(), binding(None)).await;
    is_up(server.address(), binding(login("secret"))).await;
}

#[tokio::test]
async fn a_server_with_tls_is_asked_over_it() {
    let place = Place::new(6636);
    let files = Certificate::new(&place);
    let global = format!(
        "TLSCertificateFile {}\nTLSCertificateKeyFile {}",
        files.certificate, files.key
    );
    let server = server(place, "ldaps", &global);
    let kind = |tls| {
        ProbeKind::Ldap(Ldap {
            login: login("secret"),
            search: Some("dc=example".to_owned()),
            expect: Some("An Example".to_owned()),
            tls: Some(tls),
        })
    };
    is_up(server.address(), kind(files.tls())).await;
    is_down(server.address(), kind(Tls::default()), NOT_TRUSTED).await;
}
