//! One attempt: guarded client, one deadline, capped read.
