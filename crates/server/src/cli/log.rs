//! The log on standard error: for a person at a terminal, or for the journal.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

/// Changes what is logged.
#[derive(Debug, Clone)]
pub(super) struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// # Errors
    ///
    /// If it is no filter.
    pub(super) fn set(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.0.reload(filter(text)?)?)
    }
}

/// Starts the log.
pub(super) fn start(text: &str) -> anyhow::Result<LogFilter> {
    let (filter, handle) = reload::Layer::new(filter(text)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match goes_to_journal(io::stderr()) {
        true => lines.with_ansi(false).event_format(Journal::new()).boxed(),
        false => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))?;
    Ok(LogFilter(handle))
}

fn filter(text: &str) -> anyhow::Result<Targets> {
    let filter: Targets = text.parse()?;
    // The media engine's own messages name peers' credentials; they are for whoever asks.
    Ok(match text.contains("str0m") {
        true => filter,
        false => filter.with_target("str0m", Level::WARN),
    })
}

/// Whether this is what systemd has connected with the journal: it says which file that is, as the
/// variable is inherited by whoever is started with other files.
pub(super) fn goes_to_journal(file: impl AsFd) -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(file) = file.as_fd().try_clone_to_owned() else {
        return false;
    };
    let metadata = std::fs::File::from(file).metadata();
    metadata.is_ok_and(|it| stream == format!("{}:{}", it.dev(), it.ino()))
}

/// Lines that begin with their priority (sd-daemon(3)). The journal adds the time by itself.
struct Journal(Format<Full, ()>);

impl Journal {
    fn new() -> Journal {
        let plain = tracing_subscriber::fmt::format();
        Journal(plain.without_time().with_ansi(false).with_level(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0
            .format_event(context, Writer::new(&mut text), event)?;
        let priority = priority(event.metadata().level());
        // Each line of a message is an entry of its own.
        for line in text.lines() {
            writeln!(writer, "<{priority}>{}", line.trim_start())?;
        }
        Ok(())
    }
}

/// As syslog(3) counts.
fn priority(level: &Level) -> u8 {
    if *level == Level::ERROR {
        3
    } else if *level == Level::WARN {
        4
    } else if *level == Level::INFO {
        6
    } else {
        7
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn peers_credentials_are_logged_though_nobody_asked_for_them() {
        let debug =
            |text: &str, target: &str| filter(text).unwrap().would_enable(target, &Level::DEBUG);
        assert!(debug("debug", "umbrella_server::http"));
        assert!(!debug("debug", "str0m::ice"));
        assert!(debug("info,str0m=debug", "str0m::ice"));
        assert!(debug(
            "info,umbrella_server::http=debug",
            "umbrella_server::http"
        ));
        assert!(!debug(
            "info,umbrella_server::http=debug",
            "umbrella_server"
        ));
        assert!(filter("info,umbrella_server=loud").is_err());
    }

    #[test]
    fn errors_are_not_told_from_the_rest_in_the_journal() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Journal::new());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(room = "a", "gone");
            tracing::warn!("one\ntwo");
            tracing::info!("here");
            tracing::debug!("there");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let module = "umbrella_server::cli::log::tests";
        let wanted = format!(
            "<3>{module}: gone room=\"a\"\n<4>{module}: one\n<4>two\n<6>{module}: here\n\
             <7>{module}: there\n"
        );
        assert_eq!(text, wanted);
    }
}
