//! `migrate-secrets`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cloakroom_core::platform::{Obstacle, SecretMigrations as _};
use cloakroom_core::store::Store;
use cloakroom_core::{MoveId, SystemClock};
use cloakroom_reconcile::alone_at_platform;
use cloakroom_store_openmetadata::{
    Manager, MigrationGround, MigrationObserver, MigrationReport, SecretsMigration, Side,
    tags_as_written,
};
use serde::Serialize;

use super::bar::Bar;
use super::fernet::writing_options;
use super::migrate_beside::others;
use crate::cli::MigrateSecretsArgs;
use crate::configuration::{Backend, OpenMetadata};
use crate::exit::Exit;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::platform::{self, Holder, Work};
use crate::wiring::{Context, job_settings};

/// What the platform's own database is called.
pub(super) const DATABASE: &str = "db";

/// Fields printed one by one; `--output json` tells of more.
const MOST_PRINTED: usize = 20;

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
    let order = order(&args, context).await?;
    let mut ground = ground(name, section, context, args.dry_run).await?;
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
        console.note("a process that was at this died a moment ago: going on where it was");
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
            Some(id) => migration.reverse(id, args.dry_run, &watching).await,
            None if args.dry_run => migration.look(&watching).await,
            None => migration.copy(new_id, &watching).await,
        }
    };
    let mut denied = Vec::new();
    if args.dry_run && section.writer.is_some() {
        denied = migration.denied().await?;
    }
    let mut report = match &holder {
        None => work.await?,
        Some(holder) => {
            let store: Arc<dyn Store> = context.store.clone();
            let lasts = job_settings(&context.configuration.reconcile).lease;
            Box::pin(alone_at_platform(&store, name, holder.id(), lasts, work)).await?
        }
    };
    let mut left = 0;
    if !args.dry_run && order.is_back_into_the_database() && report.is_complete() {
        let rest = SecretsMigration::new(ground, side(context, &order.to)?, Side::Database)?;
        bar.begin_anew(ROWS);
        let rest = rest.look(&watching).await?;
        left = rest.moved + rest.nothing + rest.issue_count;
        (report.own, report.own_references) = (rest.own, rest.own_references);
        // What was not looked at may refer to the manager still.
        report.cut_short = rest.cut_short;
        report.obstacles = rest.obstacles;
    }
    drop(bar);
    denied.retain(|it| !report.obstacles.contains(it));
    let look = args.dry_run.then_some(Look {
        may_write: section.writer.is_some(),
        is_denied: !denied.is_empty(),
    });
    let told = Told {
        platform: name,
        dry_run: args.dry_run,
        next: if left == 0 || report.cut_short {
            next_steps(&report, &order, name, look.as_ref(), context)
        } else {
            vec![order.to_take_the_rest_back(name, left)]
        },
        order: &order,
        report: &report,
        left,
        denied,
    };
    if console.is_json() {
        console.json(&told)?;
    } else {
        print(&told, console)?;
    }
    let all = report.is_complete() && told.denied.is_empty() && left == 0;
    Ok(Exit::of_work(report.cut_short, all))
}

/// What is to be done.
#[derive(Serialize)]
struct Order {
    from: String,
    to: String,
    /// The migration that is to be taken back.
    reverse: Option<MoveId>,
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

    fn is_back_into_the_database(&self) -> bool {
        self.reverse.is_some() && self.from == DATABASE
    }

    /// With `db` a reference would be taken for the password itself.
    fn to_take_the_rest_back(&self, platform: &str, left: u64) -> String {
        let to = &self.to;
        format!(
            "{} to secrets in {to} still, or may do so, by earlier migrations or by OpenMetadata itself: take those \
             migrations back too (`--reverse ID`), or run `reconciler migrate-secrets --platform {platform} --from {to} \
             --to {DATABASE}`, before OpenMetadata is set to {DATABASE}",
            count(left, "field refers", "fields refer"),
        )
    }

    /// How it is taken back, and what that rests on: a manager keeps what it had, the database does not.
    fn way_back(&self, platform: &str, id: MoveId) -> String {
        let rests_on = match (&self.from, &self.to) {
            (from, to) if from == DATABASE => {
                format!("while {to} keeps the copies, which alone have the values now")
            }
            (from, _) => format!("while {from} keeps what it had"),
        };
        format!(
            "back: `reconciler migrate-secrets --platform {platform} --reverse {id}`, {rests_on}"
        )
    }
}

async fn order(args: &MigrateSecretsArgs, context: &Context) -> anyhow::Result<Order> {
    if let Some(id) = args.reverse {
        let record = context.store.migration(id).await?;
        let record = record.with_context(|| format!("there is no migration {id}"))?;
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
    })
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
    if !prefix(section).is_empty() {
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
    let nothing = BTreeMap::new();
    let (key, written) = match backend {
        Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it) => ("tags", &it.tags),
        Backend::Azure(it) => ("tags", &it.tags),
        Backend::Kubernetes(it) => ("labels", &it.labels),
        _ => ("tags", &nothing),
    };
    let mut tags = tags_as_written(manager, &section.tags);
    let mut whose = "the platform's tags".to_owned();
    if let Some(old) = tags_where_none_are_listed(context, &order.from).filter(|_| tags.is_empty())
    {
        tags.clone_from(old);
        whose = format!("the tags of backends.{}", order.from);
    }
    tags.retain(|tag, text| written.get(tag) != Some(text));
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

/// What a backend puts on its secrets where the manager lists no tags: the platform's section takes none there.
fn tags_where_none_are_listed<'c>(
    context: &'c Context,
    place: &str,
) -> Option<&'c BTreeMap<String, String>> {
    let backend = context.configuration.backends.get(place)?;
    let lists = platform::manager(backend).is_none_or(platform::lists_tags);
    backend.tags().filter(|_| !lists)
}

fn prefix(section: &Backend) -> &str {
    match section {
        Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it) => &it.name_prefix,
        Backend::Azure(it) => &it.prefix,
        Backend::Gcp(it) => &it.prefix,
        Backend::Embedded(_) | Backend::Kubernetes(_) | Backend::Vault(_) => "",
    }
}

/// What OpenMetadata's configuration calls a place.
fn provider(context: &Context, place: &str) -> &'static str {
    let section = context.configuration.backends.get(place);
    match section.and_then(platform::manager) {
        Some(Manager::Aws) => "managed-aws",
        Some(Manager::AwsSsm) => "managed-aws-ssm",
        Some(Manager::AzureKeyVault) => "managed-azure-kv",
        Some(Manager::Google) => "gcp",
        Some(Manager::Kubernetes) => "kubernetes",
        Some(Manager::OpenBao) | None => DATABASE,
    }
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

/// A report with what the operator may do about it.
#[derive(Serialize)]
struct Told<'a> {
    platform: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    order: &'a Order,
    #[serde(flatten)]
    report: &'a MigrationReport,
    /// Behind a way back into the database, fields that refer to secrets of the manager still: other migrations'.
    left: u64,
    /// In a dry run, tables that the role may not write.
    denied: Vec<Obstacle>,
    /// What to do next, in order.
    next: Vec<String>,
}

/// What a dry run knows of the right to write.
struct Look {
    may_write: bool,
    is_denied: bool,
}

impl Look {
    /// What to do before the run itself.
    fn next_steps(&self, order: &Order, name: &str) -> Vec<String> {
        let mut next = Vec::new();
        if self.is_denied {
            next.push("grant the role of `writer` what is missing".to_owned());
        }
        if !self.may_write {
            next.push(format!(
                "set `writer` of platforms.{name} to a role that may change the tables of OpenMetadata's database"
            ));
        }
        if order.reverse.is_none() && order.to != DATABASE {
            next.push(format!(
                "see that secrets may be created in {}, which no look can tell: deploy/policies/openmetadata and \
                 `docs/openmetadata.md` say what it takes",
                order.to
            ));
        }
        next.push(
            "stop OpenMetadata and its ingestion, which resolve references only with the provider they are \
             configured for; then run it without --dry-run"
                .to_owned(),
        );
        next
    }
}

fn next_steps(
    report: &MigrationReport,
    order: &Order,
    name: &str,
    look: Option<&Look>,
    context: &Context,
) -> Vec<String> {
    if let Some(step) = to_go_on(report) {
        return vec![step.to_owned()];
    }
    if let Some(look) = look {
        let told = to_be_found(report, order, provider(context, &order.to));
        return told
            .into_iter()
            .chain(look.next_steps(order, name))
            .collect();
    }
    let back = order.reverse.is_some();
    let there = if back { &order.from } else { &order.to };
    let provider = provider(context, there);
    let mut next: Vec<_> = by_hand(report, there).into_iter().collect();
    next.extend(to_be_found(report, order, provider));
    next.push(format!(
        "set OpenMetadata's `secretsManager` to {provider}, with the parameters that it takes, and start it"
    ));
    let backend = if there == DATABASE {
        String::new()
    } else {
        format!(" and `backend` to {there}")
    };
    next.push(format!(
        "set `provider` of platforms.{name} to {provider}{backend}; then `reconciler report {name}`"
    ));
    next.push(
        "deploy the ingestion pipelines again: the secrets of their connection to the server are not in the database \
         and were not moved, and OpenMetadata writes them anew when a pipeline is deployed"
            .to_owned(),
    );
    if let (Some(id), false) = (report.id, back) {
        next.push(order.way_back(name, id));
    }
    next
}

/// What the user keeps in a manager himself, no run takes into the database.
fn by_hand(report: &MigrationReport, there: &str) -> Option<String> {
    let to_do = there == DATABASE && report.own > 0;
    to_do.then(|| {
        format!(
            "take the values of {} that refer to secrets of your own into the fields by hand: with `db` \
             OpenMetadata takes a reference for the password itself (`--output json` tells where, under \
             own_references)",
            count(report.own, "field", "fields")
        )
    })
}

/// What with `db` was taken for the password itself is a reference in a manager.
fn to_be_found(report: &MigrationReport, order: &Order, provider: &str) -> Option<String> {
    let to_do = order.from == DATABASE && order.reverse.is_none() && report.own > 0;
    to_do.then(|| {
        format!(
            "see to {} of what begins as a reference does and is none of the deployment's: with {provider} \
             OpenMetadata looks for it in {} (`--output json` tells where, under own_references)",
            count(report.own, "field", "fields"),
            order.to
        )
    })
}

/// What to do about a migration that is not through.
fn to_go_on(report: &MigrationReport) -> Option<&'static str> {
    if report.cut_short {
        return Some("run the same command again: it goes on where it was");
    }
    (!report.is_complete()).then_some("see to what was in the way, and run the same command again")
}

fn print(told: &Told<'_>, console: &Console) -> anyhow::Result<()> {
    let report = told.report;
    for obstacle in told.denied.iter().chain(&report.obstacles) {
        console.line(format_args!("! {}: {}", obstacle.subject, obstacle.detail))?;
    }
    for it in &report.outside {
        console.line(format_args!(
            "! {} goes on referring to {} of {}, as {}: {} there while it is needed",
            it.column,
            count(it.secrets, "secret", "secrets"),
            told.order.from,
            it.example,
            if it.secrets == 1 {
                "keep it"
            } else {
                "keep them"
            }
        ))?;
    }
    for it in report.shared.iter().take(MOST_PRINTED) {
        console.line(format_args!(
            "! {} of {} and {} of {} have one id there, {}: saving either overwrites the other's",
            it.first.pointer,
            it.first.title.as_deref().unwrap_or(&it.first.column),
            it.second.pointer,
            it.second.title.as_deref().unwrap_or(&it.second.column),
            it.id
        ))?;
    }
    if !report.issues.is_empty() {
        let mut listing = Listing::new(&["FIELD", "ROW", "TABLE", "SECRET", "KIND", "IN THE WAY"])
            .with_optional(&["SECRET"]);
        for issue in report.issues.iter().take(MOST_PRINTED) {
            listing.add([
                issue.pointer.clone(),
                issue.row.clone(),
                issue.table.clone(),
                issue.id.clone().unwrap_or_else(|| "-".to_owned()),
                issue.kind.to_owned(),
                issue.message.clone(),
            ]);
        }
        console.list(&listing)?;
        if report.issues.len() > MOST_PRINTED {
            console.note("more is in the way; `--output json` tells it all");
        }
    }
    console.line(summary(told))?;
    if let Some(id) = report.id {
        let Order { from, to, .. } = told.order;
        console.line(format_args!("migration {id} from {from} to {to}"))?;
    }
    for step in &told.next {
        console.note(format_args!("next: {step}"));
    }
    Ok(())
}

fn summary(told: &Told<'_>) -> String {
    let report = told.report;
    let would = if told.dry_run { "would be " } else { "" };
    let done = if told.order.reverse.is_some() {
        "switched back"
    } else {
        "switched"
    };
    let fields = |number| count(number, "field", "fields");
    // With `db` a server resolves no reference: what begins as one is a value.
    let own = if told.order.from == DATABASE && told.order.reverse.is_none() {
        "that begin as references do and are none of the deployment's, left"
    } else {
        "with secrets of the user's own, left"
    };
    let mut parts = vec![format!("{} {would}{done}", fields(report.moved))];
    for (number, what) in [
        (report.verified, "copies read and found equal"),
        (report.nothing, "that held nothing"),
        (report.own, own),
        (report.elsewhere, "where OpenMetadata keeps no secret, left"),
        (report.gone, "gone since"),
        (report.edited, "edited since, left as they are for good"),
        (report.issue_count, "as before"),
        (told.left, "still in the manager"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_goes_on_and_what_was_in_the_way_is_seen_to() {
        let mut report = MigrationReport::default();
        assert_eq!(to_go_on(&report), None);
        report.issue_count = 1;
        assert!(to_go_on(&report).unwrap().starts_with("see to"));
        report.cut_short = true;
        assert!(
            to_go_on(&report)
                .unwrap()
                .starts_with("run the same command again")
        );
    }

    #[test]
    fn the_way_back_rests_on_where_the_values_are() {
        let id = MoveId(uuid::Uuid::from_u128(7));
        let told = |from: &str, to: &str| {
            let order = Order {
                from: from.to_owned(),
                to: to.to_owned(),
                reverse: None,
            };
            order.way_back("om", id)
        };
        let back =
            format!("back: `reconciler migrate-secrets --platform om --reverse {id}`, while");
        for (from, to, keeps) in [
            ("db", "aws", "aws keeps the copies"),
            ("aws", "db", "aws keeps what it had"),
            ("aws", "google", "aws keeps what it had"),
        ] {
            let told = told(from, to);
            assert!(told.starts_with(&format!("{back} {keeps}")), "{told}");
        }
    }

    #[test]
    fn what_is_left_is_called_what_it_is_where_it_came_from() {
        let report = MigrationReport {
            own: 2,
            ..MigrationReport::default()
        };
        let summary = |from: &str, to: &str, reverse: Option<MoveId>| {
            let order = Order {
                from: from.to_owned(),
                to: to.to_owned(),
                reverse,
            };
            summary(&Told {
                platform: "om",
                dry_run: false,
                order: &order,
                report: &report,
                left: 0,
                denied: Vec::new(),
                next: Vec::new(),
            })
        };
        let id = MoveId(uuid::Uuid::from_u128(7));
        assert!(summary("db", "aws", None).contains("begin as references do"));
        for told in [
            summary("aws", "db", None),
            summary("aws", "google", None),
            summary("db", "aws", Some(id)),
        ] {
            assert!(told.contains("of the user's own"), "{told}");
        }
    }

    #[test]
    fn references_of_the_users_own_are_left_to_the_user() {
        let report = MigrationReport {
            own: 2,
            ..MigrationReport::default()
        };
        assert!(report.is_complete());
        assert_eq!(by_hand(&report, "aws"), None);
        assert!(by_hand(&report, DATABASE).unwrap().contains("2 fields"));
        assert_eq!(by_hand(&MigrationReport::default(), DATABASE), None);
    }
}
