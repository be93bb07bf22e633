//! Reading: what was asked for, in order, each row with its check sum compared.

use crate::journal::fault::Fault;
use crate::journal::row::{COLUMNS, Row};
use crate::journal::schema;
use crate::recorder::texts::written;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::path::{Path, PathBuf};

/// What is wanted. Times are nanoseconds since 1970; `since` belongs to the range, `until` does not.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub lock: Option<String>,
    pub layer: Option<String>,
    pub kind: Option<String>,
    /// Only what comes after this event, the first ones first; else the newest ones.
    pub after: Option<i64>,
    pub limit: u32,
}

#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    /// SQLite's count of other connections' commits, when something was last looked for in vain.
    seen: i64,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let connection = schema::open_to_read(path).map_err(|fault| fault.of(path))?;
        Ok(Self { connection, path: path.to_owned(), seen: -1 })
    }

    /// The events as a JSON array, oldest first.
    pub fn query(&self, query: &Query) -> Result<String, Fault> {
        self.rows(query).map(|rows| json(&rows)).map_err(|fault| fault.of(&self.path))
    }

    /// The next events, if anything was written since nothing was found; looks at no table otherwise.
    pub fn news(&mut self, query: &Query) -> Result<Option<String>, Fault> {
        let news = self.news_now(query);
        news.map_err(|fault| fault.of(&self.path))
    }

    fn news_now(&mut self, query: &Query) -> Result<Option<String>, Fault> {
        let count: i64 = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if count == self.seen {
            return Ok(None);
        }
        let rows = self.rows(query)?;
        if rows.is_empty() {
            self.seen = count;
            return Ok(None);
        }
        Ok(Some(json(&rows)))
    }

    /// The number of the newest event; 0 for none.
    pub fn newest(&self) -> Result<i64, Fault> {
        let newest =
            self.connection.query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| row.get(0));
        newest.map_err(|error| Fault::from(error).of(&self.path))
    }

    pub fn rows(&self, query: &Query) -> Result<Vec<Row>, Fault> {
        let clean = |text: &Option<String>| text.as_deref().map(written);
        let texts =
            [("lock", clean(&query.lock)), ("layer", clean(&query.layer)), ("kind", clean(&query.kind))];
        let numbers = [("id >", query.after), ("at_ns >=", query.since), ("at_ns <", query.until)];
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (condition, number) in numbers {
            if let Some(number) = number {
                conditions.push(format!("{condition} ?"));
                values.push(Value::Integer(number));
            }
        }
        for (column, text) in &texts {
            if let Some(text) = text {
                conditions.push(format!("{column} = ?"));
                values.push(Value::Text(text.clone()));
            }
        }
        let order = if query.after.is_some() { "id" } else { "at_ns DESC, id DESC" };
        let only =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let sql = format!("SELECT {COLUMNS} FROM events {only} ORDER BY {order} LIMIT {}", query.limit);
        let mut statement = self.connection.prepare(&sql)?;
        let mut found = statement.query(params_from_iter(values))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let row = Row::read(row)?.ok_or_else(|| Fault::damaged("the check sum of a row is wrong"))?;
            // The index that led to it may be damaged as well.
            let [lock, layer, kind] = [row.lock.as_deref(), row.layer.as_deref(), Some(&*row.kind)];
            let is_it = [lock, layer, kind]
                .iter()
                .zip(&texts)
                .all(|(has, (_, wanted))| wanted.is_none() || wanted.as_deref() == *has);
            if !is_it
                || query.since.is_some_and(|since| row.at < since)
                || query.until.is_some_and(|until| row.at >= until)
            {
                return Err(Fault::damaged("an index leads to the wrong row"));
            }
            rows.push(row);
        }
        if query.after.is_none() {
            rows.reverse();
        }
        Ok(rows)
    }

    /// SQLite's own look at the whole file: what it finds wrong.
    pub fn check(&self) -> Result<Vec<String>, Fault> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check(20)")?;
        let found = statement.query_map([], |row| row.get::<_, String>(0))?;
        let found: Vec<String> = found.collect::<Result<_, _>>()?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }
}

fn json(rows: &[Row]) -> String {
    let events: Vec<_> = rows.iter().map(Row::event).collect();
    serde_json::to_string(&events).unwrap_or_else(|_| "[]".into())
}
