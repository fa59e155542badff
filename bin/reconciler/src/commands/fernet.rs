//! `fernet rotate`.

use anyhow::{Context as _, bail};
use cloakroom_core::platform::{Obstacle, PlatformIdentity, PlatformSource as _};
use cloakroom_store_openmetadata::{
    FernetKeys, FernetRotation, OpenMetadataSource, Options, Provider, RotationObserver,
    RotationReport,
};
use serde::Serialize;

use super::bar::Bar;
use crate::cli::{FernetCommand, RotateFernetArgs};
use crate::configuration::{Configuration, OpenMetadata};
use crate::exit::Exit;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::platform;

/// Values that no key opens, printed one by one; `--output json` tells of more.
const MOST_PRINTED: usize = 20;

/// Runs one of them.
pub(super) async fn fernet(
    command: FernetCommand,
    configuration: &Configuration,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        FernetCommand::Rotate(args) => rotate(&args, configuration, console).await,
    }
}

async fn rotate(
    args: &RotateFernetArgs,
    configuration: &Configuration,
    console: &Console,
) -> anyhow::Result<Exit> {
    let (name, section) = platform::openmetadata(configuration, args.platform.as_deref())?;
    let may_write = section.writer.is_some();
    if !may_write && !args.dry_run {
        bail!(
            "platforms.{name}.writer is not set: give it the URL of a role that may change the tables of \
             OpenMetadata's database, or look first with --dry-run"
        );
    }
    let options = writing_options(name, section).await?;
    judge_first_key(&options, args.strict, console)?;
    let keys = options.keys.clone();
    let rotation = FernetRotation::new(options)?;
    let told = if args.dry_run {
        let denied = if may_write {
            rotation.denied().await?
        } else {
            Vec::new()
        };
        Told::new(name, rotation.look().await?, denied)
    } else {
        let bar = Bar::new(console, "values ({elapsed})")?;
        Told::new(name, rotation.rotate(&Watching(&bar)).await?, Vec::new())
    };
    let told = told.with_next(args.dry_run, may_write, &keys);
    if console.is_json() {
        console.json(&told)?;
    } else {
        print(&told, console)?;
    }
    Ok(told.exit())
}

/// As the role that may write, where there is one: of the same database, or nothing is done at all. Whether the
/// public key may still be among the keys is not asked here: this command is how one gets away from it.
pub(super) async fn writing_options(name: &str, section: &OpenMetadata) -> anyhow::Result<Options> {
    let path = || format!("platforms.{name}");
    let mut lenient = section.clone();
    lenient.strict = false;
    let reading = platform::openmetadata_options(name, &lenient).with_context(path)?;
    let Some(writer) = &section.writer else {
        return Ok(reading);
    };
    let mut writing = reading.clone();
    let written = writer.read();
    writing.url = written.with_context(|| format!("platforms.{name}.writer"))?;
    let one = identity(reading).await;
    let one = one.with_context(|| format!("platforms.{name}.database"))?;
    let other = identity(writing.clone()).await;
    let other = other.with_context(|| format!("platforms.{name}.writer"))?;
    if one.database != other.database {
        bail!(
            "platforms.{name}.writer leads to another database ({}) than platforms.{name}.database ({}): nothing \
             was changed. Name the same one in both; on PostgreSQL both roles may execute pg_control_system(), or \
             neither, with one address",
            other.place,
            one.place
        );
    }
    Ok(writing)
}

/// Which database these options lead to.
async fn identity(mut options: Options) -> anyhow::Result<PlatformIdentity> {
    options.provider = Provider::Database;
    Ok(OpenMetadataSource::new(options)?.identity().await?)
}

fn judge_first_key(options: &Options, strict: bool, console: &Console) -> anyhow::Result<()> {
    if !options.keys.first_is_public() {
        return Ok(());
    }
    let told = "the first Fernet key is the one that OpenMetadata ships, and everybody has that: put a \
                new one before it";
    if strict {
        bail!("{told}");
    }
    console.note(format_args!("warning: {told}"));
    Ok(())
}

struct Watching<'b>(&'b Bar);

impl RotationObserver for Watching<'_> {
    fn progressed(&self, done: u64, of: u64) {
        self.0.show(done, of);
    }

    fn told_to_stop(&self) -> bool {
        self.0.told_to_stop()
    }
}

/// A report with what the operator may do about it.
#[derive(Serialize)]
struct Told<'a> {
    platform: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    report: RotationReport,
    /// Tables that the role may not write.
    denied: Vec<Obstacle>,
    /// What to do next, in order.
    next: Vec<String>,
}

impl<'a> Told<'a> {
    fn new(platform: &'a str, report: RotationReport, denied: Vec<Obstacle>) -> Self {
        Self {
            platform,
            dry_run: false,
            report,
            denied,
            next: Vec::new(),
        }
    }

    fn with_next(mut self, dry_run: bool, may_write: bool, keys: &FernetKeys) -> Self {
        self.dry_run = dry_run;
        let mut next = |step: &str| self.next.push(step.to_owned());
        let older = self.report.older() > 0;
        if !self.denied.is_empty() {
            next("grant what is missing");
        }
        if self.report.unopened() > 0 {
            next(&format!(
                "{}; then run it again, and take none out before",
                keys.remedy()
            ));
        }
        match (dry_run, older) {
            (_, _) if keys.first_is_public() && !self.report.cut_short => next(
                "put a new key before the one that OpenMetadata ships, with a comma between them, here and in \
                 OpenMetadata's own configuration, and run it again; take none out before",
            ),
            (true, true) if may_write => next("run it without --dry-run"),
            (true, true) => next("set `writer` in the platform's section to a role that may write"),
            (false, true) if self.report.cut_short => next("run it again: it goes on where it was"),
            (false, true) => next(
                "see that OpenMetadata runs with the new key first, since it goes on sealing under the one \
                 it has; then run it again",
            ),
            (_, false) if keys.count() == 1 && self.report.unopened() == 0 => next(
                "there is one key and nothing to change: to change it, put the new key before it, with a \
                 comma between them, here and in OpenMetadata's own configuration",
            ),
            (_, false) if self.report.is_complete() => next(
                "take all keys but the first out of OpenMetadata's `fernetKey`, restart it, and take them \
                 out of `fernet_key` here",
            ),
            (_, false) => {}
        }
        self
    }

    /// 0: all is under the first key, or nothing is in the way of that. 3: something cannot be opened
    /// or changed. 5: run it again.
    fn exit(&self) -> Exit {
        let report = &self.report;
        if report.cut_short {
            return Exit::Partial;
        }
        if report.unopened() > 0 || !report.left.is_empty() || !self.denied.is_empty() {
            return Exit::Findings;
        }
        if report.older() > 0 && !self.dry_run {
            return Exit::Partial;
        }
        Exit::Done
    }
}

fn print(told: &Told<'_>, console: &Console) -> anyhow::Result<()> {
    let report = &told.report;
    for obstacle in told.denied.iter().chain(&report.left) {
        console.line(format_args!("! {}: {}", obstacle.subject, obstacle.detail))?;
    }
    let mut listing = Listing::new(&[
        "TABLE",
        "SEALED AGAIN",
        "UNDER THE FIRST KEY",
        "UNDER ANOTHER",
        "NOT OPENED",
        "READ AGAIN",
    ])
    .with_optional(&["READ AGAIN"]);
    for it in &report.tables {
        let figures = [it.rotated, it.current, it.older, it.unopened, it.read_again];
        let figures = figures.iter().map(ToString::to_string);
        listing.add(std::iter::once(it.table.clone()).chain(figures));
    }
    if !listing.is_empty() {
        console.list(&listing)?;
    }
    print_unopened(report, console)?;
    console.line(summary(told))?;
    for step in &told.next {
        console.note(format_args!("next: {step}"));
    }
    Ok(())
}

fn print_unopened(report: &RotationReport, console: &Console) -> anyhow::Result<()> {
    if report.unopened.is_empty() {
        return Ok(());
    }
    let mut listing = Listing::new(&["NO KEY OPENS", "ROW", "NAME"]);
    for it in report.unopened.iter().take(MOST_PRINTED) {
        let row = it.row.map_or_else(|| "-".to_owned(), |row| row.to_string());
        let title = it.title.clone().unwrap_or_else(|| "-".to_owned());
        listing.add([it.column.clone(), row, title]);
    }
    console.list(&listing)?;
    if report.unopened.len() > MOST_PRINTED {
        console.note("there are more; `--output json` tells of a hundred");
    }
    Ok(())
}

fn summary(told: &Told<'_>) -> String {
    let report = &told.report;
    let values = |number| count(number, "value", "values");
    let mut parts = if told.dry_run {
        vec![format!("{} would be sealed again", values(report.older()))]
    } else {
        vec![format!("{} sealed again", values(report.rotated()))]
    };
    if !told.dry_run && report.older() > 0 {
        parts.push(format!("{} still under another key", report.older()));
    }
    if report.unopened() > 0 {
        parts.push(format!("{} that no key opens", report.unopened()));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use cloakroom_core::SecretValue;
    use cloakroom_store_openmetadata::TableRotation;

    use super::*;

    /// What is to be done next where one key is configured and opens all but so many values.
    fn next(unopened: u64) -> Vec<String> {
        let key = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
        let keys = FernetKeys::parse(&SecretValue::from(key.to_owned())).unwrap();
        let report = RotationReport {
            tables: vec![TableRotation {
                current: 1,
                unopened,
                ..TableRotation::default()
            }],
            ..RotationReport::default()
        };
        let told = Told::new("om", report, Vec::new());
        told.with_next(false, true, &keys).next
    }

    /// Nothing is asked of the database before.
    #[tokio::test]
    async fn a_writer_that_is_not_there_is_told_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "no_encryption_at_rest").unwrap();
        let there = format!("{{file: '{}'}}", file.display());
        for missing in ["{file: /nowhere/at/all}", "{env: CLOAKROOM_IS_NOWHERE}"] {
            let section = format!(
                "{{backend: om, provider: db, database: {there}, fernet_key: {there}, writer: {missing}}}"
            );
            let section: OpenMetadata = serde_yaml_ng::from_str(&section).unwrap();
            let error = writing_options("om", &section).await.unwrap_err();
            let told = format!("{error:#}");
            assert!(told.starts_with("platforms.om.writer: "), "{told}");
        }
    }

    /// Somebody took the old key out before all was under the new one.
    #[test]
    fn what_one_key_does_not_open_is_not_called_nothing_to_change() {
        let told = next(1).join("; ");
        assert!(told.contains("put the missing key behind"), "{told}");
        assert!(!told.contains("nothing to change"), "{told}");
        assert!(next(0).join("; ").contains("nothing to change"));
    }
}
