//! The leases under a scripted store: a simulated world with its own time, in which answers are lost, late and
//! doubled, and clients stop.

mod flows;
mod losses;
mod model;
mod page;
mod rules;
mod schedules;
mod sessions;
mod sim_store;
mod world;
