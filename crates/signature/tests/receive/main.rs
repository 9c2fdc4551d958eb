//! Receiving as a source does it: through the catalogue and a verifier, by public names only.

mod catalogue;
mod choice;
mod describe;
mod document;
mod fuzz;
mod made_up;
mod mutations;
mod presets;
mod sample;
mod sdk;
mod support;
