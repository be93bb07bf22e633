//! The rows: reading them, and moving them inside of a transaction that somebody else has begun.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use crate::lease::store::{Key, Seen, StoreError, Swap, Swapped, Version, Written, listed};
use crate::lease::stores::sqlite::clock::BootClock;
use crate::lease::stores::sqlite::file::of_sqlite;

const READ: &str = "SELECT version, at_ms, boot, body, id FROM leases WHERE namespace = ?1 AND key = ?2";
const LIST: &str = "SELECT version, at_ms, boot, body, id, key FROM leases WHERE namespace = ?1 AND key >= ?2 ORDER BY key LIMIT ?3";
const MAKE: &str =
    "INSERT INTO leases (namespace, key, version, at_ms, boot, body) VALUES (?1, ?2, 1, ?3, ?4, ?5)";
const MOVE: &str = "UPDATE leases SET version = ?2, at_ms = ?3, boot = ?4, body = ?5 WHERE id = ?1";

/// The rows of one namespace, on one connection.
#[derive(Debug)]
pub struct Rows<'a> {
    pub connection: &'a Connection,
    pub clock: &'a BootClock,
    pub namespace: &'a str,
}

/// A row as it is, and its number.
#[derive(Debug)]
pub struct Found {
    pub seen: Seen,
    pub id: i64,
    pub is_of_this_boot: bool,
}

impl Rows<'_> {
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        self.connection.prepare_cached(sql).map_err(of_sqlite)
    }

    pub fn read(&self, key: &str) -> Result<Seen, StoreError> {
        Ok(self.find(key)?.map_or_else(|| Seen::absent(self.clock.now()), |found| found.seen))
    }

    pub fn find(&self, key: &str) -> Result<Option<Found>, StoreError> {
        let mut statement = self.prepare(READ)?;
        let row = statement.query_row(params![self.namespace, key], |row| Ok(self.found(row)));
        row.optional().map_err(of_sqlite)?.transpose()
    }

    fn found(&self, row: &Row<'_>) -> Result<Found, StoreError> {
        let (version, at, id) = get_numbers(row).map_err(of_sqlite)?;
        let text = |column| row.get_ref(column).and_then(|text| Ok(text.as_str()?)).map_err(of_sqlite);
        let (boot, body) = (text(2)?, text(3)?);
        let (Ok(version), Ok(at)) = (u64::try_from(version), u64::try_from(at)) else {
            return Err(StoreError::Foreign("a row has a version or a time below zero".into()));
        };
        let (version, now) = (Version::Number(version), self.clock.now_for(at, boot)?);
        let seen = Seen { version, base: 0, at, now, body: body.into(), gone: Vec::new() };
        Ok(Found { seen, id, is_of_this_boot: boot == self.clock.boot() })
    }

    pub fn list(&self, prefix: &str, most: usize) -> Result<Vec<(Key, Seen)>, StoreError> {
        let mut statement = self.prepare(LIST)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![self.namespace, prefix, most]).map_err(of_sqlite)?;
        let mut all = Vec::new();
        // Keys are in the order of their bytes: what begins alike lies together.
        while let Some(row) = rows.next().map_err(of_sqlite)? {
            let key = row.get_ref(5).and_then(|key| Ok(key.as_str()?)).map_err(of_sqlite);
            let Some(key) = listed(key).transpose()? else { continue };
            if !key.starts_with(prefix) {
                break;
            }
            if let Some(found) = listed(self.found(row)).transpose()? {
                all.push((key.into(), found.seen));
            }
        }
        Ok(all)
    }

    /// Moves all of them or none. Looks at all before it writes the first, so that a loss leaves nothing to be undone.
    pub fn swap(&self, swaps: &[Swap]) -> Result<Swapped, StoreError> {
        let mut there = Vec::with_capacity(swaps.len());
        for swap in swaps {
            there.push(self.find(&swap.key)?);
        }
        let is_as_expected = |(swap, found): (&Swap, &Option<Found>)| match found {
            Some(found) => found.seen.version == swap.expect,
            None => swap.expect == Version::Absent,
        };
        if !swaps.iter().zip(&there).all(is_as_expected) {
            let now = self.clock.now();
            let seen =
                there.into_iter().map(|found| found.map_or_else(|| Seen::absent(now), |found| found.seen));
            return Ok(Swapped::Lost(seen.collect()));
        }
        let written = swaps.iter().zip(&there).map(|(swap, found)| self.write(swap, found.as_ref()));
        written.collect::<Result<_, _>>().map(Swapped::Won)
    }

    fn write(&self, swap: &Swap, found: Option<&Found>) -> Result<Written, StoreError> {
        let (now, boot) = (self.clock.now(), self.clock.boot());
        let Some(Found { seen, id, is_of_this_boot }) = found else {
            let values = params![self.namespace, &*swap.key, now as i64, boot, &*swap.body];
            self.prepare(MAKE)?.execute(values).map_err(of_sqlite)?;
            return Ok(Written { version: Version::Number(1), base: 0, at: now });
        };
        let at = if *is_of_this_boot { now.max(seen.at) } else { now };
        let version = match seen.version {
            Version::Number(version) => version + 1,
            _ => 1,
        };
        let values = params![id, version as i64, at as i64, boot, &*swap.body];
        self.prepare(MOVE)?.execute(values).map_err(of_sqlite)?;
        Ok(Written { version: Version::Number(version), base: 0, at })
    }
}

fn get_numbers(row: &Row<'_>) -> rusqlite::Result<(i64, i64, i64)> {
    Ok((row.get(0)?, row.get(1)?, row.get(4)?))
}
