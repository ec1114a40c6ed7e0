//! The program `pagescope`. Everything is in the library.

fn main() -> std::process::ExitCode {
    pagescope::cli::main()
}
