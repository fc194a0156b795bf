//! Distributed Multi-User Chat as a ready-made external component.

fn main() {}
