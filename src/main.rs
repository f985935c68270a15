//! The director: `caribe`.

fn main() {}
