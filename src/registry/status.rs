//! What a registered process may be, and what may become of it: pure.
//!
//! | from | may become |
//! |---|---|
//! | pending | running, stopped, failed, success |
//! | running | stopped, failed, success |
//! | stopped | running, failed, success |
//! | failed, success | nothing: what is finished stays as it is |

/// The numbers are those of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending = 1,
    Running = 2,
    Stopped = 3,
    Failed = 4,
    Success = 5,
}

/// Why a change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    UnknownId,
    DuplicateId,
    /// It is finished, as this.
    Finished(Status),
    /// It cannot become pending again.
    Backwards(Status),
    /// Every place is taken by a process that is not finished.
    Full,
}

impl Status {
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Running, Status::Stopped, Status::Failed, Status::Success];

    #[inline]
    pub fn from_code(code: u64) -> Option<Status> {
        match code {
            1 => Some(Status::Pending),
            2 => Some(Status::Running),
            3 => Some(Status::Stopped),
            4 => Some(Status::Failed),
            5 => Some(Status::Success),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Stopped => "stopped",
            Status::Failed => "failed",
            Status::Success => "success",
        }
    }

    pub fn is_finished(self) -> bool {
        matches!(self, Status::Failed | Status::Success)
    }

    /// What it is after a change that asks for `wanted`, or that leaves the status alone.
    pub fn after(self, wanted: Option<Status>) -> Result<Status, Refused> {
        match wanted {
            _ if self.is_finished() => Err(Refused::Finished(self)),
            None => Ok(self),
            Some(Status::Pending) if self != Status::Pending => Err(Refused::Backwards(self)),
            Some(wanted) => Ok(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finished_stays_and_nothing_becomes_pending_again() {
        for from in Status::ALL {
            for to in Status::ALL {
                let after = from.after(Some(to));
                match (from.is_finished(), to) {
                    (true, _) => assert_eq!(after, Err(Refused::Finished(from))),
                    (_, Status::Pending) if from != to => assert_eq!(after, Err(Refused::Backwards(from))),
                    _ => assert_eq!(after, Ok(to)),
                }
            }
            assert_eq!(from.after(None).is_ok(), !from.is_finished());
            assert_eq!(Status::from_code(from as u64), Some(from));
        }
        assert_eq!([0, 6, 7, u64::MAX].map(Status::from_code), [None; 4]);
    }
}
