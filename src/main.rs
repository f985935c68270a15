//! The director: `caribe`.

fn main() -> caribe::cli::Exit {
    caribe::cli::main()
}
