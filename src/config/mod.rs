//! Configuration: one file a section.
