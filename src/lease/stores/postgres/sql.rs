//! The statements, one for each request, and what their rows mean.

use std::collections::HashMap;
use std::rc::Rc;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::lease::store::{Key, Seen, StoreError, Swap, Swapped, Version, Written, listed};
use crate::lease::stores::postgres::errors::{Kind, unavailable};
use crate::lease::stores::postgres::link::{Server, Value};

/// The server's clock at this very moment, in whole ms.
macro_rules! now {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// A message: table, version, time, length of the key; the key; the record, if it fits.
macro_rules! message {
    ($row:literal, $key:literal, $carried:literal) => {
        concat!(
            "(",
            $row,
            ".tableoid::text || ' ' || ",
            $row,
            ".version || ' ' || ",
            $row,
            ".at_ms || ' ' || \
             octet_length(",
            $key,
            ") || ' ' || ",
            $key,
            " || ",
            $carried,
            ")"
        )
    };
}

const READ: &str = concat!(
    "SELECT l.version, l.at_ms, greatest(l.at_ms, ",
    now!(),
    "), l.body \
     FROM unnest($2) WITH ORDINALITY AS wanted(key, place) \
     LEFT JOIN chainlock_leases l ON l.namespace = $1 AND l.key = wanted.key ORDER BY wanted.place"
);
const LIST: &str = concat!(
    "SELECT version, at_ms, greatest(at_ms, ",
    now!(),
    "), body, key FROM chainlock_leases \
     WHERE namespace = $1 AND key >= $2 AND key <= $3 AND left(key, length($2)) = $2 ORDER BY key LIMIT $4"
);
const READ_ONE: &str = concat!(
    "SELECT l.version, l.at_ms, greatest(l.at_ms, ",
    now!(),
    "), l.body FROM (SELECT 1) AS one LEFT JOIN chainlock_leases l ON l.namespace = $1 AND l.key = $2"
);
// Plain statements: the server plans them in a fraction of the time that one which also tells what it lost to takes.
macro_rules! move_one {
    () => {
        concat!(
            "UPDATE chainlock_leases AS l SET version = l.version + 1, at_ms = greatest(l.at_ms, ",
            now!(),
            "), body = $3 WHERE l.namespace = $1 AND l.key = $2 AND l.version = $4 RETURNING l.version, l.at_ms"
        )
    };
}
macro_rules! make_one {
    () => {
        concat!(
            "INSERT INTO chainlock_leases AS l (namespace, key, version, at_ms, body) VALUES ($1, $2, 1, ",
            now!(),
            ", $3) ON CONFLICT (namespace, key) DO NOTHING RETURNING l.version, l.at_ms"
        )
    };
}
const MOVE: &str = move_one!();
const MAKE: &str = make_one!();
const MOVE_AND_TELL: &str = concat!(move_one!(), ", pg_notify($5, ", message!("l", "$2", "$6"), ")::text");
const MAKE_AND_TELL: &str = concat!(make_one!(), ", pg_notify($4, ", message!("l", "$2", "$5"), ")::text");
/// Several rows: locked in the order of their keys, so that nobody waits in a circle. A division by zero undoes all
/// when `$7` says all or none and one of them did not move.
const MANY: &str = concat!(
    "WITH wanted AS MATERIALIZED (SELECT * FROM unnest($2, $3, $4, $5) AS w(key, expect, body, message)), \
     locked AS MATERIALIZED (SELECT l.key FROM chainlock_leases l WHERE l.namespace = $1 AND l.key = ANY($2) \
       ORDER BY l.key FOR UPDATE), \
     moved AS (UPDATE chainlock_leases l SET version = l.version + 1, \
       at_ms = greatest(l.at_ms, ",
    now!(),
    "), body = w.body FROM wanted w \
       WHERE (SELECT count(*) FROM locked) > 0 AND l.namespace = $1 AND l.key = w.key AND l.version = w.expect \
       RETURNING l.tableoid, l.key, l.version, l.at_ms), \
     made AS (INSERT INTO chainlock_leases (namespace, key, version, at_ms, body) \
       SELECT $1, w.key, 1, ",
    now!(),
    ", w.body FROM wanted w \
       WHERE (SELECT count(*) FROM locked) >= 0 AND w.expect = 0 ORDER BY w.key \
       ON CONFLICT (namespace, key) DO NOTHING RETURNING tableoid, key, version, at_ms), \
     written AS (SELECT * FROM moved UNION ALL SELECT * FROM made) \
     SELECT d.key, d.version, d.at_ms, \
       1 / (CASE WHEN NOT $7 OR (SELECT count(*) FROM written) = cardinality($2) THEN 1 ELSE 0 END), \
       CASE WHEN w.message IS NOT NULL THEN pg_notify($6, ",
    message!("d", "d.key", "w.message"),
    ")::text END \
     FROM written d JOIN wanted w ON w.key = d.key"
);

/// The longest record that a message carries: 8,000 bytes is the server's limit, key and numbers included.
const CARRIED: usize = 7_300;
/// After every key that begins so: as many of the last characters as a key can have.
const LAST: char = '\u{10ffff}';

/// The table of one namespace, on one server.
#[derive(Debug)]
pub struct Table {
    pub server: Rc<Server>,
    namespace: String,
    pub channel: String,
}

impl Table {
    pub fn new(server: Rc<Server>, namespace: &str) -> Self {
        // FNV-1a: a channel's name is shorter than a namespace may be.
        let hash = namespace.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { server, namespace: namespace.to_owned(), channel: format!("chainlock_{hash:016x}") }
    }

    pub async fn read(&self, keys: &[Key]) -> Result<Vec<Seen>, StoreError> {
        if let [key] = keys {
            return Ok(vec![self.read_one(key).await?]);
        }
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let values: &[Value<'_>] = &[(&self.namespace, Type::TEXT), (&keys, Type::TEXT_ARRAY)];
        let rows = self.server.request(Kind::Read, READ, values).await?.unwrap_or_default();
        if rows.len() != keys.len() {
            return Err(unavailable("others changed it meanwhile"));
        }
        rows.iter().map(|row| seen(row, 0)).collect()
    }

    pub async fn list(&self, prefix: &str, most: usize) -> Result<Vec<(Key, Seen)>, StoreError> {
        let last: String = prefix.chars().chain(std::iter::repeat_n(LAST, 128)).collect();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values: &[_] = &[
            (&self.namespace as _, Type::TEXT),
            (&prefix as _, Type::TEXT),
            (&last as _, Type::TEXT),
            (&most as _, Type::INT8),
        ];
        let rows = self.server.request(Kind::Read, LIST, values).await?.unwrap_or_default();
        let one = |row: &Row| Ok((get::<&str>(row, 4)?.into(), seen(row, 0)?));
        rows.iter().filter_map(|row| listed(one(row))).collect()
    }

    pub async fn swap_one(&self, swap: &Swap) -> Result<Swapped, StoreError> {
        let Some(expect) = expected(&swap.expect) else { return Ok(Swapped::Lost(Vec::new())) };
        let (key, body, carried) = (&*swap.key, &*swap.body, carried(swap));
        let mut values: Vec<Value<'_>> =
            vec![(&self.namespace, Type::TEXT), (&key, Type::TEXT), (&body, Type::TEXT)];
        if expect > 0 {
            values.push((&expect, Type::INT8));
        }
        if swap.wake {
            values.extend([(&self.channel as _, Type::TEXT), (&carried as _, Type::TEXT)]);
        }
        let sql = match (expect, swap.wake) {
            (0, false) => MAKE,
            (0, true) => MAKE_AND_TELL,
            (_, false) => MOVE,
            (_, true) => MOVE_AND_TELL,
        };
        let rows = self.server.request(Kind::Write, sql, &values).await?.unwrap_or_default();
        match rows.first() {
            Some(row) => Ok(Swapped::Won(vec![written(row, 0)?])),
            // It is lost, whatever comes of looking.
            None => Ok(Swapped::Lost(self.read_one(key).await.into_iter().collect())),
        }
    }

    async fn read_one(&self, key: &str) -> Result<Seen, StoreError> {
        let values: &[Value<'_>] = &[(&self.namespace, Type::TEXT), (&key, Type::TEXT)];
        let rows = self.server.request(Kind::Read, READ_ONE, values).await?.unwrap_or_default();
        rows.first().map_or_else(|| Err(unavailable("others changed it meanwhile")), |row| seen(row, 0))
    }

    /// All or none.
    pub async fn swap_all(&self, swaps: &[Swap]) -> Result<Swapped, StoreError> {
        let Some(mut written) = self.many(swaps, true).await? else { return Ok(Swapped::Lost(Vec::new())) };
        let written = swaps.iter().map(|swap| written.remove(&swap.key));
        Ok(written.collect::<Option<Vec<_>>>().map_or(Swapped::Lost(Vec::new()), Swapped::Won))
    }

    /// Each by itself, in one statement.
    pub async fn swap_together(&self, swaps: &[Swap]) -> Vec<Result<Swapped, StoreError>> {
        let verdict = |written: Option<Written>| match written {
            Some(written) => Swapped::Won(vec![written]),
            None => Swapped::Lost(Vec::new()),
        };
        match self.many(swaps, false).await {
            Ok(written) => {
                let mut written = written.unwrap_or_default();
                swaps.iter().map(|swap| Ok(verdict(written.remove(&swap.key)))).collect()
            }
            Err(error) => swaps.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn many(
        &self,
        swaps: &[Swap],
        is_all_or_none: bool,
    ) -> Result<Option<HashMap<Key, Written>>, StoreError> {
        let keys: Vec<&str> = swaps.iter().map(|swap| &*swap.key).collect();
        // No row has such a version.
        let expect: Vec<i64> = swaps.iter().map(|swap| expected(&swap.expect).unwrap_or(-1)).collect();
        let bodies: Vec<&str> = swaps.iter().map(|swap| &*swap.body).collect();
        let messages: Vec<Option<&str>> = swaps.iter().map(|swap| swap.wake.then(|| carried(swap))).collect();
        let values: &[_] = &[
            (&self.namespace as _, Type::TEXT),
            (&keys as _, Type::TEXT_ARRAY),
            (&expect as _, Type::INT8_ARRAY),
            (&bodies as _, Type::TEXT_ARRAY),
            (&messages as _, Type::TEXT_ARRAY),
            (&self.channel as _, Type::TEXT),
            (&is_all_or_none as _, Type::BOOL),
        ];
        let Some(rows) = self.server.request(Kind::Write, MANY, values).await? else { return Ok(None) };
        let pairs = rows.iter().map(|row| Ok((Key::from(get::<&str>(row, 0)?), written(row, 1)?)));
        pairs.collect::<Result<_, _>>().map(Some)
    }
}

/// The version in a row; 0 is a row that is not there, none is of another store.
fn expected(version: &Version) -> Option<i64> {
    match version {
        Version::Absent => Some(0),
        Version::Number(number) => i64::try_from(*number).ok().filter(|number| *number > 0),
        Version::Object(_) => None,
    }
}

/// The record, as far as a message can carry it.
fn carried(swap: &Swap) -> &str {
    if swap.body.len() <= CARRIED { &swap.body } else { "" }
}

fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|_| StoreError::Foreign("a row has what no lease has".into()))
}

fn number(row: &Row, column: usize) -> Result<u64, StoreError> {
    let number: i64 = get(row, column)?;
    u64::try_from(number).map_err(|_| StoreError::Foreign("a row has a version or a time below zero".into()))
}

/// A record from four columns: version, time of the write, now, body.
fn seen(row: &Row, first: usize) -> Result<Seen, StoreError> {
    let now = number(row, first + 2)?;
    if get::<Option<i64>>(row, first)?.is_none() {
        return Ok(Seen::absent(now));
    }
    let version = Version::Number(number(row, first)?);
    let (at, body) = (number(row, first + 1)?, get::<&str>(row, first + 3)?.into());
    Ok(Seen { version, base: 0, at, now, body, gone: Vec::new() })
}

fn written(row: &Row, first: usize) -> Result<Written, StoreError> {
    Ok(Written { version: Version::Number(number(row, first)?), base: 0, at: number(row, first + 1)? })
}

/// Takes a message apart: the key, and the record if it is there. None when it is of another table, or no message.
pub fn heard(message: &str, table: u32) -> Option<(Key, Option<Seen>)> {
    let mut parts = message.splitn(5, ' ');
    let mut next_number = || parts.next()?.parse::<u64>().ok();
    let (from, version, at, length) = (next_number()?, next_number()?, next_number()?, next_number()?);
    let (key, body) = parts.next()?.split_at_checked(usize::try_from(length).ok()?)?;
    let version = Version::Number(version);
    let seen = Seen { version, base: 0, at, now: at, body: body.into(), gone: Vec::new() };
    (from == u64::from(table)).then(|| (key.into(), (!body.is_empty()).then_some(seen)))
}
