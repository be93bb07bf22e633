//! The rules as a table: a record, a request, and what is to be written.

use crate::lease::record::{
    Hold, MAX_HOLDS, MAX_TICKETS, Mode, Nonce, Record, Strange, Term, Ticket, VERSION, Who,
};
use crate::lease::rules::{self, Ask, Force, Refusal, Verdict, View};

const NOW: u64 = 1_000;
const LIVE: u64 = NOW + 500;
const OVER: u64 = NOW - 100;

fn term(until: u64) -> Term {
    Term { ttl_ms: 600, until, session: None }
}

fn hold(nonce: &str, token: u64, mode: Mode, until: u64) -> Hold {
    let who = Who { worker: nonce.into(), ..Who::default() };
    Hold {
        nonce: Nonce(nonce.into()),
        token,
        mode,
        term: term(until),
        delay_ms: 0,
        who,
        meta: None,
        handed: None,
    }
}

fn ticket(nonce: &str, mode: Mode, until: u64) -> Ticket {
    let who = Who { worker: nonce.into(), ..Who::default() };
    Ticket { nonce: Nonce(nonce.into()), mode, term: term(until), who, claim: None }
}

fn record(holds: Vec<Hold>, queue: Vec<Ticket>) -> Record {
    Record { v: VERSION, token: 9, holds, queue, ..Record::default() }
}

fn ask(nonce: &str, mode: Mode) -> Ask {
    Ask {
        nonce: Nonce(nonce.into()),
        mode,
        ttl_ms: 600,
        delay_ms: 0,
        session: None,
        who: Who { worker: nonce.into(), ..Who::default() },
        meta: None,
        ticket_ttl_ms: Some(600),
        force: Force::No,
        reason: None,
        send: None,
    }
}

fn on(record: &Record, ask: &Ask) -> Verdict {
    let dead = |who: &Who| &*who.worker == "dead";
    rules::acquire(record, &View { now: NOW, slack: 0, gone: &[], dead: &dead }, ask)
}

/// A word for each verdict.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Mine => "mine".into(),
        Verdict::Grant { record, stale, stolen, .. } => format!("grant {} -{stale} !{stolen}", record.token),
        Verdict::Stand { record } => format!("stand {}", record.queue.len()),
        Verdict::Busy { left } => format!("busy {left:?}"),
        Verdict::Refuse(refusal) | Verdict::Ended { refusal, .. } => format!("{refusal:?}"),
    }
}

#[test]
fn who_gets_what() {
    use Mode::{Exclusive as X, Permit as P, Shared as S};
    let table: Vec<(&str, Record, Ask, &str)> = vec![
        ("nothing there", Record::default(), ask("me", X), "grant 1 -0 !0"),
        ("free", record(vec![], vec![]), ask("me", X), "grant 10 -0 !0"),
        ("an answer was lost", record(vec![hold("me", 9, X, LIVE)], vec![]), ask("me", X), "mine"),
        ("my own has expired", record(vec![hold("me", 9, X, OVER)], vec![]), ask("me", X), "grant 10 -1 !0"),
        ("held", record(vec![hold("a", 9, X, LIVE)], vec![]), ask("me", X), "stand 1"),
        ("expired", record(vec![hold("a", 9, X, OVER)], vec![]), ask("me", X), "grant 10 -1 !0"),
        (
            "its process is dead",
            record(vec![hold("dead", 9, X, LIVE)], vec![]),
            ask("me", X),
            "grant 10 -1 !0",
        ),
        ("shared beside shared", record(vec![hold("a", 9, S, LIVE)], vec![]), ask("me", S), "grant 10 -0 !0"),
        ("shared beside exclusive", record(vec![hold("a", 9, X, LIVE)], vec![]), ask("me", S), "stand 1"),
        ("exclusive beside shared", record(vec![hold("a", 9, S, LIVE)], vec![]), ask("me", X), "stand 1"),
        (
            "a permit is left",
            record(vec![hold("a", 9, P(2), LIVE)], vec![]),
            ask("me", P(2)),
            "grant 10 -0 !0",
        ),
        (
            "no permit is left",
            record(vec![hold("a", 8, P(2), LIVE), hold("b", 9, P(2), LIVE)], vec![]),
            ask("me", P(2)),
            "stand 1",
        ),
        (
            "a permit has expired",
            record(vec![hold("a", 8, P(2), OVER), hold("b", 9, P(2), LIVE)], vec![]),
            ask("me", P(2)),
            "grant 10 -1 !0",
        ),
        ("other permits", record(vec![hold("a", 9, P(2), LIVE)], vec![]), ask("me", P(3)), "OtherPermits(2)"),
        (
            "permits that are over",
            record(vec![hold("a", 9, P(2), OVER)], vec![]),
            ask("me", P(3)),
            "grant 10 -1 !0",
        ),
        ("somebody stands before", record(vec![], vec![ticket("a", X, LIVE)]), ask("me", X), "stand 2"),
        (
            "shared behind exclusive",
            record(vec![hold("b", 9, S, LIVE)], vec![ticket("a", X, LIVE)]),
            ask("me", S),
            "stand 2",
        ),
        ("shared behind shared", record(vec![], vec![ticket("a", S, LIVE)]), ask("me", S), "grant 10 -0 !0"),
        (
            "who stands before is gone",
            record(vec![], vec![ticket("a", X, OVER)]),
            ask("me", X),
            "grant 10 -0 !0",
        ),
        (
            "who stands before is dead",
            record(vec![], vec![ticket("dead", X, LIVE)]),
            ask("me", X),
            "grant 10 -0 !0",
        ),
        (
            "my turn",
            record(vec![], vec![ticket("me", X, LIVE), ticket("a", X, LIVE)]),
            ask("me", X),
            "grant 10 -0 !0",
        ),
        (
            "not my turn",
            record(vec![], vec![ticket("a", X, LIVE), ticket("me", X, LIVE)]),
            ask("me", X),
            "busy Some(501)",
        ),
        (
            "no place in line wanted",
            record(vec![hold("a", 9, X, LIVE)], vec![]),
            Ask { ticket_ttl_ms: None, ..ask("me", X) },
            "busy Some(501)",
        ),
        (
            "force",
            record(vec![hold("a", 9, X, LIVE)], vec![ticket("b", X, LIVE)]),
            Ask { force: Force::Anybody, ..ask("me", X) },
            "grant 10 -0 !1",
        ),
        (
            "steal",
            record(vec![hold("a", 9, X, LIVE)], vec![]),
            Ask { force: Force::Token(9), ..ask("me", X) },
            "grant 10 -0 !1",
        ),
        (
            "steal what has moved",
            record(vec![hold("a", 9, X, LIVE)], vec![]),
            Ask { force: Force::Token(8), ..ask("me", X) },
            "Moved(9)",
        ),
        (
            "steal what has expired",
            record(vec![hold("a", 9, X, OVER)], vec![]),
            Ask { force: Force::Token(9), ..ask("me", X) },
            "Moved(9)",
        ),
    ];
    for (name, record, ask, expected) in table {
        assert_eq!(word(&on(&record, &ask)), expected, "{name}");
    }
}

#[test]
fn an_expiry_closes_the_key_for_the_delay_and_a_release_does_not() {
    let closed = Hold { delay_ms: 300, ..hold("a", 9, Mode::Exclusive, OVER) };
    let record = record(vec![closed], vec![]);
    let mine = Ask { ticket_ttl_ms: None, ..ask("me", Mode::Exclusive) };
    assert_eq!(word(&on(&record, &mine)), "busy Some(201)");
    let freed = rules::release(&record, &Nonce("a".into())).unwrap();
    assert_eq!(word(&on(&freed, &mine)), "grant 10 -0 !0");
}

#[test]
fn sessions_count_instead_of_time() {
    let mut held = hold("a", 9, Mode::Exclusive, OVER);
    held.term.session = Some("s".into());
    let record = record(vec![held], vec![]);
    let on = |gone: &[String]| {
        rules::acquire(
            &record,
            &View { now: NOW, slack: 0, gone, dead: &|_| false },
            &ask("me", Mode::Exclusive),
        )
    };
    assert_eq!(word(&on(&[])), "stand 1");
    let Verdict::Grant { ended, .. } = on(&["s".into()]) else { panic!("it is gone") };
    assert_eq!(ended, ["s"]);
}

#[test]
fn nothing_is_over_within_the_grain_of_the_stores_clock() {
    let held = record(vec![hold("a", 9, Mode::Exclusive, NOW)], vec![]);
    let at = |now| View { now, slack: 7, gone: &[], dead: &|_| false };
    let mine = Ask { ticket_ttl_ms: None, ..ask("me", Mode::Exclusive) };
    assert_eq!(word(&rules::acquire(&held, &at(NOW + 7), &mine)), "busy Some(1)");
    assert_eq!(word(&rules::acquire(&held, &at(NOW + 8), &mine)), "grant 10 -1 !0");
}

#[test]
fn a_full_record_takes_nobody_more() {
    let holds = (0..MAX_HOLDS).map(|n| hold(&n.to_string(), 9, Mode::Shared, LIVE)).collect();
    let full = record(holds, vec![]);
    assert_eq!(word(&on(&full, &ask("me", Mode::Shared))), format!("{:?}", Refusal::Full));
    let queue = (0..MAX_TICKETS).map(|n| ticket(&n.to_string(), Mode::Exclusive, LIVE)).collect();
    let long = record(vec![hold("a", 9, Mode::Exclusive, LIVE)], queue);
    assert_eq!(word(&on(&long, &ask("me", Mode::Exclusive))), "busy Some(501)");
}

#[test]
fn only_its_holder_renews_and_releases() {
    let record = record(vec![hold("a", 9, Mode::Exclusive, LIVE)], vec![ticket("b", Mode::Exclusive, LIVE)]);
    let view = View { now: NOW, slack: 0, gone: &[], dead: &|_| false };
    assert_eq!(rules::renew(&record, &view, &Nonce("a".into())).unwrap().holds[0].term.until, 0);
    assert!(rules::renew(&record, &view, &Nonce("b".into())).is_none());
    let late = View { now: LIVE + 1, slack: 0, gone: &[], dead: &|_| false };
    assert!(rules::renew(&record, &late, &Nonce("a".into())).is_none(), "what is over is not renewed");
    assert!(rules::release(&record, &Nonce("c".into())).is_none());
    assert!(rules::release(&record, &Nonce("a".into())).unwrap().holds.is_empty());
    let given_up = rules::release(&record, &Nonce("b".into())).unwrap();
    assert_eq!((given_up.holds.len(), given_up.queue.len(), given_up.token), (1, 0, 9));
    assert_eq!(rules::stay(&record, &Nonce("b".into())).unwrap().queue[0].term.until, 0);
    assert!(rules::stay(&record, &Nonce("a".into())).is_none());
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let mut record = record(vec![hold("a", 9, Mode::Permit(3), 0)], vec![ticket("b", Mode::Shared, LIVE)]);
    let text = record.text(7).unwrap();
    let read = Record::read(&text, NOW).unwrap();
    assert_eq!(read.holds[0].term.until, NOW + 600, "its own term counts from its write");
    assert_eq!(read.queue[0].term.until, LIVE, "and the others as before");
    assert!(matches!(Record::read("{\"v\":2}", NOW), Err(Strange::Newer(2))));
    assert!(matches!(Record::read("{\"v\":1}", NOW), Err(Strange::Foreign(_))));
    assert!(matches!(Record::read("hello", NOW), Err(Strange::Foreign(_))));
    let forged = text.replace("\"token\":9,\"holds\"", "\"token\":8,\"holds\"");
    assert!(matches!(Record::read(&forged, NOW), Err(Strange::Foreign(_))), "a token that was never granted");
}
