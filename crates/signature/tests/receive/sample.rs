//! The sample vectors, where the folder beside the repository has them: every one agrees.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use posthouse_signature::receive::vectors::{self, Outcome, Ran};
use serde_json::Value;

/// Most bytes of the file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The file, in the folder beside the repository or beside the work trees.
fn sample() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = ["../shared", "../../shared"];
    places.iter().map(|place| root.join(place).join("reference/vectors-sample.json")).find(|path| path.is_file())
}

#[test]
fn all_sample_vectors_agree() {
    let Some(path) = sample() else {
        eprintln!("there is no sample of vectors beside the repository; nothing was compared");
        return;
    };
    let mut text = String::new();
    let file = std::fs::File::open(&path).expect("the sample can be opened");
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).expect("the sample is text");
    let file: Value = serde_json::from_str(&text).expect("the sample is JSON");
    let ran = vectors::run(&file).expect("the sample has the format");
    let others: Vec<&Ran> = ran.iter().filter(|ran| ran.outcome != Outcome::Agrees).collect();
    assert!(others.is_empty(), "{} of {} do not agree: {others:#?}", others.len(), ran.len());
}
