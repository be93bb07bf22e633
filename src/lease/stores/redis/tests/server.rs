//! A Redis of the tests' own: on a free port, with its data in a folder that goes with it; and a way to it that can be
//! cut.

use crate::lease::address::{Address, Secret, Server, Setup};
use crate::lease::store::Store;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// So long a request may take where one is meant to hang.
pub const SOON: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Redis {
    child: Child,
    pub port: u16,
    pub folder: PathBuf,
    arguments: Vec<String>,
    password: Option<String>,
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether there is a server to start; loud if not.
pub fn is_installed() -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        println!("SKIPPED: there is no redis-server");
    }
    found
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn new_folder() -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("chainlock-redis-{:x}-{}", fastrand::u64(..), std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Redis {
    pub fn start(more: &[&str]) -> Redis {
        Redis::start_in(new_folder(), free_port(), more)
    }

    pub fn start_in(folder: PathBuf, port: u16, more: &[&str]) -> Redis {
        let arguments: Vec<String> = more.iter().map(|one| (*one).to_owned()).collect();
        let password =
            more.iter().position(|one| *one == "--requirepass").map(|at| arguments[at + 1].clone());
        let child = spawn(&folder, port, &arguments);
        let server = Redis { child, port, folder, arguments, password };
        server.wait();
        server
    }

    /// After its end: the same folder, the same port.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.arguments);
        self.wait();
    }

    fn wait(&self) {
        for _ in 0..3000 {
            if self.try_ask::<String>(&["PING"]).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server on port {} does not come up", self.port);
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid()).status();
        assert!(status.unwrap().success());
    }

    fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let login = self.password.as_ref().map(|word| format!(":{word}@")).unwrap_or_default();
        let client = redis::Client::open(format!("redis://{login}127.0.0.1:{}/", self.port))?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut client.get_connection()?)
    }

    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap()
    }

    /// How often a command was run.
    pub fn calls(&self, command: &str) -> u64 {
        let text: String = self.ask(&["INFO", "commandstats"]);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()).map_or(0, |number| number.parse().unwrap())
    }

    pub fn setup(&self) -> Setup {
        setup(Server { host: "127.0.0.1".into(), port: self.port, ..Server::default() })
    }

    pub fn store(&self) -> Rc<dyn Store> {
        super::super::open(&self.setup()).unwrap()
    }
}

fn spawn(folder: &Path, port: u16, more: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.arg("--dir").arg(folder).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

pub fn setup(server: Server) -> Setup {
    Setup {
        address: Address::Redis(server),
        namespace: "chainlock".into(),
        ca_file: None,
        request_timeout: Duration::from_secs(30),
        token: None,
        api_url: None,
        show_on_issue: false,
    }
}

/// As the addresses' parser would take it apart.
pub fn setup_of(url: &str) -> Setup {
    let url = url::Url::parse(url).unwrap();
    setup(Server {
        tls: url.scheme() == "rediss",
        host: url.host_str().unwrap_or("127.0.0.1").to_owned(),
        port: url.port().unwrap_or(6379),
        user: Some(url.username().to_owned()).filter(|user| !user.is_empty()),
        password: url.password().map(|word| Secret::new(word.to_owned())),
        path: url.path().trim_start_matches('/').to_owned(),
        query: Vec::new(),
    })
}

/// Stands between a store and its server.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    way: Rc<Cell<Way>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Nothing comes back, and nobody is told.
    Silent,
    /// The next answer cuts the connection instead.
    Cut,
}

impl Proxy {
    pub async fn before(server: &Redis) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, way, to) =
            (listener.local_addr().unwrap().port(), Rc::new(Cell::new(Way::Open)), server.port);
        let proxy = Proxy { port, way: way.clone() };
        spawn_local(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let there = spawn_local(pass(from_client, to_server, Rc::new(Cell::new(Way::Open))));
                let back = pass(from_server, to_client, way.clone());
                spawn_local(async move {
                    back.await;
                    there.abort();
                });
            }
        });
        proxy
    }

    pub fn set(&self, way: Way) {
        self.way.set(way);
    }

    pub fn store(&self, timeout: Duration) -> Rc<dyn Store> {
        let mut setup = setup(Server { host: "127.0.0.1".into(), port: self.port, ..Server::default() });
        setup.request_timeout = timeout;
        super::super::open(&setup).unwrap()
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Rc<Cell<Way>>) {
    let mut buffer = vec![0; 65536];
    while let Ok(many @ 1..) = from.read(&mut buffer).await {
        match way.get() {
            Way::Open if to.write_all(&buffer[..many]).await.is_ok() => {}
            Way::Silent => {}
            Way::Open => return,
            Way::Cut => return way.set(Way::Open),
        }
    }
}
