//! Embeds the web app: what `npm run build` has put into `dashboard/dist` becomes a table of files in
//! the binary. Without it the table is empty, and the server says how to build it.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Files that are embedded; more than that is no web app of ours.
const FILES_MAX: usize = 1_000;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let dist = root.join("dashboard/dist");
    println!("cargo::rerun-if-changed=build.rs");
    // With all that is below it, whenever it was made.
    println!("cargo::rerun-if-changed=dashboard/dist");
    let mut files = Vec::new();
    collect(&dist, &mut files);
    files.sort();
    assert!(files.len() <= FILES_MAX, "{} files in {}", files.len(), dist.display());
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&dist).expect("below the folder").to_str().expect("names are UTF-8");
        let _ = writeln!(table, "({name:?}, include_bytes!({:?})),", file.to_str().expect("paths are UTF-8"));
    }
    table.push(']');
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo")).join("dashboard.rs");
    // A table that is written anew has everything compiled anew.
    if !is_written(&out, table.as_bytes()) {
        std::fs::write(&out, table).expect("the table is written");
    }
}

/// Whether a file holds exactly this.
fn is_written(file: &Path, text: &[u8]) -> bool {
    let mut found = Vec::new();
    let bound = text.len() as u64 + 1;
    std::fs::File::open(file).is_ok_and(|file| file.take(bound).read_to_end(&mut found).is_ok()) && found == text
}

/// The files below a folder, without those whose names begin with a dot.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
