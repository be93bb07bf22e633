//! A lease and its fence as a state machine that stateright walks through completely, over the very rules that ship:
//! three clients whose messages may take any time, get lost or arrive twice, and who may be slow at any moment.

use crate::lease::record::{Hold, Mode, Nonce, Record, Term, Who};
use crate::lease::rules::{self, Ask, Force, Verdict, View};
use stateright::{Checker, Model, Property};

const CLIENTS: usize = 3;
const TTL: u8 = 2;

#[derive(Clone, Debug)]
struct Leases {
    last_tick: u8,
    requests: u8,
    /// So many messages are on their way at the most.
    flying: usize,
    /// A client's clock may stand still while the others' run.
    clocks_may_stop: bool,
    /// Whether the guarded resource compares tokens.
    fenced: bool,
}

/// One record, as far as exclusive holds go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    version: u8,
    token: u8,
    /// Nonce, token, until.
    hold: Option<(u8, u8, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Swap {
        client: u8,
        expect: u8,
        next: Row,
        sent: u8,
        grants: Option<u8>,
    },
    /// Won: this is there now, and the client holds it with that token.
    Won {
        client: u8,
        row: Row,
        sent: u8,
        token: Option<u8>,
    },
    /// To the guarded resource; `grant` is the order in which the server gave the tokens.
    Put {
        token: u8,
        grant: u8,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Client {
    clock: u8,
    nonce: u8,
    known: Row,
    /// Token and deadline.
    belief: Option<(u8, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    now: u8,
    row: Row,
    clients: [Client; CLIENTS],
    flying: Vec<Message>,
    requests: u8,
    /// The tokens in the order of their grants.
    grants: Vec<u8>,
    newest_token: u8,
    newest_grant: u8,
    took_stale: bool,
    refused_stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Tick,
    /// All but this one.
    TickWithout(usize),
    /// It looks, and asks for what it has seen: what it sent may be old when it arrives.
    Ask(usize),
    Release(usize),
    Write(usize),
    Deliver(usize),
    /// It arrives, and will arrive again.
    DeliverTwice(usize),
    Lose(usize),
}

fn nonce(number: u8) -> Nonce {
    Nonce(number.to_string().into())
}

fn record(row: &Row) -> Record {
    let hold = row.hold.map(|(owner, token, until)| Hold {
        nonce: nonce(owner),
        token: token.into(),
        mode: Mode::Exclusive,
        term: Term { ttl_ms: TTL.into(), until: until.into(), session: None },
        delay_ms: 0,
        who: Who::default(),
        meta: None,
        handed: None,
    });
    Record { token: row.token.into(), holds: hold.into_iter().collect(), ..Record::default() }
}

fn row(record: &Record, version: u8, now: u8) -> Row {
    let hold = record.holds.first().map(|hold| {
        let until = if hold.term.until == 0 { now + TTL } else { hold.term.until as u8 };
        (hold.nonce.0.to_string().parse().unwrap(), hold.token as u8, until)
    });
    Row { version, token: record.token as u8, hold }
}

impl Client {
    fn believes(&self) -> bool {
        self.belief.is_some_and(|(_, deadline)| self.clock < deadline)
    }

    fn ask(&self, now: u8) -> Verdict {
        let ask = Ask {
            nonce: nonce(self.nonce),
            mode: Mode::Exclusive,
            ttl_ms: TTL.into(),
            delay_ms: 0,
            session: None,
            who: Who::default(),
            meta: None,
            ticket_ttl_ms: None,
            force: Force::No,
            reason: None,
            send: None,
        };
        let view = View { now: now.into(), slack: 0, gone: &[], dead: &|_| false };
        rules::acquire(&record(&self.known), &view, &ask)
    }
}

impl World {
    fn send(&mut self, message: Message) {
        self.flying.push(message);
        self.flying.sort_unstable();
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Swap { client, expect, next, sent, grants } if expect == self.row.version => {
                let hold = next.hold.map(|(owner, token, until)| {
                    (owner, token, if until == 0 { self.now + TTL } else { until })
                });
                self.row = Row { version: expect + 1, token: next.token, hold };
                if let Some(token) = grants {
                    self.grants.push(token);
                }
                self.send(Message::Won { client, row: self.row, sent, token: grants });
            }
            // Lost: the client looks again for itself.
            Message::Swap { .. } => {}
            Message::Won { client, row, sent, token } => {
                let client = &mut self.clients[usize::from(client)];
                if client.known.version < row.version {
                    client.known = row;
                }
                if let Some(token) = token
                    && client.clock < sent + TTL
                {
                    client.belief = Some((token, sent + TTL));
                }
            }
            Message::Put { token, grant } => {
                self.took_stale |= token >= self.newest_token && grant < self.newest_grant;
                self.refused_stale |= token < self.newest_token;
                if token >= self.newest_token {
                    (self.newest_token, self.newest_grant) = (token, grant);
                }
            }
        }
    }

    fn ask(&mut self, index: usize) -> bool {
        self.clients[index].known = self.row;
        let client = self.clients[index];
        let Verdict::Grant { record, .. } = client.ask(self.now) else { return false };
        // The server's clock fills in the term.
        let mut next = row(&record, 0, 0);
        next.hold = next.hold.map(|(owner, token, _)| (owner, token, 0));
        let message = Message::Swap {
            client: index as u8,
            expect: client.known.version,
            next,
            sent: client.clock,
            grants: Some(next.token),
        };
        if self.flying.contains(&message) {
            return false;
        }
        self.requests -= 1;
        self.send(message);
        true
    }

    fn release(&mut self, index: usize) -> bool {
        let client = &mut self.clients[index];
        let freed = rules::release(&record(&client.known), &nonce(client.nonce));
        let Some(freed) = freed.filter(|_| client.belief.take().is_some()) else { return false };
        let (expect, sent) = (client.known.version, client.clock);
        client.nonce += CLIENTS as u8;
        self.send(Message::Swap { client: index as u8, expect, next: row(&freed, 0, 0), sent, grants: None });
        true
    }

    fn believers(&self) -> usize {
        self.clients.iter().filter(|client| client.believes()).count()
    }
}

impl Model for Leases {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let clients =
            std::array::from_fn(|index| Client { clock: 1, nonce: index as u8, ..Client::default() });
        vec![World {
            now: 1,
            row: Row::default(),
            clients,
            flying: Vec::new(),
            requests: self.requests,
            grants: Vec::new(),
            newest_token: 0,
            newest_grant: 0,
            took_stale: false,
            refused_stale: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        if world.now < self.last_tick {
            actions.push(Step::Tick);
            if self.clocks_may_stop {
                actions.extend((0..CLIENTS).map(Step::TickWithout));
            }
        }
        for index in 0..CLIENTS {
            let client = &world.clients[index];
            if !client.believes() && world.requests > 0 && world.flying.len() < self.flying {
                actions.push(Step::Ask(index));
            }
            if client.believes() {
                actions.push(Step::Release(index));
                if world.flying.len() < self.flying {
                    actions.push(Step::Write(index));
                }
            }
        }
        for (index, message) in world.flying.iter().enumerate() {
            actions.push(Step::Deliver(index));
            actions.push(Step::Lose(index));
            if matches!(message, Message::Swap { .. }) {
                actions.push(Step::DeliverTwice(index));
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let happened = match step {
            Step::Tick | Step::TickWithout(_) => {
                next.now += 1;
                for (index, client) in next.clients.iter_mut().enumerate() {
                    client.clock += u8::from(step != Step::TickWithout(index));
                }
                true
            }
            Step::Ask(index) => next.ask(index),
            Step::Release(index) => next.release(index),
            Step::Write(index) => {
                let token = next.clients[index].belief?.0;
                let grant = world.grants.iter().position(|other| *other == token)? as u8 + 1;
                let token = if self.fenced { token } else { u8::MAX };
                next.send(Message::Put { token, grant });
                true
            }
            Step::Deliver(index) | Step::DeliverTwice(index) => {
                let message = match step {
                    Step::Deliver(_) => next.flying.remove(index),
                    _ => *next.flying.get(index)?,
                };
                next.arrive(message);
                true
            }
            Step::Lose(index) => {
                next.flying.remove(index);
                true
            }
        };
        happened.then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("tokens grow with the grants", |_, world: &World| {
                world.grants.is_sorted_by(|a, b| a < b)
            }),
            Property::always("accepted tokens never decrease", |_, world: &World| !world.took_stale),
            Property::always("no two believe at once", |_, world: &World| world.believers() <= 1),
            Property::sometimes("the fence is needed", |_, world: &World| world.refused_stale),
        ]
    }
}

fn check(name: &str, model: Leases) -> impl Checker<Leases> {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("stateright: {name}: {} states", checker.unique_state_count());
    checker
}

fn leases(last_tick: u8, clocks_may_stop: bool, fenced: bool) -> Leases {
    Leases { last_tick, requests: 2, flying: 2, clocks_may_stop, fenced }
}

#[test]
fn with_clocks_that_run_nobody_holds_beside_another() {
    check("leases, clocks run", leases(5, false, true)).assert_properties();
}

#[test]
fn with_clocks_that_stop_only_the_fence_holds() {
    let checker = check("leases, clocks stop", leases(4, true, true));
    assert!(checker.discovery("no two believe at once").is_some(), "two believe, and that is found");
    for holds in ["tokens grow with the grants", "accepted tokens never decrease"] {
        assert!(checker.discovery(holds).is_none(), "{holds}");
    }
}

#[test]
fn without_the_fence_stale_writes_are_taken() {
    let checker = check("leases, no fence", leases(4, false, false));
    assert!(checker.discovery("accepted tokens never decrease").is_some());
}
