//! The control socket: how an operator outside reaches a process's native code, whatever its event loops do.
//!
//! # Policy
//! * Use: one thread, `serve`, which reads frames (a line of JSON each), has each obeyed, and answers it.
//! * Who may: the user of the process and root, by what the kernel says of the other end; the folder is closed to
//!   everybody else anyway.
//! * Promised: every frame is answered, in its order; what is not understood is refused by name; nothing that comes
//!   in costs more than [`session::LONGEST`] bytes a connection and a moment.
//! * Limits: [`server::MOST_LINES`] connections, [`server::IDLE`] without a whole frame, and [`session::LONGEST`].
//! * Where: `control/<pid>.sock` in the private folder. The name appears when the socket listens already, so one
//!   that nobody listens at is a dead process's, and the next process that starts takes it away.
//!
//! [`protocol`] and [`session`] are pure; [`server`] has the loop.

pub mod protocol;
pub mod server;
pub mod session;
