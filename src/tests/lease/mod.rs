//! The leases under a scripted store: a simulated world with its own time, in which answers are lost, late and
//! doubled, and clients stop.

#[cfg(feature = "sqlite")]
mod at_once;
mod flows;
mod hand_over;
mod losses;
mod memory;
mod model;
mod page;
mod restarts;
mod rules;
mod schedules;
mod sessions;
mod silent;
mod sim_store;
#[cfg(feature = "sqlite")]
mod user;
mod world;
