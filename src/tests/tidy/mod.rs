//! The house rules that can be read off the text (`docs/architecture.md`, "Direction"). Each rule is a
//! function from a file to its faults; a fault names file and line, says why, and what to do instead.

mod planted;
mod rust;
mod text;
mod tree;

use std::fmt;
use std::fs;
use std::path::Path;
use text::Line;

/// One file of the project: its path from the root, with forward slashes, and its text.
struct File {
    path: String,
    lines: Vec<Line>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let is_rust = path.ends_with(".rs");
        let all_test = ["src/tests/", "src/lease/conformance/"].iter().any(|place| path.starts_with(place))
            || path.contains("/tests/")
            || path.ends_with("/tests.rs");
        Self { path: path.to_owned(), lines: text::lines(text, is_rust, all_test) }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_javascript(&self) -> bool {
        [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"].iter().any(|end| self.path.ends_with(end))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// The lines that ship: everything but tests.
    fn shipped(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.is_test)
    }

    fn fault(&self, line: usize, why: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), line, why: why.into() }
    }
}

struct Fault {
    path: String,
    line: usize,
    why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.why)
    }
}

type Rule = (&'static str, fn(&File) -> Vec<Fault>);

const RULES: &[Rule] = &[
    ("napi and tokio stay in their areas", rust::foreign_crates),
    ("the system stays in sys", rust::operating_system),
    ("one door to shared memory", rust::shared_memory),
    ("one door to the clocks", rust::clocks),
    ("pure areas stay pure", rust::purity),
    ("imports point downwards", rust::direction),
    ("unsafe stays in a few places", rust::unsafe_code),
    ("an ordering names its partner", rust::orderings),
    ("nothing panics on purpose", rust::panics),
    ("exports catch panics", rust::exports),
    ("one importer of the binding", tree::binding_importer),
    ("files stay short", tree::length),
    ("files say what lives in them", tree::first_line),
    ("nothing is left for later", tree::leftovers),
    ("JavaScript files have plain names", tree::names),
];

fn faults_in(file: &File) -> Vec<Fault> {
    RULES.iter().flat_map(|(_, rule)| rule(file)).collect()
}

/// Directories that hold nothing written by hand.
const SKIPPED: [&str; 4] = ["target", "node_modules", ".git", "dist"];
const READ: [&str; 11] = ["rs", "js", "mjs", "cjs", "ts", "mts", "cts", "md", "toml", "json", "yml"];

fn collect(root: &Path, under: &str, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(root.join(under)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(root, &path, files);
        } else if kind.is_file() && READ.iter().any(|end| name.ends_with(&format!(".{end}"))) {
            // What is not text is none of this test's business.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File::new(&path, &text));
            }
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let mut files = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut files);
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the walk found the sources");
    let faults: Vec<Fault> = files.iter().flat_map(faults_in).collect();
    println!("tidy: {} rules over {} files, {} faults", RULES.len(), files.len(), faults.len());
    let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(told.is_empty(), "the house is not tidy:\n{}", told.join("\n"));
}
