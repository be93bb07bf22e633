//! The rules themselves: each sees what it is there for, and leaves alone what is right.

use super::{File, RULES};

/// The rules that find a fault in the file.
fn broken_by(path: &str, text: &str) -> Vec<&'static str> {
    let file = File::new(path, text);
    RULES.iter().filter(|(_, rule)| !rule(&file).is_empty()).map(|(name, _)| *name).collect()
}

/// Path, text, and the one rule that it breaks.
const PLANTED: [(&str, &str, &str); 26] = [
    ("src/send/lock.rs", "//! x\nuse napi::Env;\n", "napi and tokio stay in their areas"),
    ("src/local/queue.rs", "//! x\nuse tokio::time::sleep;\n", "napi and tokio stay in their areas"),
    ("src/table/ring.rs", "//! x\nfn f() -> i32 { libc::getpid() }\n", "the system stays in sys"),
    ("src/table/memory.rs", "//! x\n#[cfg(target_os = \"linux\")]\nfn f() {}\n", "the system stays in sys"),
    ("src/local/queue.rs", "//! x\nuse std::sync::atomic::AtomicU64;\n", "one door to shared memory"),
    ("src/send/book.rs", "//! x\nuse std::sync::{Arc, Mutex};\n", "one door to shared memory"),
    ("src/send/lock.rs", "//! x\nfn f() { let _ = std::time::Instant::now(); }\n", "one door to the clocks"),
    ("src/send/report.rs", "//! x\nuse std::time::SystemTime;\n", "one door to the clocks"),
    ("src/send/book.rs", "//! x\nuse crate::sys::clock::monotonic_ns;\n", "one door to the clocks"),
    ("src/raw/bits.rs", "//! x\nuse std::collections::HashMap;\n", "pure areas stay pure"),
    ("src/send/rules.rs", "//! x\nuse crate::name::ShortText;\n", "pure areas stay pure"),
    ("src/table/ring.rs", "//! x\nuse crate::send::rules::Rules;\n", "imports point downwards"),
    ("src/sys/wait.rs", "//! x\nuse crate::raw::seqlock::SeqLock;\n", "imports point downwards"),
    ("src/cellar/a.rs", "//! x\nfn f() {}\n", "imports point downwards"),
    ("src/name.rs", "//! x\nfn f(p: *const u8) -> u8 { unsafe { *p } }\n", "unsafe stays in a few places"),
    (
        "src/raw/bits.rs",
        "//! x\nfn f(a: &A) {\n    // Tells the reader.\n    a.store(1, Ordering::Release);\n}\n",
        "an ordering names its partner",
    ),
    (
        "src/raw/bits.rs",
        "//! x\nfn f(a: &A) {\n    // Pairs with `g`.\n    a.store(1, Ordering::Release);\n    fence(Ordering::Acquire);\n}\n",
        "an ordering names its partner",
    ),
    ("src/send/book.rs", "//! x\nfn f(a: Option<u8>) -> u8 { a.unwrap() }\n", "nothing panics on purpose"),
    ("src/binding/api.rs", "//! x\n#[napi]\npub fn f() {}\n", "exports catch panics"),
    (
        "src/binding/api.rs",
        "//! x\n#[napi(\n    js_name = \"f\",\n)]\npub async fn f() {}\n",
        "exports catch panics",
    ),
    (
        "src/binding/hot.rs",
        "//! x\nextern \"C\" fn f(env: Env) -> Value {\n    answer(env)\n}\n",
        "exports catch panics",
    ),
    ("lib/guard.js", "// x\nconst native = require('./binding.cjs')\n", "one importer of the binding"),
    ("lib/guard.js", "'use strict'\n", "files say what lives in them"),
    ("src/name.rs", "use std::fmt;\n", "files say what lives in them"),
    ("docs/locks.md", concat!("# Locks\nTO", "DO: write this\n"), "nothing is left for later"),
    ("lib/sendLock.js", "// x\n", "JavaScript files have plain names"),
];

const RIGHT: [(&str, &str); 13] = [
    (
        "src/send/lock.rs",
        "//! napi and tokio are named in a comment\nconst A: &str = \"napi, libc and unsafe\"; // tokio\n",
    ),
    (
        "src/binding/api.rs",
        "//! x\n#[napi(catch_unwind, js_name = \"f\")]\npub fn f() {}\n#[napi(object)]\npub struct S;\n",
    ),
    (
        "src/binding/hot.rs",
        "//! x\nunsafe extern \"C\" fn f(env: Env) -> Value {\n    match catch_unwind(|| answer(env)) {\n        _ => env,\n    }\n}\n",
    ),
    ("src/sys/map/linux.rs", "//! x\n#[cfg(target_os = \"linux\")]\nfn f() -> i32 { libc::getpid() }\n"),
    (
        "src/send/book.rs",
        "//! x\nfn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() { f().unwrap(); std::time::Instant::now(); }\n}\n",
    ),
    ("src/lib.rs", "//! x\npub mod send;\n#[cfg(feature = \"addon\")]\nmod binding;\n"),
    (
        "src/raw/bits.rs",
        "//! x\n/// Acquire: pairs with the Release in `write`.\n#[inline]\nfn read(a: &A) -> u64 {\n    a.load(Ordering::Acquire)\n}\n",
    ),
    ("src/raw/bits.rs", "//! x\nfn f(a: &A) {\n    a.store(1, Ordering::Relaxed);\n}\n"),
    ("src/table/layout.rs", "//! x\nuse crate::raw::seqlock::SeqLock;\nuse crate::name::ShortText;\n"),
    ("lib/native.js", "// x\nconst native = require('./binding.cjs')\n"),
    ("lib/binding.cjs", "module.exports = 1\n"),
    ("lib/options.js", "// x\n/** @type {import('./binding.cjs').Change} */\n"),
    ("lib/send-lock.js", "// x\n"),
];

#[test]
fn each_rule_sees_what_it_is_there_for() {
    for (path, text, rule) in PLANTED {
        assert_eq!(broken_by(path, text), [rule], "{path}:\n{text}");
    }
    let seen: Vec<&str> = PLANTED.iter().map(|(_, _, rule)| *rule).chain(["files stay short"]).collect();
    for (rule, _) in RULES {
        assert!(seen.contains(rule), "nothing is planted for the rule \"{rule}\"");
    }
}

#[test]
fn a_long_file_is_seen_and_the_contract_is_not() {
    let long = format!("//! x\n{}", "fn f() {}\n".repeat(400));
    assert_eq!(broken_by("src/name.rs", &long), ["files stay short"]);
    assert_eq!(broken_by("index.d.ts", &format!("// x\n{}", "// y\n".repeat(400))), [""; 0]);
}

#[test]
fn what_is_right_is_left_alone() {
    for (path, text) in RIGHT {
        assert_eq!(broken_by(path, text), [""; 0], "{path}:\n{text}");
    }
}

#[test]
fn a_fault_names_file_and_line_and_says_what_to_do() {
    let file = File::new("src/name.rs", "//! x\nfn f() {}\nuse napi::Env;\n");
    let told: Vec<String> = super::faults_in(&file).iter().map(|fault| fault.to_string()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("src/name.rs:3: ") && told[0].contains("lives in binding/"), "{}", told[0]);
}
