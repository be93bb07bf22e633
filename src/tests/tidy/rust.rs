//! Rules about Rust code: who may name what.

use super::text::{Line, after_each, has_word};
use super::{Fault, File};

/// A fault for every shipped line of code, outside `allowed`, that names one of `words`.
fn named_outside(file: &File, allowed: &[&str], words: &[&str], why: &str) -> Vec<Fault> {
    if !file.is_in(&["src/"]) || !file.is_rust() || file.is_in(allowed) {
        return Vec::new();
    }
    let found = file.shipped().filter_map(|line| {
        let word = words.iter().find(|word| has_word(&line.code, word))?;
        Some(file.fault(line.number, format!("`{word}`: {why}")))
    });
    found.collect()
}

pub fn foreign_crates(file: &File) -> Vec<Fault> {
    let napi = "the core is tested, modelled and reused without Node; napi lives in binding/";
    let tokio = "the core has no runtime: it takes the time as an argument and says when it wants to be woken; \
                 tokio lives in binding/ (and lease/)";
    // lib.rs only switches the area on.
    let mut faults =
        named_outside(file, &["src/binding/"], &["napi", "napi_derive", "napi_sys", "napi_ohos"], napi);
    faults.extend(named_outside(file, &["src/binding/", "src/lease/"], &["tokio", "napi::tokio"], tokio));
    faults
}

pub fn operating_system(file: &File) -> Vec<Fault> {
    let crates = "what differs between systems stands side by side in sys/, a file per platform, with the \
                  same signature; call that";
    let mut faults =
        named_outside(file, &["src/sys/"], &["libc", "windows_sys", "rustix", "nix", "std::os"], crates);
    let cfg = "a condition on the system outside sys/ is a path that is compiled on no other machine; put the \
               difference behind a function in sys/";
    if file.is_rust() && file.is_in(&["src/"]) && !file.is_in(&["src/sys/"]) {
        let conditions = ["unix", "windows", "target_os", "target_family", "target_env"];
        let found = file.shipped().filter(|line| {
            line.code.contains("cfg") && conditions.iter().any(|condition| has_word(&line.code, condition))
        });
        faults.extend(found.map(|line| file.fault(line.number, cfg)));
    }
    faults
}

pub fn shared_memory(file: &File) -> Vec<Fault> {
    let why = "loom and shuttle only see what comes through sync.rs; import it from `crate::sync`";
    let words =
        ["sync::atomic", "UnsafeCell", "RwLock", "Condvar", "static mut", "parking_lot", "loom", "shuttle"];
    // What a signal handler touches is of the platform, and no model checker runs one.
    let mut faults = named_outside(file, &["src/sync.rs", "src/sys/fault/"], &words[..6], why);
    faults.extend(named_outside(file, &["src/sync.rs"], &["loom::", "shuttle::"], why));
    if file.is_rust() && file.is_in(&["src/"]) && file.path != "src/sync.rs" {
        let std_mutex = |line: &&Line| line.code.contains("std::sync::") && has_word(&line.code, "Mutex");
        faults.extend(
            file.shipped().filter(std_mutex).map(|line| file.fault(line.number, format!("`Mutex`: {why}"))),
        );
    }
    faults
}

pub fn clocks(file: &File) -> Vec<Fault> {
    let why = "time is an argument, so that tests and models own it, and nothing decides by the wall clock; \
               read it at the edge with `crate::time`";
    named_outside(
        file,
        &["src/time.rs"],
        &["Instant::now", "SystemTime", "UNIX_EPOCH", ".elapsed(", "sys::clock"],
        why,
    )
}

pub fn purity(file: &File) -> Vec<Fault> {
    let (allowed, what): (&[&str], _) = if file.is_in(&["src/raw/"]) {
        (
            &["sync", "raw"],
            "raw/ is machines on words that loom can run: it may use `crate::sync` and nothing else",
        )
    } else if file.is_in(&["src/send/rules.rs"]) {
        (
            &["time"],
            "the rules are a pure function that the model checker runs: they may use `Nanos` and nothing else",
        )
    } else if file.is_in(&["src/lease/rules.rs"]) {
        (
            &["lease"],
            "the rules are pure functions that the simulator runs: they may use the record and nothing else",
        )
    } else {
        return Vec::new();
    };
    let impure = file.shipped().filter(|line| {
        let foreign = after_each(&line.code, "crate::").any(|area| !allowed.contains(&area));
        foreign
            || line.code.contains("std::")
            || line.code.contains("super::")
            || line.code.contains("time::now")
    });
    impure.map(|line| file.fault(line.number, what)).collect()
}

/// Areas by height; what stands on one height stands side by side.
const HEIGHTS: [(&[&str], bool); 10] = [
    // At the very bottom: a door to the system knows nobody here, and time.rs goes through one.
    (&["sys"], false),
    (&["name", "time", "sync", "metrics", "private_folder"], true),
    (&["raw"], false),
    (&["recorder"], false),
    (&["table"], false),
    (&["local"], false),
    (&["send", "host", "registry", "journal", "atomic_file", "mtime_keeper", "control"], false),
    // The send lock's rules hold over a store, too.
    (&["lease"], false),
    (&["snapshot"], false),
    (&["binding"], false),
];

fn height(area: &str) -> Option<usize> {
    HEIGHTS.iter().position(|(areas, _)| areas.contains(&area))
}

pub fn direction(file: &File) -> Vec<Fault> {
    let Some(rest) = file
        .path
        .strip_prefix("src/")
        .filter(|rest| !["lib.rs", "tests/"].iter().any(|s| rest.starts_with(s)))
    else {
        return Vec::new();
    };
    let own = rest.split(['/', '.']).next().unwrap_or_default();
    let Some(from) = height(own) else {
        return vec![file.fault(
            1,
            format!(
                "the area `{own}` has no place in the order of areas; give it one in src/tests/tidy/rust.rs"
            ),
        )];
    };
    let mut faults = Vec::new();
    for line in file.shipped() {
        for area in after_each(&line.code, "crate::") {
            let allowed = match height(area) {
                Some(to) => to < from || area == own || (to == from && HEIGHTS[from].1),
                None => false,
            };
            if !allowed {
                let why = format!(
                    "{own} names `crate::{area}`, but imports point downwards: binding → snapshot → send, host, … → \
                     local → table → raw → base → sys; hand in what is needed, or move it down (one `use` per area)"
                );
                faults.push(file.fault(line.number, why));
            }
        }
    }
    faults
}

pub fn unsafe_code(file: &File) -> Vec<Fault> {
    let why = "unsafe is argued in a few places only: sys/, {table,host,registry,lease/page}/memory.rs and binding/; \
               put the operation behind a safe function there";
    named_outside(
        file,
        &[
            "src/sys/",
            "src/table/memory.rs",
            "src/host/memory.rs",
            "src/registry/memory.rs",
            "src/lease/page/memory.rs",
            "src/binding/",
        ],
        &["unsafe"],
        why,
    )
}

pub fn orderings(file: &File) -> Vec<Fault> {
    if !file.is_rust() || !file.is_in(&["src/"]) {
        return Vec::new();
    }
    let strong = ["Ordering::Acquire", "Ordering::Release", "Ordering::AcqRel", "Ordering::SeqCst"];
    let why = "an Acquire or a Release is half of a pair: a comment above says \"pairs with\" and names the other half";
    let found = file.shipped().filter(|line| strong.iter().any(|ordering| has_word(&line.code, ordering)));
    found
        .filter(|line| !comment_above(&file.lines, line.number - 1).to_lowercase().contains("pairs with"))
        .map(|line| file.fault(line.number, why))
        .collect()
}

/// The comment that stands over the statement of a line, or over the function that it opens.
fn comment_above(lines: &[Line], at: usize) -> String {
    let mut above = lines[..at].iter().rev().peekable();
    while let Some(line) = above.peek() {
        let code = line.code.trim();
        let opens_function = has_word(code, "fn") && code.ends_with('{');
        let belongs =
            opens_function || code.starts_with("#[") || !(code.ends_with([';', '{', '}']) || code.is_empty());
        if line.is_comment() || !belongs {
            break;
        }
        above.next();
    }
    above.take_while(|line| line.is_comment()).map(|line| line.raw.trim()).collect::<Vec<_>>().join(" ")
}

pub fn panics(file: &File) -> Vec<Fault> {
    let words = [".unwrap()", ".expect(", "panic!", "unreachable!", "assert!", "assert_eq!"];
    let why = "a lock library never stops its host: return the error, or answer what is safe";
    // The layout's asserts are compile-time.
    let layouts =
        ["src/table/layout.rs", "src/host/page.rs", "src/registry/layout.rs", "src/lease/page/layout.rs"];
    named_outside(file, &layouts, &words, why)
}

pub fn exports(file: &File) -> Vec<Fault> {
    if !file.is_in(&["src/binding/"]) {
        return Vec::new();
    }
    let lines: Vec<&Line> = file.shipped().collect();
    let mut faults = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.code.trim();
        if code.starts_with("#[napi") {
            let attribute: String =
                lines[index..].iter().map(|line| line.code.trim()).take_while(not_item).collect();
            let item = lines[index..].iter().map(|line| line.code.trim()).find(|code| !not_item(code));
            if item.is_some_and(|item| has_word(item, "fn")) && !attribute.contains("catch_unwind") {
                faults.push(file.fault(
                    line.number,
                    "a panic in a plain #[napi] function kills Node: write #[napi(catch_unwind)]",
                ));
            }
        }
        // With a name: a function, not the type of one.
        let is_callback = line.raw.contains("extern \"C\" fn ");
        if is_callback && !body_of(&lines[index..]).any(|line| line.code.contains("catch_unwind(")) {
            let why = "a raw callback that unwinds kills Node: run what it does inside `catch_unwind`";
            faults.push(file.fault(line.number, why));
        }
    }
    faults
}

/// Attribute lines and their continuations.
fn not_item(code: &&str) -> bool {
    !["fn", "struct", "enum", "impl", "const", "type", "mod", "static"]
        .iter()
        .any(|item| has_word(code, item))
}

/// The lines up to the brace that closes what the first line opens; one line when it opens nothing.
fn body_of<'a>(lines: &'a [&'a Line]) -> impl Iterator<Item = &'a &'a Line> {
    let first = lines.first().map_or("", |line| line.code.as_str());
    let indent = first.len() - first.trim_start().len();
    let closing = format!("{}}}", " ".repeat(indent));
    let one_line = first.trim_end().ends_with(['}', ';', ',']);
    lines.iter().take_while(move |line| line.code != closing).take(if one_line { 1 } else { usize::MAX })
}
