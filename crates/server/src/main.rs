//! The `umbrella` binary: a thin shell around the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    umbrella_server::cli::main()
}
