//! How a store's address is written, and what it is taken apart into. Faults say what is wrong without repeating the
//! text: it may hold a password.

use crate::lease::address::{Address, Secret, Server};
use crate::lease::fault::Fault;
use std::path::{Path, PathBuf};
use url::Url;

/// The embedded store's file in a folder.
const FILE: &str = "leases.db";
const FORMS: &str = "write sqlite:./locks.db, ./folder, redis://host, rediss://host, postgres://host/database, \
                     etcd://host, etcds://host or github:owner/repo";

fn malformed(why: impl std::fmt::Display) -> Fault {
    Fault::new("ERR_LOCK_STORE_ADDRESS", format!("the store's address cannot be used: {why}; {FORMS}"))
}

impl Address {
    /// None: the embedded store in the user's state folder.
    pub fn parse(text: Option<&str>, state_dir: &Path) -> Result<Address, Fault> {
        let Some(text) = text else { return Ok(Address::Sqlite(state_dir.join(FILE))) };
        if text.is_empty() {
            return Err(malformed("it is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(malformed("it has control characters"));
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        if let Some(name) = text.strip_prefix("github:") {
            return github(name);
        }
        if text == "." || text == ".." || ["./", "../", "/"].iter().any(|start| text.starts_with(start)) {
            return Ok(Address::Sqlite(PathBuf::from(text).join(FILE)));
        }
        match text.split_once("://") {
            Some((scheme, _)) => server(scheme, text),
            None => Err(malformed("it is no URL, no path that begins with ./ or /, and no known short form")),
        }
    }
}

fn sqlite(path: &str) -> Result<Address, Fault> {
    let path = match path.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err(malformed("sqlite:// takes an absolute path after it (sqlite:///path)")),
        None => path,
    };
    if path.is_empty() || path.ends_with('/') {
        return Err(malformed("sqlite: takes the path of a file"));
    }
    if path == ":memory:" {
        return Err(malformed("a lock in memory holds nothing between processes"));
    }
    Ok(Address::Sqlite(PathBuf::from(path)))
}

fn github(name: &str) -> Result<Address, Fault> {
    let Some((owner, repo)) = name.split_once('/') else {
        return Err(malformed("github: takes owner/repo"));
    };
    let is_plain =
        |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    if owner.is_empty() || owner.len() > 39 || !is_plain(owner, "-_") {
        return Err(malformed("the owner of a GitHub repository has 1 to 39 of A-Z a-z 0-9 - _"));
    }
    if repo.is_empty() || repo.len() > 100 || !is_plain(repo, "-_.") || [".", ".."].contains(&repo) {
        return Err(malformed("the name of a GitHub repository has 1 to 100 of A-Z a-z 0-9 - _ ."));
    }
    Ok(Address::Github { owner: owner.into(), repo: repo.into() })
}

fn server(scheme: &str, text: &str) -> Result<Address, Fault> {
    let (make, tls, port): (fn(Server) -> Address, bool, u16) = match scheme.to_ascii_lowercase().as_str() {
        "redis" => (Address::Redis, false, 6379),
        "rediss" => (Address::Redis, true, 6379),
        "postgres" | "postgresql" => (Address::Postgres, false, 5432),
        "etcd" => (Address::Etcd, false, 2379),
        "etcds" => (Address::Etcd, true, 2379),
        _ => return Err(malformed("no engine has this scheme")),
    };
    // What the parser says names no part of the text.
    let url = Url::parse(text).map_err(malformed)?;
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err(malformed("it names no host"));
    }
    if url.fragment().is_some() {
        return Err(malformed("it has a part after #; write # in a password as %23"));
    }
    if url.port() == Some(0) {
        return Err(malformed("port 0 cannot be reached"));
    }
    let path = decoded(url.path().trim_start_matches('/'), "the path")?;
    let user = decoded(url.username(), "the user")?;
    let password = url.password().map(|password| decoded(password, "the password")).transpose()?;
    let server = Server {
        tls,
        host: decoded(host, "the host")?,
        port: url.port().unwrap_or(port),
        user: Some(user).filter(|user| !user.is_empty()),
        password: password.filter(|password| !password.is_empty()).map(Secret::new),
        path,
        query: url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
    };
    match make(server) {
        Address::Redis(server) if !server.path.is_empty() && server.path.parse::<u16>().is_err() => {
            Err(malformed("the path of a redis:// URL is a database's number"))
        }
        Address::Etcd(server) if !server.path.is_empty() => {
            Err(malformed("an etcd:// URL has no path; namespace keeps keys apart"))
        }
        address => Ok(address),
    }
}

/// Percent signs resolved.
fn decoded(text: &str, part: &str) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let byte = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = byte.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(
            byte.ok_or_else(|| malformed(format!("{part} has a % that no two hexadecimal digits follow")))?,
        );
        rest = more.get(2..).unwrap_or_default();
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed(format!("{part} is not UTF-8")))?;
    if text.chars().any(char::is_control) {
        return Err(malformed(format!("{part} has control characters")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, Fault> {
        Address::parse(Some(text), Path::new("/state"))
    }

    fn shown(text: &str) -> String {
        parse(text).map_or_else(|fault| panic!("{text}: {}", fault.message), |address| address.shown())
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(Address::parse(None, Path::new("/state")).unwrap().shown(), "sqlite:/state/leases.db");
        for (text, told) in [
            ("sqlite:./locks.db", "sqlite:./locks.db"),
            ("sqlite:///var/lib/locks.db", "sqlite:/var/lib/locks.db"),
            ("sqlite:/var/lib/locks.db", "sqlite:/var/lib/locks.db"),
            ("./locks", "sqlite:./locks/leases.db"),
            ("/var/locks", "sqlite:/var/locks/leases.db"),
            ("redis://localhost", "redis://localhost:6379/"),
            ("redis://me:s%40cret@localhost:7000/3", "redis://localhost:7000/3"),
            ("rediss://:secret@[::1]/0", "rediss://[::1]:6379/0"),
            ("postgres://me:secret@db/app?sslmode=require", "postgres://db:5432/app"),
            ("postgresql://db", "postgres://db:5432/"),
            ("etcd://root:secret@one:2379", "etcd://one:2379"),
            ("etcds://one", "etcds://one:2379"),
            ("github:owner/repo.js", "github:owner/repo.js"),
        ] {
            assert_eq!(shown(text), told, "{text}");
        }
    }

    #[test]
    fn secrets_are_decoded_and_not_shown() {
        let Address::Redis(server) = parse("redis://me:s%40cr%25et@localhost").unwrap() else { panic!() };
        assert_eq!(server.password.as_ref().unwrap().expose(), "s@cr%et");
        assert_eq!(server.user.as_deref(), Some("me"));
        assert!(!format!("{server:?}").contains("s@cr"), "{server:?}");
    }

    #[test]
    fn what_is_malformed_is_refused_without_its_secret() {
        for text in [
            "",
            "locks.db",
            "redis:",
            "redis://",
            "redis://me:hunter2@",
            "redis://me:hunter2@host:99999",
            "redis://me:hunter2@host:0",
            "redis://me:hunter2@host/name",
            "redis://me:hunter2@host#1",
            "redis://me:hunter2%ff@host",
            "redis://me:hunter2%0a@host",
            "redis://me:hunter2%zz@host",
            "http://me:hunter2@host",
            "etcd://me:hunter2@host/path",
            "mysql://me:hunter2@host",
            "sqlite:",
            "sqlite://host/file",
            "sqlite:./folder/",
            "sqlite::memory:",
            "github:owner",
            "github:own er/repo",
            "github:owner/..",
            "github:owner/repo/more",
            "redis://host\n",
        ] {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.code, "ERR_LOCK_STORE_ADDRESS", "{text}");
            assert!(!fault.message.contains("hunter2"), "{}", fault.message);
        }
    }
}
