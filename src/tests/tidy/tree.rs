//! Rules about files of every kind: length, first lines, names, who imports the binding.

use super::text::has_word;
use super::{Fault, File};

const MOST_LINES: usize = 400;
/// Written by `napi build`; nobody reads them.
const GENERATED: [&str; 2] = ["lib/binding.cjs", "lib/binding.d.cts"];

fn by_hand(file: &File) -> bool {
    (file.is_rust() || file.is_javascript()) && !GENERATED.contains(&file.path.as_str())
}

/// Whether a line of JavaScript is text of a comment, where a type may be named.
fn is_javascript_comment(line: &str) -> bool {
    ["//", "/*", "*"].iter().any(|mark| line.trim_start().starts_with(mark))
}

pub fn binding_importer(file: &File) -> Vec<Fault> {
    let looked_at = by_hand(file) && !file.is_in(&["lib/native.js", "scripts/", "src/"]);
    let imports = |line: &str| {
        let how = ["require(", "from ", "import("];
        line.contains("binding.cjs")
            && how.iter().any(|how| line.contains(how))
            && !is_javascript_comment(line)
    };
    let why = "only lib/native.js imports the generated binding, so that there is one place that finds, \
               checks and types the native library; import lib/native.js";
    let found = file.lines.iter().filter(|line| looked_at && imports(&line.raw));
    found.map(|line| file.fault(line.number, why)).collect()
}

pub fn length(file: &File) -> Vec<Fault> {
    let count = file.lines.len();
    // A contract is one file on purpose: users read it from top to bottom.
    if !by_hand(file) || ["index.d.ts", "leases.d.ts"].contains(&file.path.as_str()) || count < MOST_LINES {
        return Vec::new();
    }
    vec![file.fault(
        count,
        format!("{count} lines; under {MOST_LINES} can be read in one go: split it by what lives in it"),
    )]
}

pub fn first_line(file: &File) -> Vec<Fault> {
    let first = file.lines.first().map_or("", |line| line.raw.as_str());
    let says = if file.is_rust() {
        first.starts_with("//!")
    } else {
        ["//", "/*", "#!"].iter().any(|c| first.starts_with(c))
    };
    if !by_hand(file) || says {
        return Vec::new();
    }
    vec![file.fault(1, "the first lines say what lives in a file: begin with a comment (`//!` in Rust)")]
}

pub fn leftovers(file: &File) -> Vec<Fault> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let left = file.lines.iter().filter(|line| marks.iter().any(|mark| has_word(&line.raw, mark)));
    left.map(|line| file.fault(line.number, "what is left for later is lost: do it now, or open an issue"))
        .collect()
}

pub fn names(file: &File) -> Vec<Fault> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if !file.is_javascript() || name.chars().all(plain) {
        return Vec::new();
    }
    vec![
        file.fault(
            1,
            format!("{name}: JavaScript files are named in kebab-case, the same on every file system"),
        ),
    ]
}
