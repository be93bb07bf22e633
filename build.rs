//! Hands package.json's version (the only one) to the native code, and lets napi set up the linking.

use std::{env, fs, path::Path};

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
}
