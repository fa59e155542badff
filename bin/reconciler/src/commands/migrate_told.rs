//! What `migrate-secrets` says of a run: what it did, and what to do next.

use cloakroom_core::MoveId;
use cloakroom_core::platform::Obstacle;
use cloakroom_store_openmetadata::{Manager, MigrationReport};
use serde::Serialize;

use super::migrate_secrets::{DATABASE, Order, tags_where_none_are_listed};
use crate::configuration::OpenMetadata;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::platform;
use crate::wiring::Context;

/// Fields printed one by one; `--output json` tells of more.
const MOST_PRINTED: usize = 20;

/// A report with what the operator may do about it.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    pub(super) platform: &'a str,
    pub(super) dry_run: bool,
    #[serde(flatten)]
    pub(super) order: &'a Order,
    #[serde(flatten)]
    pub(super) report: &'a MigrationReport,
    /// In a dry run, tables that the role may not write.
    pub(super) denied: Vec<Obstacle>,
    /// What to do next, in order.
    pub(super) next: Vec<String>,
}

/// What a dry run knows of the right to write.
pub(super) struct Look {
    pub(super) may_write: bool,
    pub(super) is_denied: bool,
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

/// Where secrets are before a run and behind it.
struct Way<'a> {
    platform: &'a str,
    left: &'a str,
    there: &'a str,
    /// What OpenMetadata's configuration calls the latter.
    provider: &'static str,
}

impl<'a> Way<'a> {
    fn new(order: &'a Order, platform: &'a str, context: &Context) -> Self {
        let (left, there) = match order.reverse {
            Some(_) => (&*order.to, &*order.from),
            None => (&*order.from, &*order.to),
        };
        Self {
            platform,
            left,
            there,
            provider: provider(context, there),
        }
    }

    /// With another provider a reference into the manager that was left leads nowhere.
    fn to_take_the_rest_back(&self, left: u64) -> String {
        let Self {
            platform,
            left: from,
            there: to,
            provider,
        } = self;
        format!(
            "{} to secrets in {from} still, by earlier migrations or by OpenMetadata itself: take those \
             migrations back too (`--reverse ID`), or run `reconciler migrate-secrets --platform {platform} --from {from} \
             --to {to}`, before OpenMetadata is set to {provider}",
            count(left, "field refers", "fields refer"),
        )
    }

    /// What the user keeps in a manager himself no run takes anywhere, and it means something else with each provider.
    fn own(&self, report: &MigrationReport) -> Option<String> {
        let Self {
            there, provider, ..
        } = self;
        let fields = count(report.own, "field", "fields");
        let (field, refer) = match report.own {
            1 => ("the field", "refers to a secret"),
            _ => ("the fields", "refer to secrets"),
        };
        let to_do = if *there == DATABASE {
            format!(
                "{fields} {refer} of your own: put what is there into {field} by hand, since with `db` OpenMetadata takes a \
                 reference for the password itself"
            )
        } else if self.left == DATABASE {
            format!(
                "see to {fields} of what begins as a reference does and is none of the deployment's: with {provider} \
                 OpenMetadata looks for it in {there}"
            )
        } else {
            format!(
                "{fields} {refer} of your own: see that {there} has them, where with {provider} OpenMetadata looks for \
                 them"
            )
        };
        let where_it_is = "(`--output json` tells where, under own_references)";
        (report.own > 0).then(|| format!("{to_do} {where_it_is}"))
    }

    /// What was entered while OpenMetadata had no manager.
    fn values(&self, report: &MigrationReport) -> Option<String> {
        let Self {
            platform, there, ..
        } = self;
        (report.values > 0).then(|| {
            format!(
                "{} in the database, where OpenMetadata reads them whatever its provider is: saved again in OpenMetadata \
                 they go to {there}, and so does what `reconciler migrate-secrets --platform {platform} --from {DATABASE} \
                 --to {there}` finds no other value for there",
                count(report.values, "field has its value", "fields have their values"),
            )
        })
    }

    /// Managers that list no tags have them under their backend, the others under the platform, too: on the way from one
    /// to the other nobody knew them any more, or the configuration would be refused.
    fn tags(&self, section: &OpenMetadata, context: &Context) -> Option<String> {
        let platform = self.platform;
        let there = context.configuration.backends.get(self.there);
        let lists = there
            .and_then(platform::manager)
            .is_none_or(platform::lists_tags);
        if !section.tags.is_empty() {
            return (!lists).then(|| {
                format!(
                    "take `tags` out of platforms.{platform}, which takes none with {}: those under backends.{} stay",
                    self.provider, self.there
                )
            });
        }
        let (old, tags) = tags_where_none_are_listed(context, section, self.left)?;
        let pairs: Vec<_> = tags
            .iter()
            .map(|(tag, text)| format!("{tag}:{text}"))
            .collect();
        lists.then(|| {
            format!(
                "write what OpenMetadata's own `tags` says under platforms.{platform} (`tags: '[{}]'`, where that is what \
                 backends.{old} has): {old} lists none, and elsewhere they tell which secrets are this deployment's",
                pairs.join(",")
            )
        })
    }

    /// How it is taken back, and what that rests on: a manager keeps what it had, the database does not.
    fn back(&self, id: MoveId) -> String {
        let rests_on = if self.left == DATABASE {
            format!(
                "while {} keeps the copies, which alone have the values now",
                self.there
            )
        } else {
            format!("while {} keeps what it had", self.left)
        };
        let platform = self.platform;
        format!(
            "back: `reconciler migrate-secrets --platform {platform} --reverse {id}`, {rests_on}"
        )
    }
}

pub(super) fn next_steps(
    report: &MigrationReport,
    order: &Order,
    (name, section): (&str, &OpenMetadata),
    look: Option<&Look>,
    context: &Context,
) -> Vec<String> {
    let way = Way::new(order, name, context);
    if let Some(step) = to_go_on(report) {
        return vec![step.to_owned()];
    }
    if report.left > 0 {
        return vec![way.to_take_the_rest_back(report.left)];
    }
    let own = way.own(report).into_iter();
    if let Some(look) = look {
        return own.chain(look.next_steps(order, name)).collect();
    }
    let Way {
        there, provider, ..
    } = way;
    let mut next: Vec<_> = own.chain(way.values(report)).collect();
    next.push(format!(
        "set OpenMetadata's `secretsManager` to {provider}, with the parameters that it takes, and start it"
    ));
    let backend = if there == DATABASE {
        String::new()
    } else {
        format!(" and `backend` to {there}")
    };
    next.extend(way.tags(section, context));
    // Without a manager there is nothing to report on.
    let report_on_it = if there == DATABASE {
        String::new()
    } else {
        format!("; then `reconciler report {name}`")
    };
    next.push(format!(
        "set `provider` of platforms.{name} to {provider}{backend}{report_on_it}"
    ));
    next.push(
        "deploy the ingestion pipelines again: the secrets of their connection to the server are not in the database \
         and were not moved, and OpenMetadata writes them anew when a pipeline is deployed"
            .to_owned(),
    );
    if let (Some(id), None) = (report.id, order.reverse) {
        next.push(way.back(id));
    }
    next
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

/// What to do about a migration that is not through.
fn to_go_on(report: &MigrationReport) -> Option<&'static str> {
    if report.cut_short {
        return Some("run the same command again: it goes on where it was");
    }
    let is_in_the_way = report.issue_count > 0 || !report.obstacles.is_empty();
    is_in_the_way.then_some("see to what was in the way, and run the same command again")
}

pub(super) fn print(told: &Told<'_>, console: &Console) -> anyhow::Result<()> {
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
    print_kept(told, console)?;
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

/// Fields that no run takes anywhere, each with what it holds.
fn print_kept(told: &Told<'_>, console: &Console) -> anyhow::Result<()> {
    let report = told.report;
    let mut listing = Listing::new(&["FIELD", "ROW", "TABLE", "HOLDS"]);
    for it in report.edited_fields.iter().take(MOST_PRINTED) {
        listing.add([&*it.pointer, &it.row, &it.table, it.holds.words()]);
    }
    let left = format!("a reference into {}", told.order.to);
    for it in report.left_references.iter().take(MOST_PRINTED) {
        listing.add([&*it.pointer, &it.row, &it.table, &left]);
    }
    for it in report.own_references.iter().take(MOST_PRINTED) {
        let holds = "a reference that is not the deployment's";
        listing.add([&*it.pointer, &it.row, &it.table, holds]);
    }
    if listing.is_empty() {
        return Ok(());
    }
    console.list(&listing)?;
    let most = [
        report.edited_fields.len(),
        report.left_references.len(),
        report.own_references.len(),
    ];
    if most.into_iter().any(|it| it > MOST_PRINTED) {
        console.note("there are more of these; `--output json` tells them all");
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
    let left = match told.order.reverse {
        Some(_) => &told.order.to,
        None => &told.order.from,
    };
    let own = if left == DATABASE {
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
        (report.edited, "that hold something else since, left"),
        (report.values, "with values in the database, left"),
        (report.issue_count, "as before"),
        (
            report.left,
            "beside them that refer to the place that is left",
        ),
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

    fn way(left: &'static str, there: &'static str) -> Way<'static> {
        Way {
            platform: "om",
            left,
            there,
            provider: "provider",
        }
    }

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
        let back =
            format!("back: `reconciler migrate-secrets --platform om --reverse {id}`, while");
        for (left, there, keeps) in [
            ("db", "aws", "aws keeps the copies"),
            ("aws", "db", "aws keeps what it had"),
            ("aws", "google", "aws keeps what it had"),
        ] {
            let told = way(left, there).back(id);
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
                denied: Vec::new(),
                next: Vec::new(),
            })
        };
        let id = MoveId(uuid::Uuid::from_u128(7));
        for told in [summary("db", "aws", None), summary("aws", "db", Some(id))] {
            assert!(told.contains("begin as references do"), "{told}");
        }
        for told in [
            summary("aws", "db", None),
            summary("aws", "google", None),
            summary("db", "aws", Some(id)),
        ] {
            assert!(told.contains("of the user's own"), "{told}");
        }
    }

    #[test]
    fn references_of_the_users_own_are_left_to_the_user_on_every_way() {
        let report = MigrationReport {
            own: 2,
            ..MigrationReport::default()
        };
        assert!(report.is_complete());
        for (left, there, to_do) in [
            ("aws", "db", "by hand"),
            (
                "db",
                "aws",
                "with provider OpenMetadata looks for it in aws",
            ),
            (
                "google",
                "aws",
                "see that aws has them, where with provider",
            ),
        ] {
            let way = way(left, there);
            let told = way.own(&report).unwrap();
            assert!(told.contains("2 fields") && told.contains(to_do), "{told}");
            assert_eq!(way.own(&MigrationReport::default()), None);
        }
    }

    #[test]
    fn what_leads_into_the_place_that_was_left_is_taken_along() {
        let told = way("aws", "google").to_take_the_rest_back(1);
        for part in [
            "1 field refers to secrets in aws",
            "--from aws --to google",
            "before OpenMetadata is set to provider",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
