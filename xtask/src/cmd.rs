//! Running other programs: no shell, a progress line, the time it took.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program to run, from the repository's root unless told otherwise.
pub(crate) struct Cmd {
    label: String,
    command: Command,
}

impl Cmd {
    /// `label` tells a person what is being done.
    pub(crate) fn new(label: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command
            .current_dir(crate::workspace::root())
            .stdin(Stdio::null());
        Self {
            label: label.into(),
            command,
        }
    }

    /// Appends an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Appends arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Runs there instead of in the root.
    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with its output on the terminal; fails when it fails.
    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("  → {}", self.label);
        let start = Instant::now();
        let status = self.command.status().with_context(|| self.cannot_start())?;
        let took = start.elapsed().as_secs_f32();
        if !status.success() {
            bail!(
                "{} failed after {took:.1} s ({status}): {}",
                self.label,
                self.line()
            );
        }
        eprintln!("  ✓ {} ({took:.1} s)", self.label);
        Ok(())
    }

    /// Runs it and keeps its output to itself unless it fails; returns standard output.
    pub(crate) fn quiet(mut self) -> Result<String> {
        eprintln!("  → {}", self.label);
        let start = Instant::now();
        let output = self.command.output().with_context(|| self.cannot_start())?;
        let took = start.elapsed().as_secs_f32();
        if !output.status.success() {
            eprint!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            bail!(
                "{} failed after {took:.1} s ({}): {}",
                self.label,
                output.status,
                self.line()
            );
        }
        eprintln!("  ✓ {} ({took:.1} s)", self.label);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it and returns whether it has succeeded and what it wrote to standard error.
    pub(crate) fn watch(mut self) -> Result<(bool, String)> {
        let output = self.command.output().with_context(|| self.cannot_start())?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.success(), text))
    }

    /// Standard output if it starts and succeeds; says nothing.
    pub(crate) fn probe(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    fn cannot_start(&self) -> String {
        format!("{}: cannot start {}", self.label, self.line())
    }

    fn line(&self) -> String {
        let mut line = self.command.get_program().to_string_lossy().into_owned();
        for arg in self.command.get_args() {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }
}

/// The cargo that runs us.
pub(crate) fn cargo(label: impl Into<String>) -> Cmd {
    Cmd::new(
        label,
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
    )
}

/// The full path of a program in `PATH`.
pub(crate) fn which(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}
