//! Against a server of a few lines that behaves as badly as it is told to.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_local};

use super::*;
use crate::lease::address::{Address, Secret};

fn setup() -> Setup {
    Setup {
        address: Address::Sqlite(PathBuf::new()),
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout: Duration::from_secs(20),
        token: Some(Secret::new("hidden".into())),
        api_url: None,
        show_on_issue: false,
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    (listener, url)
}

fn get(url: &str, timeout: Duration) -> Request {
    Request {
        method: Method::POST,
        url: url.into(),
        headers: vec![(header::AUTHORIZATION, secret_header("hidden").unwrap())],
        body: Some("{}".into()),
        timeout,
    }
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

/// Up to the end of the request's body, `{}`.
async fn take(socket: &mut TcpStream) -> bool {
    let mut come = Vec::new();
    let mut part = [0; 1024];
    while !come.ends_with(b"{}") {
        match socket.read(&mut part).await {
            Ok(0) | Err(_) => return false,
            Ok(many) => come.extend_from_slice(&part[..many]),
        }
    }
    true
}

async fn answer(socket: &mut TcpStream, head: &str, body: &str) {
    let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(text.as_bytes()).await.unwrap();
}

/// Answers `times` requests on one connection after the other; says how many connections there were.
fn serve(listener: TcpListener, per_connection: usize) -> JoinHandle<()> {
    spawn_local(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            for _ in 0..per_connection {
                if !take(&mut socket).await {
                    break;
                }
                answer(&mut socket, "200 OK", "yes").await;
            }
        }
    })
}

#[test]
fn an_answer_comes_with_its_status_and_body_and_a_redirect_is_an_answer() {
    run(async {
        let (listener, url) = listen().await;
        let server = spawn_local(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            take(&mut socket).await;
            answer(&mut socket, "200 OK", "yes").await;
            take(&mut socket).await;
            answer(&mut socket, "302 Found\r\nlocation: /elsewhere", "").await;
        });
        let client = Client::new(&setup()).unwrap();
        let first = client.send(get(&url, LONG)).await.unwrap();
        assert_eq!((first.status.as_u16(), &first.body[..]), (200, &b"yes"[..]));
        let second = client.send(get(&url, LONG)).await.unwrap();
        assert_eq!(second.status.as_u16(), 302);
        server.await.unwrap();
    });
}

#[test]
fn nobody_there_is_not_sent() {
    run(async {
        let (listener, url) = listen().await;
        drop(listener);
        let client = Client::new(&setup()).unwrap();
        let error = client.send(get(&url, LONG)).await.unwrap_err();
        assert!(matches!(&error, HttpError::NotSent(why) if why.contains("refused")), "{error:?}");
    });
}

#[test]
fn silence_and_a_cut_after_the_request_are_unknown_and_it_goes_out_once() {
    run(async {
        let (listener, url) = listen().await;
        let server = spawn_local(async move {
            let mut taken = 0;
            let (mut silent, _) = listener.accept().await.unwrap();
            taken += usize::from(take(&mut silent).await);
            let (mut cut, _) = listener.accept().await.unwrap();
            taken += usize::from(take(&mut cut).await);
            drop(cut);
            let (mut good, _) = listener.accept().await.unwrap();
            taken += usize::from(take(&mut good).await);
            answer(&mut good, "200 OK", "yes").await;
            taken
        });
        let client = Client::new(&setup()).unwrap();
        let silence = client.send(get(&url, SHORT)).await.unwrap_err();
        assert!(matches!(&silence, HttpError::Unknown(why) if why.contains("150 ms")), "{silence:?}");
        let cut = client.send(get(&url, LONG)).await.unwrap_err();
        assert!(matches!(cut, HttpError::Unknown(_)), "{cut:?}");
        assert!(client.send(get(&url, LONG)).await.is_ok());
        assert_eq!(server.await.unwrap(), 3);
    });
}

/// The accept queue takes connections that nobody serves: the request leaves and nothing comes back; with its turn
/// taken by others it does not leave.
#[test]
fn a_request_that_never_got_its_turn_is_not_sent() {
    run(async {
        let (listener, url) = listen().await;
        let client = std::rc::Rc::new(Client::new(&setup()).unwrap());
        let late: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (client, url) = (client.clone(), url.clone());
                spawn_local(async move { client.send(get(&url, SHORT * 4)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let one_more = client.send(get(&url, SHORT)).await.unwrap_err();
        assert!(matches!(one_more, HttpError::NotSent(_)), "{one_more:?}");
        for task in late {
            let error = task.await.unwrap().unwrap_err();
            assert!(matches!(error, HttpError::Unknown(_)), "{error:?}");
        }
        drop(listener);
    });
}

#[test]
fn a_connection_that_died_while_it_was_kept_costs_nothing() {
    run(async {
        let (listener, url) = listen().await;
        let server = serve(listener, 1);
        let client = Client::new(&setup()).unwrap();
        for _ in 0..50 {
            client.send(get(&url, LONG)).await.unwrap();
        }
        server.abort();
    });
}

/// Half-open connections: one costs a timeout, and takes the others that were kept with it.
#[test]
fn one_silent_connection_is_enough_to_mistrust_all() {
    run(async {
        let (listener, url) = listen().await;
        let server = spawn_local(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                spawn_local(async move {
                    take(&mut socket).await;
                    answer(&mut socket, "200 OK", "yes").await;
                    while take(&mut socket).await {}
                });
            }
        });
        let client = Client::new(&setup()).unwrap();
        let (one, other) = tokio::join!(client.send(get(&url, LONG)), client.send(get(&url, LONG)));
        assert!(one.is_ok() && other.is_ok(), "two connections, which are kept");
        let silent = client.send(get(&url, SHORT)).await;
        assert!(matches!(silent, Err(HttpError::Unknown(_))), "{silent:?}");
        assert!(client.send(get(&url, LONG)).await.is_ok(), "on a new one");
        server.abort();
    });
}

#[test]
fn lines_come_as_they_are_written() {
    run(async {
        let (listener, url) = listen().await;
        let server = spawn_local(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            take(&mut socket).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            for chunk in ["one\ntw", "o\n\nthree", " and more"] {
                let text = format!("{:x}\r\n{chunk}\r\n", chunk.len());
                socket.write_all(text.as_bytes()).await.unwrap();
                socket.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            socket.write_all(b"0\r\n\r\n").await.unwrap();
        });
        let client = Client::new(&setup()).unwrap();
        let mut lines = client.stream(get(&url, LONG)).await.unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(seen, ["one", "two", "", "three and more"]);
        server.await.unwrap();
    });
}

#[test]
fn no_debug_output_has_a_secret() {
    let request = get("http://127.0.0.1:1/x", LONG);
    let client = Client::new(&setup()).unwrap();
    let told = format!("{request:?} {client:?} {:?} {:?}", request.headers, setup());
    assert!(!told.contains("hidden"), "{told}");
}
