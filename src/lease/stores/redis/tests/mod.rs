//! Redis as a store: the conformance suite, plain and over TLS, and what goes wrong with a server. The servers are the
//! tests' own; `CHAINLOCK_TEST_REDIS` names another one for the suite.

#![expect(clippy::print_stdout, reason = "skips and figures are told")]

mod faults;
mod figures;
mod pushes;
mod refusals;
mod server;
mod tokens;

use super::open;
use crate::lease::address::{Secret, Server};
use crate::lease::conformance::{on_a_runtime, pair_suite, suite};
use crate::lease::store::{Key, Store};
use server::{Redis, is_installed, setup, setup_of};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

fn key(text: &str) -> Key {
    text.into()
}

#[test]
fn conforms() {
    let named = std::env::var("CHAINLOCK_TEST_REDIS").ok().filter(|url| !url.is_empty());
    if named.is_none() && !is_installed() {
        return;
    }
    let server = named.is_none().then(|| Redis::start(&[]));
    let new = || -> Rc<dyn Store> {
        match (&server, &named) {
            (Some(server), _) => server.store(),
            (None, Some(url)) => open(&setup_of(url)).unwrap(),
            (None, None) => unreachable!(),
        }
    };
    on_a_runtime(async {
        suite(new()).await;
        pair_suite(new(), new()).await;
    });
}

/// A certificate for 127.0.0.1, by a root of its own.
fn certificates(folder: &Path) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=root \
                  -keyout root.key -out root.pem && \
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=redis \
                  -keyout key.pem -out request.pem && \
                  printf 'subjectAltName=IP:127.0.0.1' > names && \
                  openssl x509 -req -in request.pem -CA root.pem -CAkey root.key -CAcreateserial -days 2 \
                  -extfile names -out cert.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn conforms_over_tls_with_a_user_in_another_database() {
    if !is_installed() {
        return;
    }
    let folder = server::new_folder();
    certificates(&folder);
    let user = ["--user", "worker", "on", ">secret", "~*", "&*", "+@all"];
    // Its plain port is for the test itself.
    let plain = server::free_port();
    let server = Redis::start_in(folder.clone(), plain, &user);
    let port = server::free_port();
    for (name, value) in [
        ("tls-cert-file", folder.join("cert.pem").display().to_string()),
        ("tls-key-file", folder.join("key.pem").display().to_string()),
        ("tls-ca-cert-file", folder.join("root.pem").display().to_string()),
        ("tls-auth-clients", "no".into()),
        ("tls-port", port.to_string()),
    ] {
        server.ask::<()>(&["CONFIG", "SET", name, &value]);
    }
    let mut tls = setup(Server {
        tls: true,
        host: "127.0.0.1".into(),
        port,
        user: Some("worker".into()),
        password: Some(Secret::new("secret".into())),
        path: "3".into(),
        ..Server::default()
    });
    on_a_runtime(async {
        let distrusted = open(&tls).unwrap();
        let error = distrusted.read(&[key("a")]).await.unwrap_err();
        assert!(format!("{error:?}").contains("TLS"), "{error:?}");
        tls.ca_file = Some(folder.join("root.pem"));
        suite(open(&tls).unwrap()).await;
        pair_suite(open(&tls).unwrap(), open(&tls).unwrap()).await;
    });
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0, "everything lies in database 3");
}
