//! `migrate-secrets`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cloakroom_core::platform::SecretMigrations as _;
use cloakroom_core::store::Store;
use cloakroom_core::{MoveId, SystemClock};
use cloakroom_reconcile::alone_at_platform;
use cloakroom_store_openmetadata::{
    Manager, MigrationGround, MigrationObserver, SecretsMigration, Side, tags_as_written,
};
use serde::Serialize;

use super::bar::Bar;
use super::fernet::writing_options;
use super::migrate_beside::others;
use super::migrate_told::{Look, Told, next_steps, print};
use super::{migrations, restored};
use crate::cli::MigrateSecretsArgs;
use crate::configuration::OpenMetadata;
use crate::exit::Exit;
use crate::import::misfit;
use crate::output::Console;
use crate::platform::{self, Holder, Work};
use crate::wiring::{Context, job_settings};

/// What the platform's own database is called.
pub(super) const DATABASE: &str = "db";

/// What a bar counts while every row is looked at.
const ROWS: &str = "rows ({elapsed})";

/// Migrates secrets, or takes a migration back. The exit status is 3 where something stands as before, and 5 where
/// it was told to stop.
pub(super) async fn migrate_secrets(
    args: MigrateSecretsArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let asked = args.platform.as_deref();
    let (name, section) = platform::openmetadata(&context.configuration, asked)?;
    if args.list {
        return migrations::list(name, section, context, console).await;
    }
    if args.restored {
        return restored::take_over(name, section, args.dry_run, context, console).await;
    }
    let order = order(&args, context).await?;
    let mut ground = ground(name, section, context, args.dry_run).await?;
    if let Some(place) = &args.set_to {
        refuse_unknown(place, context).context("--set-to")?;
        ground.set_to = Some(place.clone());
    }
    if order.reverse.is_none() {
        refuse_without_tags(context, section, &order)?;
        ground.others = others(context, (name, section), &order.to)?;
    }
    let holder = if args.dry_run {
        None
    } else {
        Some(Holder::new(context, name, Work::writing(order.words())).await?)
    };
    if let Some(holder) = &holder
        && holder.follow(context).await?
    {
        ground.replaces_copies = false;
        console.note(
            "a process that was at this died a moment ago: going on where it was, but for copies of earlier runs, which \
             it may be deleting still",
        );
    }
    let migration = SecretsMigration::new(
        ground.clone(),
        side(context, &order.from)?,
        side(context, &order.to)?,
    )?;
    let bar = Bar::new(console, order.counted())?;
    let watching = Watching(&bar);
    let new_id = MoveId(context.randomness().uuid());
    let work = async {
        match order.reverse {
            Some(id) => {
                let mut back = migration.reverse(id, args.dry_run, &watching).await?;
                if !back.cut_short {
                    bar.begin_anew(ROWS);
                    let beside = migration.look_beside(&mut back, args.dry_run, &watching);
                    beside.await?;
                }
                Ok(back)
            }
            None if args.dry_run => migration.look(&watching).await,
            None => migration.copy(new_id, &watching).await,
        }
    };
    let mut denied = Vec::new();
    if args.dry_run && section.writer.is_some() {
        denied = migration.denied().await?;
    }
    let report = match &holder {
        None => work.await?,
        Some(holder) => {
            let store: Arc<dyn Store> = context.store.clone();
            let lasts = job_settings(&context.configuration.reconcile).lease;
            Box::pin(alone_at_platform(&store, name, holder.id(), lasts, work)).await?
        }
    };
    drop(bar);
    denied.retain(|it| !report.obstacles.contains(it));
    let look = args.dry_run.then_some(Look {
        may_write: section.writer.is_some(),
        is_denied: !denied.is_empty(),
    });
    let told = Told {
        platform: name,
        dry_run: args.dry_run,
        next: next_steps(&report, &order, (name, section), look.as_ref(), context),
        order: &order,
        report: &report,
        denied,
    };
    if console.is_json() {
        console.json(&told)?;
    } else {
        print(&told, console)?;
    }
    let all = report.is_complete() && told.denied.is_empty();
    Ok(Exit::of_work(report.cut_short, all))
}

/// What is to be done.
#[derive(Serialize)]
pub(super) struct Order {
    pub(super) from: String,
    pub(super) to: String,
    /// The migration that is to be taken back.
    pub(super) reverse: Option<MoveId>,
}

impl Order {
    /// As it is asked for.
    fn words(&self) -> String {
        match self.reverse {
            Some(id) => format!("migrate-secrets --reverse {id}"),
            None => format!("migrate-secrets --from {} --to {}", self.from, self.to),
        }
    }

    /// What its bar counts.
    fn counted(&self) -> &'static str {
        match self.reverse {
            Some(_) => "fields ({elapsed})",
            None => ROWS,
        }
    }
}

async fn order(args: &MigrateSecretsArgs, context: &Context) -> anyhow::Result<Order> {
    if let Some(id) = args.reverse {
        let record = context.store.migration(id).await?;
        let record = record.with_context(|| {
            format!("there is no migration {id}: `reconciler migrate-secrets --list` tells which there are")
        })?;
        return Ok(Order {
            from: record.from,
            to: record.to,
            reverse: Some(id),
        });
    }
    let (Some(from), Some(to)) = (args.from.clone(), args.to.clone()) else {
        bail!("say where from and where to: --from PLACE --to PLACE");
    };
    Ok(Order {
        from,
        to,
        reverse: None,
    })
}

async fn ground(
    name: &str,
    section: &OpenMetadata,
    context: &Context,
    dry_run: bool,
) -> anyhow::Result<MigrationGround> {
    if section.writer.is_none() && !dry_run {
        bail!(
            "platforms.{name}.writer is not set: give it the URL of a role that may change the tables of \
             OpenMetadata's database, or look first with --dry-run"
        );
    }
    let options = writing_options(name, section).await?;
    if section.strict && options.keys.first_is_public() {
        bail!(
            "platforms.{name} is strict, and the first Fernet key is the one that OpenMetadata ships: change \
             it first, with `reconciler fernet rotate`"
        );
    }
    Ok(MigrationGround {
        options,
        platform: name.to_owned(),
        tags: section.tags.clone(),
        others: Vec::new(),
        journal: context.store.clone(),
        keys: context.keys.clone(),
        clock: Arc::new(SystemClock),
        replaces_copies: true,
        set_to: None,
        configured: Some(configured_place(section)?),
    })
}

/// Where OpenMetadata keeps its secrets by the configuration.
pub(super) fn configured_place(section: &OpenMetadata) -> anyhow::Result<String> {
    Ok(match platform::provider(section)?.manager() {
        Some(_) => section.backend.clone(),
        None => DATABASE.to_owned(),
    })
}

fn refuse_unknown(place: &str, context: &Context) -> anyhow::Result<()> {
    if place != DATABASE {
        context.backends.get(&place.parse()?)?;
    }
    Ok(())
}

fn side(context: &Context, place: &str) -> anyhow::Result<Side> {
    if place == DATABASE {
        return Ok(Side::Database);
    }
    let backend = context.backends.get(&place.parse()?)?.clone();
    let section = context.configuration.backends.get(place);
    let section = section.with_context(|| format!("there is no backend `{place}`"))?;
    let manager = match platform::manager(section) {
        Some(Manager::OpenBao) | None => {
            bail!("backends.{place}: OpenMetadata's ids cannot be written to this kind of backend")
        }
        Some(manager) => manager,
    };
    if !platform::prefix_of(section).is_empty() {
        bail!(
            "backends.{place} puts a prefix before every name, where OpenMetadata would not find its ids"
        );
    }
    Ok(Side::Manager {
        manager,
        backend,
        tags: section.tags().cloned().unwrap_or_default(),
    })
}

/// Copies bear what OpenMetadata itself would put on them. Where tags are listed, those without them would be another
/// deployment's to every report and clean-up.
fn refuse_without_tags(
    context: &Context,
    section: &OpenMetadata,
    order: &Order,
) -> anyhow::Result<()> {
    let place = &order.to;
    let Some(backend) = context.configuration.backends.get(place) else {
        return Ok(());
    };
    let writes_tags = |it: &Manager| platform::lists_tags(*it) || *it == Manager::AwsSsm;
    let Some(manager) = platform::manager(backend).filter(writes_tags) else {
        return Ok(());
    };
    let mut tags = tags_as_written(manager, &section.tags);
    let mut whose = "the platform's tags".to_owned();
    let mut place_of_them = "`tags` of the platform".to_owned();
    if let Some((old, its)) = tags_where_none_are_listed(context, section, &order.from)
        && tags.is_empty()
    {
        tags.clone_from(its);
        whose = format!("the tags of backends.{old}");
        place_of_them = format!("those of backends.{old}");
    }
    let (key, neither) = match manager {
        Manager::Kubernetes => (
            "labels",
            ", and OpenMetadata itself could write nothing there",
        ),
        _ => ("tags", ""),
    };
    if let Some((tag, takes)) = misfit(backend, &tags) {
        bail!(
            "backends.{place} cannot put {whose} on what it writes: with `{tag}` it would be refused{neither}, since \
             {takes}. Take it out of OpenMetadata's own `tags` and out of {place_of_them} here, or write what is taken"
        );
    }
    if let Some(written) = backend.tags() {
        tags.retain(|tag, text| written.get(tag) != Some(text));
    }
    if !tags.is_empty() {
        let why = if platform::lists_tags(manager) {
            "so that the copies would be taken for another deployment's and never be cleaned up"
        } else {
            "as OpenMetadata does"
        };
        bail!(
            "backends.{place} does not put {whose} on what it writes, {why}: add `{key}: {}` to it",
            serde_json::to_string(&tags)?
        );
    }
    Ok(())
}

/// What a backend puts on its secrets where the manager lists no tags, and its name: the platform's section takes none
/// there. It is the one that secrets come from; or the platform's own, which they may have come from by way of the
/// database.
pub(super) fn tags_where_none_are_listed<'c>(
    context: &'c Context,
    section: &'c OpenMetadata,
    from: &'c str,
) -> Option<(&'c str, &'c BTreeMap<String, String>)> {
    let backends = &context.configuration.backends;
    [from, &section.backend].into_iter().find_map(|name| {
        let backend = backends.get(name)?;
        let lists = platform::manager(backend).is_none_or(platform::lists_tags);
        let tags = backend.tags().filter(|it| !lists && !it.is_empty())?;
        Some((name, tags))
    })
}

struct Watching<'b>(&'b Bar);

impl MigrationObserver for Watching<'_> {
    fn progressed(&self, done: u64, of: u64) {
        self.0.show(done, of);
    }

    fn told_to_stop(&self) -> bool {
        self.0.told_to_stop()
    }
}
