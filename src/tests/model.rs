//! The send lock as a state machine that stateright walks through completely, over the very `decide` that
//! ships: four layers with two messages each, crashes, forced releases, timeouts, cooldown, a late timer,
//! and a sink that looks at fencing tokens. Time is a counter of ticks.

use crate::send::rules::{
    self, CooldownFrom, Due, Hold, OnTimeout, Refusal, Request, Rules, State as LockState, Verdict,
};
use crate::time::Nanos;
use stateright::{Checker, Model, Property};

const LAYERS: usize = 4;
const MESSAGES: u8 = 2;

#[derive(Clone, Debug)]
struct SendModel {
    rules: Rules,
    /// Whether the sink refuses a token below one that it has seen.
    fenced: bool,
    /// Whether all layers send the same messages, and name them; else each has its own.
    shared_messages: bool,
    last_tick: u64,
    forces: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    now: u64,
    lock: LockState,
    holder: Option<(usize, u8)>,
    last_token: u8,
    layers: [Layer; LAYERS],
    forces_left: u8,
    sent: [Option<Nanos>; MESSAGES as usize],
    sink: Sink,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Layer {
    alive: bool,
    left: u8,
    /// The token that the layer has, whether it still counts or not.
    grant: Option<u8>,
    has_sent: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sink {
    newest: u8,
    took_stale: bool,
    refused_stale: bool,
    delivered: [u8; MESSAGES as usize],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Tick,
    Timer,
    Ask(usize),
    Send(usize),
    Release(usize),
    Crash(usize),
    Force,
}

impl World {
    fn time(&self) -> Nanos {
        // Tick 0 is an instant like any other, not "never".
        Nanos(100 + self.now)
    }

    fn end(&mut self) {
        self.lock = rules::ended(self.time(), &self.lock);
        self.holder = None;
    }

    fn apply(&mut self, due: Due) {
        match due {
            Due::Nothing => {}
            Due::Overdue => self.lock.hold = self.lock.hold.map(|hold| Hold { overdue: true, ..hold }),
            Due::End(_) => self.end(),
        }
    }

    fn message(&self, layer: usize) -> usize {
        usize::from(MESSAGES - self.layers[layer].left)
    }

    fn is_held_by(&self, layer: usize) -> bool {
        self.layers[layer].grant.is_some_and(|token| self.holder == Some((layer, token)))
    }

    fn request(&self, model: &SendModel, layer: usize) -> Request {
        let sent_before = if model.shared_messages { self.sent[self.message(layer)] } else { None };
        Request { layer_known: true, sent_before }
    }

    fn ask(&mut self, model: &SendModel, layer: usize) {
        let decision = rules::decide(&model.rules, &self.lock, &self.request(model, layer), self.time());
        self.apply(decision.first);
        if let Verdict::Refuse(refusal) = decision.verdict {
            // Somebody else has sent it: on to the next one.
            self.layers[layer].left -= u8::from(matches!(refusal, Refusal::DuplicateMessage { .. }));
            return;
        }
        self.last_token += 1;
        self.lock = rules::acquired(self.time(), &self.lock);
        self.holder = Some((layer, self.last_token));
        self.layers[layer].grant = Some(self.last_token);
        self.layers[layer].has_sent = false;
        let message = self.message(layer);
        if model.shared_messages {
            self.sent[message] = Some(self.time());
        }
    }

    fn send(&mut self, model: &SendModel, layer: usize, token: u8) {
        self.layers[layer].has_sent = true;
        let stale = token < self.sink.newest;
        if stale && model.fenced {
            self.sink.refused_stale = true;
            return;
        }
        self.sink.took_stale |= stale;
        self.sink.newest = self.sink.newest.max(token);
        let message = self.message(layer);
        self.sink.delivered[message] += 1;
    }

    fn release(&mut self, model: &SendModel, layer: usize) {
        let message = self.message(layer);
        let (held, has_sent) = (self.is_held_by(layer), self.layers[layer].has_sent);
        if held {
            self.end();
            if !has_sent && model.shared_messages {
                self.sent[message] = None;
            }
        }
        self.layers[layer].grant = None;
        self.layers[layer].left -= u8::from(has_sent);
    }

    fn crash(&mut self, layer: usize) {
        if self.is_held_by(layer) {
            self.end();
        }
        self.layers[layer] = Layer { alive: false, left: 0, grant: None, has_sent: false };
    }
}

impl Model for SendModel {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let layer = Layer { alive: true, left: MESSAGES, grant: None, has_sent: false };
        vec![World {
            now: 0,
            lock: LockState { hold: None, last_acquired: Nanos::NEVER, last_ended: Nanos::NEVER },
            holder: None,
            last_token: 0,
            layers: [layer; LAYERS],
            forces_left: self.forces,
            sent: [None; MESSAGES as usize],
            sink: Sink::default(),
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.now < self.last_tick {
            steps.push(Step::Tick);
        }
        if rules::due(&self.rules, &world.lock, world.time()) != Due::Nothing {
            steps.push(Step::Timer);
        }
        if world.holder.is_some() && world.forces_left > 0 {
            steps.push(Step::Force);
        }
        for (index, layer) in world.layers.iter().enumerate().filter(|(_, layer)| layer.alive) {
            match layer.grant {
                None if layer.left > 0 => steps.push(Step::Ask(index)),
                None => {}
                Some(_) => {
                    if !layer.has_sent {
                        steps.push(Step::Send(index));
                    }
                    steps.push(Step::Release(index));
                    steps.push(Step::Crash(index));
                }
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Tick => next.now += 1,
            Step::Timer => next.apply(rules::due(&self.rules, &next.lock, next.time())),
            Step::Ask(layer) => next.ask(self, layer),
            Step::Send(layer) => next.send(self, layer, next.layers[layer].grant?),
            Step::Release(layer) => next.release(self, layer),
            Step::Crash(layer) => next.crash(layer),
            Step::Force => {
                next.forces_left -= 1;
                next.end();
            }
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_STALE_WRITE, |_, world: &World| !world.sink.took_stale),
            Property::always("at most one layer holds", |_, world: &World| {
                let holding = (0..LAYERS).filter(|layer| world.is_held_by(*layer)).count();
                holding <= 1 && (world.holder.is_some() == world.lock.hold.is_some())
            }),
            Property::always("no two grants have one token", |_, world: &World| {
                let grants: Vec<u8> = world.layers.iter().filter_map(|layer| layer.grant).collect();
                grants.iter().enumerate().all(|(index, token)| !grants[..index].contains(token))
            }),
            Property::always("the first rule that applies answers", answers_in_order),
            Property::always(
                "what was due is done, and the timer was armed for it",
                |model: &SendModel, world: &World| {
                    let armed = rules::next_due(&model.rules, &world.lock, false);
                    let is_due = rules::due(&model.rules, &world.lock, world.time()) != Due::Nothing;
                    let mut after = world.clone();
                    after.apply(rules::due(&model.rules, &world.lock, world.time()));
                    is_due == (armed <= world.time())
                        && rules::due(&model.rules, &after.lock, after.time()) == Due::Nothing
                },
            ),
            Property::always(
                "a shared message is delivered once within the window",
                |model: &SendModel, world: &World| {
                    !model.shared_messages || world.sink.delivered.iter().all(|count| *count <= 1)
                },
            ),
            Property::sometimes("a layer outlives its hold", |_, world: &World| {
                (0..LAYERS).any(|layer| world.layers[layer].grant.is_some() && !world.is_held_by(layer))
            }),
            Property::sometimes(
                "the sink refuses one that outlived its hold, or takes it",
                |_, world: &World| world.sink.refused_stale || world.sink.took_stale,
            ),
            Property::sometimes("somebody holds after a crash", |_, world: &World| {
                world.holder.is_some() && world.layers.iter().any(|layer| !layer.alive)
            }),
            Property::sometimes("everybody gets through", |model: &SendModel, world: &World| {
                let served = world.layers.iter().all(|layer| layer.alive && layer.left < MESSAGES);
                served && (!model.shared_messages || world.sink.delivered == [1, 1])
            }),
        ]
    }
}

const NO_STALE_WRITE: &str = "no write of an older hold is taken after one of a newer hold";

/// The rules again, written as a list: the answer is that of the first line that applies.
fn answers_in_order(model: &SendModel, world: &World) -> bool {
    let (rules, lock, now) = (&model.rules, &world.lock, world.time().0);
    let age = lock.hold.map(|hold| now - hold.since.0);
    let ends = age.is_some_and(|age| {
        age >= rules.force_after.0 || (rules.on_timeout == OnTimeout::Release && age >= rules.timeout.0)
    });
    let from = match rules.cooldown_from {
        CooldownFrom::Acquire => lock.last_acquired.0,
        CooldownFrom::Release if ends => now,
        CooldownFrom::Release => lock.last_ended.0,
    };
    let cooling = from != 0 && now < from + rules.cooldown.0;
    let held = lock.hold.is_some() && !ends;
    [None, Some(Nanos(now)), world.sent[0], world.sent[1]].into_iter().all(|sent_before| {
        let duplicate = sent_before.is_some_and(|at| now < at.0 + rules.dedup_window.0);
        [true, false].into_iter().all(|layer_known| {
            let decision = rules::decide(rules, lock, &Request { layer_known, sent_before }, world.time());
            let answer = match decision.verdict {
                Verdict::Acquire => "acquired",
                Verdict::Refuse(Refusal::UnknownLayer) => "unknown_layer",
                Verdict::Refuse(Refusal::Cooldown { .. }) => "cooldown",
                Verdict::Refuse(Refusal::Held) => "held",
                Verdict::Refuse(Refusal::DuplicateMessage { .. }) => "duplicate_message",
            };
            let list = [
                (!layer_known, "unknown_layer"),
                (cooling, "cooldown"),
                (held, "held"),
                (duplicate, "duplicate_message"),
                (true, "acquired"),
            ];
            let ended = matches!(decision.first, Due::End(_));
            list.iter().find(|(applies, _)| *applies).map(|(_, answer)| *answer) == Some(answer)
                && ended == (layer_known && ends)
        })
    })
}

fn ticks(cooldown: u64, timeout: u64, force_after: u64, dedup_window: u64) -> Rules {
    Rules {
        cooldown: Nanos(cooldown),
        timeout: Nanos(timeout),
        force_after: Nanos(force_after),
        dedup_window: Nanos(dedup_window),
        cooldown_from: CooldownFrom::Acquire,
        on_timeout: OnTimeout::Report,
    }
}

fn deep() -> bool {
    std::env::var_os("CHAINLOCK_DEEP").is_some()
}

/// Walks through all of it; every property holds.
fn prove(name: &str, model: SendModel, least: usize) {
    let checker = model.checker().threads(2).spawn_dfs().join();
    let states = checker.unique_state_count();
    println!("stateright: {name}: {states} states");
    checker.assert_properties();
    assert!(states >= least, "{name}: {states} states, {least} were wanted");
}

#[test]
fn no_state_breaks_the_rules_when_the_cooldown_counts_from_the_acquisition() {
    let (last_tick, forces) = if deep() { (8, 2) } else { (6, 1) };
    let rules = ticks(1, 2, 3, 0);
    let model = SendModel { rules, fenced: true, shared_messages: false, last_tick, forces };
    prove("cooldown from the acquisition", model, if deep() { 50_000_000 } else { 2_000_000 });
}

#[test]
fn no_state_breaks_the_rules_when_the_cooldown_counts_from_the_release() {
    let rules =
        Rules { cooldown_from: CooldownFrom::Release, on_timeout: OnTimeout::Release, ..ticks(1, 2, 4, 0) };
    let (last_tick, forces) = if deep() { (8, 2) } else { (6, 1) };
    let model = SendModel { rules, fenced: true, shared_messages: false, last_tick, forces };
    prove("cooldown from the release, timeout that releases", model, 2_000_000);
}

#[test]
fn no_state_delivers_a_shared_message_twice() {
    let (last_tick, forces) = if deep() { (7, 2) } else { (5, 1) };
    let rules = ticks(1, 2, 3, 1_000);
    let model = SendModel { rules, fenced: true, shared_messages: true, last_tick, forces };
    prove("shared messages", model, 500_000);
}

#[test]
fn without_the_fence_a_stale_write_is_found() {
    let rules = ticks(1, 2, 3, 0);
    let model = SendModel { rules, fenced: false, shared_messages: false, last_tick: 6, forces: 1 };
    let checker = model.checker().threads(1).spawn_bfs().join();
    let refuted = checker.discovery(NO_STALE_WRITE).expect("the model sees what the fence is for");
    let path = refuted.into_vec();
    let steps = path.iter().take_while(|(world, _)| !world.sink.took_stale).filter_map(|(_, step)| *step);
    println!("stateright: without the fence: refuted by {:?}", steps.collect::<Vec<Step>>());
}
