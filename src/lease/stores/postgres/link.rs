//! The connection for requests: made when it is needed, replaced when it does not answer, settled before its first
//! request.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Error, Notification, Row, Socket};

use crate::lease::limit::Limit;
use crate::lease::store::StoreError;
use crate::lease::stores::postgres::config::Settings;
use crate::lease::stores::postgres::encryption::Encrypted;
use crate::lease::stores::postgres::errors::{
    Kind, is_lost, of_connecting, of_request, state_of, unanswered, unavailable,
};
use crate::lease::stores::postgres::statements::Statements;

/// Serves those who make the table at the same time: any number that nobody else uses.
const MAKING: i64 = 0x6368_6c6b_6c65_6173;
/// The table's comment says whose it is; the number is its format's.
const MARK: &str = "chainlock leases ";
const FORMAT: u32 = 1;

pub type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection and the task that drives it, which ends with it.
#[derive(Debug)]
pub struct Link {
    pub client: Client,
    /// The table's number in the server.
    pub table: Cell<u32>,
    pub statements: Statements,
    driver: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        // A connection that hangs would otherwise wait for its answers.
        self.driver.abort();
    }
}

#[derive(Debug)]
pub struct Server {
    settings: Settings,
    pub timeout: Duration,
    limit: Limit,
    link: Mutex<Option<Rc<Link>>>,
    closed: Cell<bool>,
}

impl Server {
    pub fn new(settings: Settings, timeout: Duration) -> Self {
        Self {
            settings,
            timeout,
            limit: Limit::new(timeout),
            link: Mutex::default(),
            closed: Cell::new(false),
        }
    }

    pub async fn close(&self) {
        self.closed.set(true);
        self.link.lock().await.take();
    }

    /// One statement. None when the server says that others came first.
    pub async fn request(
        &self,
        kind: Kind,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let sent = Cell::new(None);
        let work = async {
            let link = self.link().await?;
            sent.set(Some(link.clone()));
            Ok(link.statements.run(&link.client, sql, values).await)
        };
        match self.limit.within(work).await {
            Some(Ok(Ok(rows))) => Ok(Some(rows)),
            Some(Ok(Err(error))) if is_lost(&error) => Ok(None),
            Some(Ok(Err(error))) => {
                if is_of_the_link(&error) {
                    self.forget(sent.take());
                }
                Err(of_request(kind, &error))
            }
            Some(Err(error)) => Err(error),
            None => {
                let (link, why) = (sent.take(), format!("no answer in {} ms", self.timeout.as_millis()));
                let was_sent = link.is_some();
                self.forget(link);
                Err(if was_sent { unanswered(kind, why) } else { unavailable(why) })
            }
        }
    }

    /// The connection, made anew if the last one has ended.
    pub async fn link(&self) -> Result<Rc<Link>, StoreError> {
        let mut slot = self.link.lock().await;
        if self.closed.get() {
            return Err(unavailable("the store was closed"));
        }
        if let Some(link) = slot.as_ref().filter(|link| !link.client.is_closed()) {
            return Ok(link.clone());
        }
        *slot = None;
        let link = Rc::new(self.connect(|_| {}).await?);
        settle(&link).await?;
        *slot = Some(link.clone());
        Ok(link)
    }

    /// So that the next request makes another one; if somebody makes one already, it is forgotten.
    fn forget(&self, link: Option<Rc<Link>>) {
        let (Some(link), Ok(mut slot)) = (link, self.link.try_lock()) else { return };
        if slot.as_ref().is_some_and(|now| Rc::ptr_eq(now, &link)) {
            *slot = None;
        }
    }

    /// A connection of its own; what the server sends by itself goes to `told`.
    pub async fn connect(&self, told: impl FnMut(Notification) + 'static) -> Result<Link, StoreError> {
        let config = &self.settings.config;
        let made = config.connect(self.settings.encryption.clone()).await;
        let (client, connection) = made.map_err(|error| of_connecting(&error))?;
        let driver = drive(connection, Box::new(told));
        Ok(Link { client, table: Cell::new(0), statements: Statements::default(), driver })
    }
}

type Told = Box<dyn FnMut(Notification)>;

fn drive(mut connection: Connection<Socket, Encrypted>, mut told: Told) -> AbortHandle {
    let driving = async move {
        // Its end is seen by whoever uses the client.
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                told(notification);
            }
            yield_to_others().await;
        }
    };
    tokio::task::spawn_local(driving).abort_handle()
}

/// A flood of messages leaves room for those who read them.
async fn yield_to_others() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Errors after which a connection is of no use.
fn is_of_the_link(error: &Error) -> bool {
    state_of(error)
        .is_none_or(|state| state.starts_with("57P") || state.starts_with("08") || state == "25006")
}

/// Looks whether the table is ours, and makes it where it is not there.
async fn settle(link: &Link) -> Result<(), StoreError> {
    let Some(row) = look(link).await? else {
        make(link).await?;
        return match look(link).await? {
            Some(row) => judge(link, &row).await,
            None => Err(StoreError::Denied(
                "the table chainlock_leases was made, but is not in the search_path".into(),
            )),
        };
    };
    judge(link, &row).await
}

async fn look(link: &Link) -> Result<Option<Row>, StoreError> {
    let sql = "SELECT c.oid, obj_description(c.oid, 'pg_class'), c.relkind::text, \
               current_setting('server_encoding'), pg_backend_pid() \
               FROM pg_class c WHERE c.oid = to_regclass('chainlock_leases')";
    let rows = link.client.query_typed(sql, &[]).await;
    Ok(rows.map_err(|error| of_request(Kind::Read, &error))?.into_iter().next())
}

async fn judge(link: &Link, row: &Row) -> Result<(), StoreError> {
    let told: (u32, Option<String>, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let (table, comment, relation, encoding) = told;
    let format =
        comment.as_deref().and_then(|comment| comment.strip_prefix(MARK)?.trim().parse::<u32>().ok());
    match format {
        None => Err(StoreError::Foreign("there is a table chainlock_leases that is not chainlock's".into())),
        Some(format) if format > FORMAT => {
            Err(StoreError::Newer(format!("its table has format {format}; this chainlock knows {FORMAT}")))
        }
        Some(_) if !matches!(relation.as_str(), "r" | "p") => {
            Err(StoreError::Foreign("chainlock_leases is no table".into()))
        }
        Some(_) if encoding != "UTF8" => {
            Err(StoreError::Unsupported(format!("the database's encoding is {encoding}; keys need UTF8")))
        }
        Some(_) => {
            link.table.set(table);
            link.statements.settle(&link.client, row.get(4)).await;
            Ok(())
        }
    }
}

/// All of it in one transaction, behind those who make it at the same time.
async fn make(link: &Link) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT pg_advisory_xact_lock({MAKING}); \
         CREATE TABLE IF NOT EXISTS chainlock_leases ( \
           namespace text COLLATE \"C\" NOT NULL, \
           key text COLLATE \"C\" NOT NULL, \
           version bigint NOT NULL, \
           at_ms bigint NOT NULL, \
           body text NOT NULL, \
           PRIMARY KEY (namespace, key) \
         ) WITH (fillfactor = 70); \
         COMMENT ON TABLE chainlock_leases IS '{MARK}{FORMAT}'"
    );
    link.client.batch_execute(&sql).await.map_err(|error| match of_request(Kind::Read, &error) {
        StoreError::Denied(why) => StoreError::Denied(format!(
            "the table chainlock_leases is not there and may not be made: {why}; grant CREATE on the schema once, or \
             let somebody who may start chainlock first"
        )),
        other => other,
    })
}
