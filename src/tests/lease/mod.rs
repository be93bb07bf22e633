//! The leases under a scripted store: a simulated world with its own time, in which answers are lost, late and
//! doubled, and clients stop.

mod flows;
mod hand_over;
mod losses;
mod model;
mod rules;
mod schedules;
mod sessions;
mod sim_store;
mod world;
