//! What the system tells people of a process: whether it runs, since when, how it was started.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::facts_of;

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::facts_of;

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Sleeping,
    /// By a signal, or by a debugger.
    Stopped,
    /// It has ended, and nobody has asked for its exit code yet.
    Zombie,
    Unknown,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::Stopped => "stopped",
            Self::Zombie => "zombie",
            Self::Unknown => "unknown",
        }
    }
}

/// Texts are as the process wrote them: for people only after cleaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub state: State,
    /// When it started, in ticks since the boot (what tells processes apart), and as a span.
    pub start_ticks: u64,
    pub started_after_boot: Duration,
    /// The name of its first thread, at most 15 bytes.
    pub name: String,
    /// Cut when it is very long; empty for a zombie and where it may not be read.
    pub arguments: Vec<String>,
    pub folder: Option<String>,
    pub user: Option<u32>,
    /// Whether it counts pids as this process does.
    pub in_our_namespace: Option<bool>,
    pub threads: u64,
}

/// Options of Node that take the next word as their value.
const WITH_VALUE: [&str; 8] =
    ["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file"];

impl Facts {
    /// What people know it by: the name of Node's script, or else of the program.
    pub fn short(&self) -> String {
        let file = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let Some((program, rest)) = self.arguments.split_first() else { return format!("[{}]", self.name) };
        let program = file(program);
        if !matches!(program.as_str(), "node" | "nodejs") {
            // Newer Nodes call their first thread so, whatever they run.
            let is_own_name = !self.name.is_empty() && self.name != "MainThread";
            return if is_own_name { self.name.clone() } else { program };
        }
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-e" | "--eval" | "-p" | "--print" | "-pe" => return format!("{program} {word}"),
                option if WITH_VALUE.contains(&option) => _ = words.next(),
                option if option.starts_with('-') && option.len() > 1 => {}
                script => return file(script),
            }
        }
        program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_know_a_process_by_its_script() {
        let named = |name: &str, arguments: &[&str]| {
            let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
            let (state, name) = (State::Running, name.to_owned());
            let started_after_boot = Duration::ZERO;
            let (folder, user, in_our_namespace) = (None, None, None);
            Facts {
                state,
                start_ticks: 1,
                started_after_boot,
                name,
                arguments,
                folder,
                user,
                in_our_namespace,
                threads: 1,
            }
            .short()
        };
        assert_eq!(
            named("node", &["/usr/bin/node", "--import", "x.mjs", "--trace-gc", "/a/b/controller.mjs", "1"]),
            "controller.mjs"
        );
        assert_eq!(named("MainThread", &["node", "-e", "while(true);"]), "node -e");
        assert_eq!(named("node", &["node"]), "node");
        assert_eq!(named("flock", &["/usr/bin/flock", "x.lock", "sleep", "9"]), "flock");
        assert_eq!(named("MainThread", &["my title"]), "my title");
        assert_eq!(named("kworker/0:1", &[]), "[kworker/0:1]");
    }
}
