//! The command behind `cargo lab`.

fn main() {}
