//! A lease and its fence as a state machine that stateright walks through completely, over the very rules that ship:
//! three clients whose messages may take any time, get lost or arrive twice, and who may be slow at any moment.

use super::model_row::{Row, TTL, nonce, record, row};
use crate::lease::hand_over::hand_over;
use crate::lease::record::{Mode, Who};
use crate::lease::rules::{self, Ask, Force, Verdict, View};
use stateright::{Checker, Model, Property};

const CLIENTS: usize = 3;

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
    /// Whether who does not get it stands in line, and a release hands it over.
    has_line: bool,
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
    /// Somebody has handed it over.
    Handed {
        row: Row,
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
    /// When the first write left that may have put it in line.
    stood: Option<u8>,
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
    was_handed: bool,
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

impl Client {
    fn believes(&self) -> bool {
        self.belief.is_some_and(|(_, deadline)| self.clock < deadline)
    }

    fn ask(&self, now: u8, has_line: bool) -> Verdict {
        let ask = Ask {
            nonce: nonce(self.nonce),
            mode: Mode::Exclusive,
            ttl_ms: TTL.into(),
            delay_ms: 0,
            session: None,
            who: Who::default(),
            meta: None,
            // One stands in line at the most.
            ticket_ttl_ms: (has_line && self.known.place.is_none()).then_some(TTL.into()),
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
                self.row = next.written(expect + 1, self.now);
                if let Some(token) = grants {
                    self.grants.push(token);
                }
                // A token that the client has not asked for is somebody else's.
                if grants.is_none() && next.token > self.grants.last().copied().unwrap_or(0) {
                    self.grants.push(next.token);
                    self.send(Message::Handed { row: self.row });
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
            Message::Handed { row } => {
                let Some((owner, token, _)) = row.hold else { return };
                let client = &mut self.clients[usize::from(owner) % CLIENTS];
                if client.known.version < row.version {
                    client.known = row;
                }
                if let Some(deadline) = client.stood.map(|stood| stood + TTL)
                    && client.nonce == owner
                    && client.clock < deadline
                {
                    client.belief = Some((token, deadline));
                    self.was_handed = true;
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

    fn ask(&mut self, index: usize, has_line: bool) -> bool {
        self.clients[index].known = self.row;
        let client = self.clients[index];
        let (record, is_grant) = match client.ask(self.now, has_line) {
            Verdict::Grant { record, .. } => (record, true),
            Verdict::Stand { record } => (record, false),
            _ => return false,
        };
        let next = row(&record);
        let message = Message::Swap {
            client: index as u8,
            expect: client.known.version,
            next,
            sent: client.clock,
            grants: is_grant.then_some(next.token),
        };
        if self.flying.contains(&message) {
            return false;
        }
        if !is_grant {
            self.clients[index].stood.get_or_insert(client.clock);
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
        client.stood = None;
        // Whoever has seen nothing for long takes what is over for living.
        let view = View { now: 0, slack: 0, gone: &[], dead: &|_| false };
        let freed = hand_over(&freed, &view, 0).map_or(freed, |handed| handed.record);
        self.send(Message::Swap { client: index as u8, expect, next: row(&freed), sent, grants: None });
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
            was_handed: false,
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
            Step::Ask(index) => next.ask(index, self.has_line),
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
        let mut all = vec![
            Property::always("tokens grow with the grants", |_, world: &World| {
                world.grants.is_sorted_by(|a, b| a < b)
            }),
            Property::always("accepted tokens never decrease", |_, world: &World| !world.took_stale),
            Property::always("no two believe at once", |_, world: &World| world.believers() <= 1),
            Property::sometimes("the fence is needed", |_, world: &World| world.refused_stale),
        ];
        if self.has_line {
            all.push(Property::sometimes("it is handed over", |_, world: &World| world.was_handed));
        }
        all
    }
}

fn check(name: &str, model: Leases) -> impl Checker<Leases> {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("stateright: {name}: {} states", checker.unique_state_count());
    checker
}

fn leases(last_tick: u8, clocks_may_stop: bool, fenced: bool) -> Leases {
    Leases { last_tick, requests: 2, flying: 2, clocks_may_stop, fenced, has_line: false }
}

#[test]
fn with_clocks_that_run_nobody_holds_beside_another() {
    check("leases, clocks run", leases(5, false, true)).assert_properties();
}

#[test]
fn what_is_handed_over_is_held_by_one() {
    let requests = crate::tests::sized(3, 4) as u8;
    check("leases, handed over", Leases { requests, has_line: true, ..leases(4, false, true) })
        .assert_properties();
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
