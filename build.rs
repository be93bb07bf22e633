//! Hands package.json's version (the only one) to the native code, and lets napi set up the linking.

use std::{env, fs, path::Path, process::Command};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let manifest = Path::new(&root).join("package.json");
    println!("cargo::rerun-if-changed={}", manifest.display());
    let text = fs::read_to_string(&manifest).expect("package.json lies beside Cargo.toml");
    let package: serde_json::Value = serde_json::from_str(&text).expect("package.json is JSON");
    let version = package["version"].as_str().expect("package.json has a version");
    println!("cargo::rustc-env=CHAINLOCK_VERSION={version}");
    if env::var_os("CARGO_FEATURE_ADDON").is_some() {
        napi_build::setup();
    }
    if folds() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,--icf=all");
    }
}

/// Whether the linker keeps functions that are the same but once. Rust brings such a linker along for this target and
/// takes it unless told otherwise; where it is another, the addon is larger.
fn folds() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chooses = ["linker", "fuse-ld", "self-contained"].iter().any(|choice| flags.contains(choice));
    let is_default = env::var_os("RUSTC_LINKER").is_none() && !chooses;
    is("TARGET", "x86_64-unknown-linux-gnu")
        && is("HOST", "x86_64-unknown-linux-gnu")
        && is_default
        && brings_linker()
}

/// From 1.90 on; not in every distribution's build.
fn brings_linker() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let ask = |what: &[&str]| {
        let answer = Command::new(&rustc).args(what).output().ok()?;
        String::from_utf8(answer.stdout).ok()
    };
    let minor = ask(&["--version"]).and_then(|text| text.split('.').nth(1)?.parse::<u32>().ok());
    let linker = |sysroot: String| {
        Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld").exists()
    };
    minor.is_some_and(|minor| minor >= 90) && ask(&["--print", "sysroot"]).is_some_and(linker)
}
