//! `umbrella backup` and `umbrella restore`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;

use super::print;
use crate::backup;
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file to write; - is standard output.
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The file to read; - is standard input.
    file: PathBuf,
    /// Replace what is in the data directory; that is kept, and it is said where.
    #[arg(long)]
    force: bool,
}

pub(super) fn back_up(config: &Config, args: &BackupArgs) -> anyhow::Result<()> {
    let made = if args.file.as_os_str() == "-" {
        ensure!(
            !io::stdout().is_terminal(),
            "standard output is a terminal; send it to a file, or name one"
        );
        backup::make(config, io::BufWriter::new(io::stdout().lock()))?
    } else {
        let mut target = backup::write_file(&args.file, args.force)?;
        let made = backup::make(config, &mut target)?;
        target.finish()?;
        print(&format!(
            "{}: {} KiB with {}. It holds secrets: whoever has it can stand in for this server.",
            args.file.display(),
            made.size.div_ceil(1024),
            made.parts.join(", ")
        ))?;
        made
    };
    for warning in made.warnings {
        let _ = writeln!(io::stderr(), "umbrella: {warning}");
    }
    Ok(())
}

pub(super) fn restore(config: &Config, args: &RestoreArgs) -> anyhow::Result<()> {
    let input = open(&args.file)?;
    let dir = &config.data_dir;
    let restored = backup::restore(dir, input, args.force)?;
    let mut text = format!(
        "{} is as it was at {}: {}.",
        dir.display(),
        restored.created_at,
        restored.parts.join(", ")
    );
    if let Some(old) = restored.replaced {
        let old = old.display();
        text.push_str(&format!("\nWhat was there before is in {old}."));
    }
    if let Some(operator) = restored.operator {
        let operator = operator.display();
        text.push_str(&format!(
            "\nFiles that were elsewhere on the old machine are in {operator}: put them where the \
             server finds them."
        ));
    }
    print(&text)
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(io::BufReader::new(io::stdin())));
    }
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Box::new(io::BufReader::new(opened)))
}
