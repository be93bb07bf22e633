//! From the URL to the driver's settings. What it does not know is an error, and no error shows a value.

use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::lease::address::{Server, Setup};
use crate::lease::store::StoreError;
use crate::lease::stores::postgres::encryption::Encryption;
use crate::lease::tls;

/// What a connection is made with.
pub struct Settings {
    pub config: Config,
    pub encryption: Encryption,
    /// Whether to try to listen at all.
    pub listens: bool,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("encryption", &self.encryption).finish_non_exhaustive()
    }
}

pub fn shown(address: &Server) -> String {
    let (host, port) = (host_of(address), port_of(address));
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("postgres://{host}:{port}/{}", crate::name::clean(&address.path))
}

fn host_of(address: &Server) -> &str {
    let named = address.query.iter().find(|(name, _)| name == "host").map(|(_, host)| host.as_str());
    let host = named.unwrap_or(&address.host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { "localhost" } else { host }
}

fn port_of(address: &Server) -> u16 {
    if address.port == 0 { 5432 } else { address.port }
}

pub fn settings(setup: &Setup, address: &Server) -> Result<Settings, StoreError> {
    let mut config = Config::new();
    config.host(host_of(address)).port(port_of(address)).application_name("chainlock");
    config.connect_timeout(setup.request_timeout).keepalives(true);
    config.keepalives_idle(std::time::Duration::from_secs(30));
    config.user(address.user.as_deref().unwrap_or("postgres"));
    if let Some(password) = address.password.as_ref().filter(|password| !password.is_empty()) {
        config.password(password.expose());
    }
    if !address.path.is_empty() {
        config.dbname(&address.path);
    }
    let (mut tls, mut listens) = (address.tls, true);
    for (name, value) in &address.query {
        match (name.as_str(), value.as_str()) {
            ("host", _) => {}
            ("application_name", name) => drop(config.application_name(name)),
            ("options", options) => drop(config.options(options)),
            ("sslmode", "disable") => tls = false,
            ("sslmode", "require" | "verify-ca" | "verify-full") => tls = true,
            ("sslmode", _) => {
                return Err(wrong(
                    "its sslmode is disable, require or verify-full (certificates are always checked)",
                ));
            }
            ("listen", "on") => listens = true,
            ("listen", "off") => listens = false,
            ("listen", _) => return Err(wrong("its listen is on or off")),
            (name, _) => {
                let name = crate::name::clean(name);
                return Err(wrong(&format!(
                    "the parameter {name:?} is not known; known are host, application_name, options, sslmode and listen"
                )));
            }
        }
    }
    config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
    let tls = if tls { Some(Arc::new(tls::config(setup.ca_file.as_deref())?)) } else { None };
    Ok(Settings { config, encryption: Encryption(tls), listens })
}

fn wrong(why: &str) -> StoreError {
    StoreError::Unsupported(format!("the URL: {why}"))
}
