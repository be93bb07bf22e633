//! Which store is meant: a URL, a short form or a path, taken apart once, with its secrets out of sight.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A text that nobody prints, and that leaves nothing behind.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A server at a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// The path without its slash: Redis's database number, PostgreSQL's database.
    pub path: String,
    /// In the order of the URL; decoded.
    pub query: Vec<(String, String)>,
}

/// A store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Sqlite(PathBuf),
    Redis(Server),
    Postgres(Server),
    Etcd(Server),
    Github { owner: String, repo: String },
}

impl Address {
    /// Without secrets.
    pub fn shown(&self) -> String {
        let server = |scheme: &str, at: &Server| {
            let tls = if at.tls { "s" } else { "" };
            format!("{scheme}{tls}://{}:{}", at.host, at.port)
        };
        match self {
            Address::Sqlite(path) => format!("sqlite:{}", path.display()),
            Address::Redis(at) => format!("{}/{}", server("redis", at), at.path),
            Address::Postgres(at) => format!("postgres://{}:{}/{}", at.host, at.port, at.path),
            Address::Etcd(at) => server("etcd", at),
            Address::Github { owner, repo } => format!("github:{owner}/{repo}"),
        }
    }
}

/// What opens a store besides its address, checked by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub address: Address,
    /// Keeps the keys of several programs apart in one store. Default `chainlock`; 1 to 64 of `[A-Za-z0-9_.-]`.
    pub namespace: String,
    /// PEM file with the roots to trust instead of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take. Default 5 s (GitHub 15 s).
    pub request_timeout: Duration,
    /// GitHub: the token, and the API's base (`https://api.github.com`; GHES: `https://host/api/v3`).
    pub token: Option<Secret>,
    pub api_url: Option<String>,
    /// GitHub: whether an issue shows its lock to people. Default true for keys that are issue numbers.
    pub show_on_issue: bool,
}
