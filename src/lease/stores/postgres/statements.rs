//! The statements of one connection, prepared under names: parsing one takes the server about as long as running it.
//!
//! Names belong to a session of the server. Behind a pooler that hands every transaction another session, a name may
//! be unknown, or be somebody else's statement; so they are used only where the session is ours alone. The server
//! tells each connection its process, for canceling; whoever stands in between tells something of its own. Where that
//! cannot be asked (TLS), or a name is refused all the same, statements go without names, as they do everywhere else.

use std::cell::{Cell, RefCell};
use std::fmt;

use tokio::io::AsyncReadExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

use super::errors::state_of;
use super::link::Value;

/// What a request to cancel begins with, after its length.
const CANCEL: [u8; 4] = 80_877_102_u32.to_be_bytes();

#[derive(Default)]
pub struct Statements {
    are_named: Cell<bool>,
    /// None: it is being prepared.
    known: RefCell<Vec<(&'static str, Option<Statement>)>>,
}

impl fmt::Debug for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statements").field("are_named", &self.are_named).finish_non_exhaustive()
    }
}

impl Statements {
    /// `process` is that of the session, as it says itself.
    pub async fn settle(&self, client: &Client, process: i32) {
        self.are_named.set(told_process(client).await == Some(process));
    }

    #[cfg(test)]
    pub fn named(&self) -> usize {
        self.known.borrow().iter().filter(|(_, known)| known.is_some()).count()
    }

    /// One round trip. The first time a statement goes without a name, and is prepared behind itself.
    pub async fn run(
        &self,
        client: &Client,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Error> {
        if !self.are_named.get() {
            return client.query_typed(sql, values).await;
        }
        let known = self.known.borrow().iter().find(|(known, _)| *known == sql).map(|(_, it)| it.clone());
        match known {
            Some(None) => client.query_typed(sql, values).await,
            Some(Some(statement)) => {
                let values_only: Vec<&(dyn ToSql + Sync)> = values.iter().map(|(value, _)| *value).collect();
                match client.query(&statement, &values_only).await {
                    // Refused before it ran, so it may run again.
                    Err(error) if is_of_a_name(&error) => {
                        self.give_up();
                        client.query_typed(sql, values).await
                    }
                    done => done,
                }
            }
            None => {
                self.known.borrow_mut().push((sql, None));
                let types: Vec<Type> = values.iter().map(|(_, kind)| kind.clone()).collect();
                let (done, prepared) =
                    tokio::join!(client.query_typed(sql, values), client.prepare_typed(sql, &types));
                match prepared {
                    Ok(statement) => self.learn(sql, statement),
                    Err(_) => self.give_up(),
                }
                done
            }
        }
    }

    fn learn(&self, sql: &str, statement: Statement) {
        if let Some((_, known)) = self.known.borrow_mut().iter_mut().find(|(known, _)| *known == sql) {
            *known = Some(statement);
        }
    }

    fn give_up(&self) {
        self.are_named.set(false);
        self.known.borrow_mut().clear();
    }
}

/// Whether it says that the name is not there, or is there already.
fn is_of_a_name(error: &Error) -> bool {
    matches!(state_of(error), Some("26000" | "42P05"))
}

/// The process that the server has told for canceling: the driver says it only in a request to cancel, which goes
/// nowhere here.
async fn told_process(client: &Client) -> Option<i32> {
    let (near, mut far) = tokio::io::duplex(CANCEL.len() * 4);
    let told = async move {
        let (mut length, mut code, mut process) = ([0; 4], [0; 4], [0; 4]);
        far.read_exact(&mut length).await.ok()?;
        far.read_exact(&mut code).await.ok()?;
        if code != CANCEL {
            return None;
        }
        far.read_exact(&mut process).await.ok()?;
        Some(i32::from_be_bytes(process))
    };
    let canceling = client.cancel_token();
    tokio::join!(told, canceling.cancel_query_raw(near, NoTls)).0
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use crate::lease::address::Server as Address;
    use crate::lease::conformance::{body, needs_server, on_a_runtime, pair_suite, suite, swap};
    use crate::lease::store::{Swapped, Version};
    use crate::lease::stores::postgres::link::Server;
    use crate::lease::stores::postgres::sql::Table;
    use crate::lease::stores::postgres::tests::{Place, VARIABLE, setup};
    use crate::lease::stores::postgres::{config, open};

    /// The port of a PgBouncer before the same server, in transaction mode; for who has one.
    const POOLED: &str = "CHAINLOCK_TEST_PGBOUNCER";

    fn table(address: &Address) -> Table {
        let settings = config::settings(&setup(address), address).unwrap();
        Table::new(Rc::new(Server::new(settings, Duration::from_secs(20))), "names")
    }

    async fn named(table: &Table) -> usize {
        table.server.link().await.unwrap().statements.named()
    }

    /// Moves a record so often.
    async fn moved(table: &Table, key: &str, times: usize) {
        let mut version = Version::Absent;
        for _ in 0..times {
            match table.swap_one(&swap(&key.into(), &version, &body("x"))).await {
                Ok(Swapped::Won(written)) => version = written[0].version.clone(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn in_a_session_of_our_own_statements_have_names_until_one_is_refused() {
        let Some(url) = needs_server(VARIABLE) else { return };
        on_a_runtime(async {
            let place = Place::new(&url).await;
            let table = table(&place.server);
            moved(&table, "first", 4).await;
            assert_eq!(named(&table).await, 2, "one to make a row, one to move it");
            // As a pooler would that hands out another session.
            table.server.link().await.unwrap().client.batch_execute("DEALLOCATE ALL").await.unwrap();
            moved(&table, "second", 4).await;
            assert_eq!(named(&table).await, 0);
            place.end().await;
        });
    }

    #[test]
    fn behind_somebody_who_hands_out_sessions_no_statement_has_a_name() {
        let Some(url) = needs_server(VARIABLE) else { return };
        on_a_runtime(async {
            let place = Place::new(&url).await;
            let table = table(&pooler(&place.server).await);
            moved(&table, "key", 4).await;
            assert_eq!(named(&table).await, 0);
            place.end().await;
        });
    }

    #[test]
    fn a_real_pooler_does_what_every_store_must_do() {
        let Ok(pooled) = std::env::var(POOLED) else { return };
        let Some(url) = needs_server(VARIABLE) else { return };
        on_a_runtime(async {
            let place = Place::new(&url).await;
            let port = pooled.parse().unwrap();
            let mut address = Address { host: "127.0.0.1".into(), port, ..place.server.clone() };
            // It lets no options through.
            address.query.retain(|(name, _)| name != "options");
            let table = table(&address);
            moved(&table, &place.schema, 4).await;
            assert_eq!(named(&table).await, 0);
            suite(open(&setup(&address)).unwrap()).await;
            pair_suite(open(&setup(&address)).unwrap(), open(&setup(&address)).unwrap()).await;
            place.end().await;
        });
    }

    /// Tells a key for canceling of its own, as poolers do.
    async fn pooler(server: &Address) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, target) = (listener.local_addr().unwrap().port(), (server.host.clone(), server.port));
        tokio::task::spawn_local(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect((target.0.as_str(), target.1)).await.unwrap();
                let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
                    (near.into_split(), far.into_split());
                tokio::task::spawn_local(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
                tokio::task::spawn_local(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = far_in.read(&mut bytes).await {
                        let key = bytes[..length].windows(5).position(|five| five == [b'K', 0, 0, 0, 12]);
                        if let Some(at) = key {
                            bytes[at + 8] ^= 1;
                        }
                        near_out.write_all(&bytes[..length]).await.unwrap();
                    }
                });
            }
        });
        Address { host: "127.0.0.1".into(), port, ..server.clone() }
    }
}
