//! One connection's bytes: cut into frames, each answered. Nothing of it knows a socket.

use crate::control::protocol::{self, Error, Me, Refusal, Request};

/// The longest frame, its newline included.
pub const LONGEST: usize = 64 * 1024;

/// What a connection has sent of a frame that is not whole yet.
#[derive(Debug, Default)]
pub struct Session {
    begun: Vec<u8>,
}

/// What to do after some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Lines to send back.
    pub answers: String,
    /// How many frames were whole.
    pub frames: usize,
    /// Nothing that comes now is read any more.
    pub ends: bool,
}

impl Session {
    /// Takes bytes as they come; `obey` answers each request.
    pub fn feed(&mut self, bytes: &[u8], me: &Me, mut obey: impl FnMut(&Request) -> String) -> Step {
        let mut step = Step::default();
        let mut rest = bytes;
        while !step.ends {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                if self.begun.len() + rest.len() >= LONGEST {
                    step.refuse(&too_long());
                } else {
                    self.begun.extend_from_slice(rest);
                }
                break;
            };
            let (frame, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.begun.len() + frame.len() >= LONGEST {
                step.refuse(&too_long());
                break;
            }
            let whole = std::mem::take(&mut self.begun);
            let answer = if whole.is_empty() {
                protocol::parse(frame, me)
            } else {
                protocol::parse(&[whole.as_slice(), frame].concat(), me)
            };
            step.frames += 1;
            match answer {
                Ok(request) => step.say(&obey(&request)),
                Err(refusal) => step.refuse(&refusal),
            }
        }
        if step.ends {
            self.begun = Vec::new();
        }
        step
    }
}

impl Step {
    /// A connection that is refused as it comes.
    pub fn refused(refusal: &Refusal) -> Self {
        let mut step = Self::default();
        step.refuse(refusal);
        step
    }

    fn say(&mut self, line: &str) {
        self.answers.push_str(line);
        self.answers.push('\n');
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.say(&refusal.to_json());
        self.ends |= refusal.ends_connection();
    }
}

fn too_long() -> Refusal {
    Refusal::new(Error::TooLong, format!("a frame has at most {LONGEST} bytes"))
}
