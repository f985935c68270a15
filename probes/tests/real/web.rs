use probes::Tls;
use probes::kinds::http::{Content, Digest, Http, Request, Version};
use probes::spec::ProbeKind;

use crate::certificate::{Certificate, EXPIRED, NOT_TRUSTED, STRANGER};
use crate::process::Place;
use crate::trouble::is_told_right_in_trouble;
use crate::{is_down, is_up};

fn kind(tls: Option<Tls>, request: Request) -> ProbeKind {
    ProbeKind::Http(Http {
        tls,
        version: Version::Http11,
        requests: vec![request],
    })
}

#[tokio::test]
async fn nginx_answers_in_clear_and_over_tls() {
    let place = Place::new(8080);
    let files = Certificate::new(&place);
    let ip = place.address.ip();
    let folder = place.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/').to_owned();
    std::fs::create_dir(place.path("web")).unwrap();
    place.write("web/index.html", "all is well\n");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    let settings = place.write(
        "nginx.conf",
        &format!(
            "daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
             events {{}}
             http {{
                 access_log off; {temporary}
                 ssl_certificate_key {key};
                 server {{ listen {ip}:8444 ssl; ssl_certificate {expired}; }}
                 server {{ listen {ip}:8445 ssl; ssl_certificate {strangers}; }}
                 server {{
                     listen {ip}:8080;
                     listen {ip}:8443 ssl;
                     ssl_certificate {certificate};
                     root {folder}/web;
                     location /gone {{ return 410; }}
                     location /moved {{ return 302 http://192.0.2.1/; }}
                 }}
             }}
            ",
            certificate = files.certificate,
            expired = files.expired,
            strangers = files.strangers,
            key = files.key,
        ),
    );
    let mut command = place.command("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-p", &folder, "-c", &settings]);
    let mut server = place.start_listening(&mut command);
    let plain = server.address();
    let at = |port| {
        let mut address = plain;
        address.set_port(port);
        address
    };
    let tls = at(8443);

    let body = |content| Request {
        content: vec![content],
        ..Request::get("/")
    };
    let well = || Content::Contains(b"is well".to_vec());
    is_up(plain, kind(None, body(well()))).await;
    is_up(tls, kind(Some(files.tls()), body(well()))).await;
    let chunked = Content::Lacks(b"is ill".to_vec());
    is_up(plain, kind(None, body(chunked))).await;
    let old = ProbeKind::Http(Http {
        tls: None,
        version: Version::Http10,
        requests: vec![Request::get("/"), body(well())],
    });
    is_up(plain, old).await;
    // As md5sum prints it.
    let md5 = 0x2670_f929_ce8c_93af_815b_a0ae_8fd5_91ff_u128.to_be_bytes();
    is_up(plain, kind(None, body(Content::Digest(Digest::Md5(md5))))).await;
    let head = Request {
        method: "HEAD".to_owned(),
        ..Request::get("/index.html")
    };
    is_up(plain, kind(None, head)).await;

    let ill = Content::Contains(b"is ill".to_vec());
    let words = r#"expected "is ill" in the body, got "all is well\n""#;
    is_down(plain, kind(None, body(ill)), words).await;
    let gone = kind(None, Request::get("/gone"));
    is_down(plain, gone, "expected status 200-299, got 410 Gone").await;
    let moved = kind(None, Request::get("/moved"));
    is_down(plain, moved, "got 302 Moved Temporarily").await;
    is_down(tls, kind(Some(Tls::default()), body(well())), NOT_TRUSTED).await;
    for (port, reason) in [(8444, EXPIRED), (8445, STRANGER)] {
        is_down(at(port), kind(Some(files.tls()), body(well())), reason).await;
    }
    let to_plain = kind(Some(files.tls()), body(well()));
    is_down(plain, to_plain, "expected TLS").await;
    let to_tls = kind(None, body(well()));
    is_down(tls, to_tls, "got 400 Bad Request").await;

    is_told_right_in_trouble(&server, plain, kind(None, body(well()))).await;
    is_told_right_in_trouble(&server, tls, kind(Some(files.tls()), body(well()))).await;

    server.stop();
    is_down(plain, kind(None, body(well())), "connection refused").await;
}
