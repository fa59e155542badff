//! Logs: `tracing` to standard error, for a person on a terminal and as JSON otherwise.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::configuration::{Log, LogFormat};
use crate::repeatable::repeated;
use crate::standard_error::Lines;

/// What it says is for its own developers.
const SILENT: &str = "rustify=off";

/// What these say at `info` is so, too.
const QUIET: &str = "sqlx=warn,tokio_cron_scheduler=warn";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What `level` of the configuration means, or why it means nothing.
pub(crate) fn filter(directives: &str) -> anyhow::Result<EnvFilter> {
    read(directives).with_context(|| {
        let told = repeated(directives, LEVELS.into_iter());
        format!("`{told}` is no log level; use error, warn, info, debug, trace, or directives such as `info,sqlx=warn`")
    })
}

/// A single word is a level; anything else is directives, taken as they are.
fn read(directives: &str) -> anyhow::Result<EnvFilter> {
    if directives.contains(['=', ',']) {
        return Ok(EnvFilter::try_new(directives)?);
    }
    let level: LevelFilter = directives.parse()?;
    // A target named would be louder than a lower level.
    let directives = match level {
        LevelFilter::INFO => format!("{level},{SILENT},{QUIET}"),
        lower if lower < LevelFilter::INFO => format!("{level},{SILENT}"),
        higher => higher.to_string(),
    };
    Ok(EnvFilter::try_new(directives)?)
}

/// Starts logging. `asked` is the level of the command line, which wins over the configuration;
/// `usual` is the level where neither says one.
pub fn start(log: &Log, asked: Option<&str>, usual: &str) -> anyhow::Result<()> {
    let directives = asked.or(log.level.as_deref()).unwrap_or(usual);
    let filter = filter(directives)?;
    let human = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would be told on standard error, past the thread that writes there.
        .log_internal_errors(false)
        .with_writer(|| Lines);
    let started = if human {
        builder.with_target(false).try_init()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
    };
    // Only a test that starts two commands in one process comes here twice.
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_louder_than_the_level() {
        for level in LEVELS {
            let most: LevelFilter = level.parse().unwrap();
            assert_eq!(
                filter(level).unwrap().max_level_hint(),
                Some(most),
                "{level}"
            );
        }
    }
}
