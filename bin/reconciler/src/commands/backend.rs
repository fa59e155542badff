//! `backend list|check`.

use std::time::Duration;

use cloakroom_core::budget::RequestClass;
use cloakroom_core::capabilities::{
    Calls, CoordinateName, ListOrder, NameRules, NativeExpiry, Rates, Sent,
};
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::{BackendId, Capabilities, ErrorKind, SecretBackend};
use cloakroom_documents::{Probe, Step, StepOutcome};
use humantime::format_duration;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::kept::Kept;
use crate::cli::{BackendCommand, CheckBackendArgs};
use crate::configuration::{Backend, SecretReference};
use crate::exit::Exit;
use crate::managers;
use crate::output::{Console, new_table};
use crate::signals;
use crate::wiring::Context;

/// Runs one of them.
pub(super) async fn backend(
    command: BackendCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        BackendCommand::List => list(context, console),
        BackendCommand::Check(args) => check(args, context, console).await,
    }
}

#[derive(Serialize)]
struct Listed<'c> {
    backend: &'c BackendId,
    manager: &'c str,
    default: bool,
    capabilities: &'c Capabilities,
}

fn list(context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let default = context.backends.default_backend()?.id().clone();
    if console.is_json() {
        for backend in context.backends.iter() {
            console.json_line(&Listed {
                backend: backend.id(),
                manager: backend.manager(),
                default: *backend.id() == default,
                capabilities: backend.capabilities(),
            })?;
        }
        return Ok(Exit::Done);
    }
    for (at, backend) in context.backends.iter().enumerate() {
        if at > 0 {
            console.line("")?;
        }
        let role = if *backend.id() == default {
            ", the default"
        } else {
            ""
        };
        console.line(format_args!(
            "{}{role}: {}",
            backend.id(),
            backend.manager()
        ))?;
        let mut table = new_table(&["WHAT", "HOW"]);
        for (what, how) in told(backend.capabilities()) {
            table.add_row([what.to_owned(), how]);
        }
        console.table(&table)?;
    }
    Ok(Exit::Done)
}

/// What a person wants to know of a manager before choosing it.
fn told(it: &Capabilities) -> Vec<(&'static str, String)> {
    let batch = |size: usize| match size {
        0 | 1 => "one by one".to_owned(),
        many => format!("{many} in one call"),
    };
    let expiry = match it.native_expiry {
        NativeExpiry::Deletes => "the manager deletes what expired",
        NativeExpiry::Hides => "the manager no longer gives out what expired",
        NativeExpiry::Advises => "the manager only notes it",
        NativeExpiry::Absent => "none; the reconciler alone expires",
    };
    let recovery = it.recovery.map_or_else(
        || "none; the deletion of what was once in use is put off instead".to_owned(),
        |it| {
            let (shortest, longest) = (in_days(it.shortest), in_days(it.longest));
            if shortest == longest {
                shortest
            } else {
                format!("{shortest} to {longest}")
            }
        },
    );
    let mut told = vec![
        (
            "value size",
            format!("{} to {} bytes", it.least_bytes, it.most_bytes),
        ),
        (
            "values that are not text",
            if it.binary { "kept exactly" } else { "refused" }.to_owned(),
        ),
        ("longest coordinate", format!("{} bytes", it.longest_name)),
    ];
    told.extend(told_of_names(&it.names));
    told.extend([
        ("writing", batch(it.put_batch)),
        ("reading", batch(it.get_batch)),
        ("describing", batch(it.describe_batch)),
        ("deleting", batch(it.delete_batch)),
        ("expiry", expiry.to_owned()),
        ("recovery after deletion", recovery),
        (
            "deletion for good",
            if it.final_deletion {
                "at once"
            } else {
                "only when the recovery is over"
            }
            .to_owned(),
        ),
        (
            "a deletion of what changed meanwhile",
            if it.delete_precondition {
                "is refused by the manager"
            } else {
                "is kept from by looking before"
            }
            .to_owned(),
        ),
        ("listing lags", format_duration(it.listing_lag).to_string()),
        (
            "order of the listing",
            match it.list_order {
                ListOrder::Coordinate => "by coordinate",
                ListOrder::Unspecified => "the manager's own",
            }
            .to_owned(),
        ),
        (
            "a taken name is refused",
            if it.create_only {
                "by the manager"
            } else {
                "by looking before and after"
            }
            .to_owned(),
        ),
        (
            "describing without the right to read values",
            if it.describe_without_reading {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ),
        ("published requests a second", rates(&it.rates)),
        ("requests that count", requests(&it.calls)),
    ]);
    told
}

fn rates(it: &Rates) -> String {
    let rate = |class: RequestClass| Some(format!("{} {}", class.as_str(), class.published(it)?));
    let mut told: Vec<String> = RequestClass::ALL.into_iter().filter_map(rate).collect();
    if told.is_empty() {
        return "none".to_owned();
    }
    let together = it.together.iter().map(|group| {
        let classes: Vec<&str> = group.iter().map(|class| class.as_str()).collect();
        format!("{} together", classes.join(" and "))
    });
    told.extend(together);
    told.join(", ")
}

/// What each operation sends, in the classes of the rates.
fn requests(it: &Calls) -> String {
    let operations = [
        ("put", it.put),
        ("get", it.get),
        ("get many", it.get_many),
        ("describe", it.describe),
        ("list", it.list),
        ("each one listed", it.list_each),
        ("delete", it.delete),
        ("delete for good", it.delete_finally),
        ("restore", it.restore),
    ];
    let sent = |it: &Sent| match it.secrets {
        0 | 1 => format!("{} {}", it.requests, it.class.as_str()),
        many => format!("{} {} for {many}", it.requests, it.class.as_str()),
    };
    let told = operations.into_iter().filter(|(_, all)| !all.is_empty());
    let told = told.map(|(operation, all)| {
        let all: Vec<String> = all.iter().map(sent).collect();
        format!("{operation}: {}", all.join(" + "))
    });
    told.collect::<Vec<_>>().join("; ")
}

fn told_of_names(it: &NameRules) -> Vec<(&'static str, String)> {
    let case = match (it.characters.have_capitals(), it.case_counts) {
        (false, _) => "there are no capitals",
        (true, true) => "two",
        (true, false) => "one",
    };
    let coordinate = match it.coordinate {
        CoordinateName::Itself => "itself, behind the prefix",
        CoordinateName::InTheMark => "made from it; the mark has it whole",
    };
    let mut told = vec![
        ("a name is made of", it.characters.to_string()),
        (
            "longest name",
            format!("{} bytes, the prefix included", it.longest),
        ),
        ("names that differ in case alone", case.to_owned()),
        ("a coordinate's name", coordinate.to_owned()),
    ];
    told.extend(it.further().map(|further| ("a name besides", further)));
    told
}

/// Days where there are whole ones; months and years would only be approximations.
fn in_days(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() / DAY {
        days if days > 1 => format!("{days} days"),
        _ => format_duration(duration).to_string(),
    }
}

#[derive(Serialize)]
struct Checked {
    backend: BackendId,
    /// The test secret's, where it came to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    coordinate: Option<String>,
    steps: Vec<Told>,
    /// Which manager its name meant, where it means another now.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_from: Option<String>,
    /// What was left there on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
    /// What may still be in the manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
}

/// One step as it is printed.
#[derive(Serialize)]
struct Told {
    operation: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ErrorKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The right that the manager says is missing; those that the operation takes, where it names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    permissions: Vec<String>,
}

async fn check(
    args: CheckBackendArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let chosen: Vec<BackendId> = match &args.backend {
        Some(asked) => vec![context.backends.get(asked)?.id().clone()],
        None => context.backends.iter().map(|it| it.id().clone()).collect(),
    };
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let mut all = Vec::new();
    for backend in &chosen {
        anyhow::ensure!(!stop.is_cancelled(), "interrupted");
        all.push(check_one(backend, args.keep, &stop, context, console).await?);
    }
    let failed = all
        .iter()
        .any(|it| it.left.is_some() || it.steps.iter().any(|step| step.outcome == "failed"));
    if console.is_json() {
        console.json(&all)?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

async fn check_one(
    backend: &BackendId,
    keep: bool,
    stop: &CancellationToken,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Checked> {
    let manager = context.backends.get(backend)?;
    if !console.is_json() {
        console.line(format_args!("{backend}: {}", manager.manager()))?;
    }
    if let Some(message) = unreadable(backend, context) {
        let step = Told {
            operation: "read the credentials",
            outcome: "failed",
            kind: Some(ErrorKind::Denied),
            message: Some(message),
            permissions: Vec::new(),
        };
        if !console.is_json() {
            console.line(in_words(&step))?;
        }
        return Ok(Checked {
            backend: backend.clone(),
            coordinate: None,
            steps: vec![step],
            changed_from: None,
            kept: None,
            left: None,
        });
    }
    let mut probe = context.documents.probe(backend).await?;
    let coordinate = probe.coordinate().to_string();
    let changed_from = managers::changed_from(&context.store, &**manager).await?;
    if let Some(known) = &changed_from {
        console.note(format_args!(
            "warning: {}",
            managers::in_words(&**manager, known)
        ));
    }
    let section = context.configuration.backends.get(backend.as_str());
    let mut steps = Vec::new();
    let interrupted = tokio::select! {
        () = probe.run(keep, |step| {
            let told = tell(step, &**manager, section);
            if !console.is_json() {
                // What cannot be written is told at the end by the exit status.
                let _ = console.line(in_words(&told));
            }
            steps.push(told);
        }) => false,
        () = stop.cancelled() => true,
    };
    let wrote = steps.first().is_some_and(|step| step.outcome == "works");
    let mut left = None;
    let mut kept = None;
    if keep && wrote && !interrupted {
        let (told, noted) = leave(probe, &**manager, section, context).await;
        if !console.is_json() {
            for line in told.lines(&coordinate) {
                console.line(format_args!("  {line}"))?;
            }
        }
        kept = Some(told);
        if let Err(error) = noted {
            let told = format!("{coordinate}: {error}");
            console.note(format_args!(
                "warning: the store does not answer for what was left: {told}"
            ));
            left = Some(told);
        }
    } else if let Err(all) = probe.clean_up().await {
        let all = all.iter();
        let told: Vec<_> = all
            .map(|it| format!("{}: {}", it.coordinate, it.error.message()))
            .collect();
        let told = format!("{}; the reconciler tries again", told.join("; "));
        console.note(format_args!("warning: test secrets may be left: {told}"));
        left = Some(told);
    }
    anyhow::ensure!(!interrupted, "interrupted");
    Ok(Checked {
        backend: backend.clone(),
        coordinate: Some(coordinate),
        steps,
        changed_from,
        kept,
        left,
    })
}

/// Leaves the test secret. It is at the manager by now, and told, whatever the store answers of its row.
async fn leave(
    probe: Probe,
    manager: &dyn SecretBackend,
    section: Option<&Backend>,
    context: &Context,
) -> (Kept, cloakroom_core::Result<()>) {
    let coordinate = probe.coordinate();
    let asked = std::slice::from_ref(coordinate);
    let rows = context.store.rows(manager.id(), asked).await;
    let mut found = rows.iter().flatten().flatten();
    let until = found.find_map(|row| row.expires);
    let expiry = manager.capabilities().native_expiry;
    let kept = Kept::new(coordinate, until, expiry, section);
    let confirmed = probe.keep().await;
    (kept, rows.and(confirmed))
}

/// Why a credential of the backend's cannot be read: then nothing is sent, and no right is missing.
fn unreadable(backend: &BackendId, context: &Context) -> Option<String> {
    let section = context.configuration.backends.get(backend.as_str())?;
    let read = |it: &SecretReference| match it.read() {
        Ok(value) if value.is_empty() => Some(format!("{it} is empty")),
        Ok(_) => None,
        Err(error) => Some(format!("{error:#}")),
    };
    section.references().iter().find_map(read)
}

fn tell(step: Step, manager: &dyn SecretBackend, section: Option<&Backend>) -> Told {
    let mut told = Told {
        operation: step.operation.as_str(),
        outcome: "works",
        kind: None,
        message: None,
        permissions: Vec::new(),
    };
    match step.outcome {
        StepOutcome::Works => {}
        StepOutcome::WorksSoFar(unseen) => told.message = Some(unseen.to_owned()),
        StepOutcome::NotTried(reason) => {
            told.outcome = "not tried";
            told.message = Some(reason.to_owned());
        }
        StepOutcome::Failed(error) => {
            let words = with_causes(&error);
            told.outcome = "failed";
            told.kind = Some(error.kind());
            // Whose credentials are not taken lacks no right.
            if error.kind() == ErrorKind::Denied && !error.is_of_credentials() {
                let rights = rights(manager.permissions(step.operation), section);
                told.permissions = missing(rights, &words);
            }
            told.message = Some(words);
        }
    }
    told
}

/// The rights that an operation takes under these settings.
fn rights(all: &[&str], section: Option<&Backend>) -> Vec<String> {
    match section {
        Some(Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it)) => {
            // AWS's own keys take none.
            let taken = |right: &&&str| it.kms_key.is_some() || !right.starts_with("kms:");
            let taken = all.iter().filter(taken);
            taken.map(|right| (*right).to_owned()).collect()
        }
        Some(Backend::Vault(it)) => {
            let folder = it.prefix.rfind('/').map_or("", |end| &it.prefix[..=end]);
            let placed = |right: &&str| {
                let right = right.replace("MOUNT", &it.mount);
                right
                    .replace("PREFIX", &it.prefix)
                    .replace("FOLDER", folder)
            };
            all.iter().map(placed).collect()
        }
        _ => all.iter().map(|right| (*right).to_owned()).collect(),
    }
}

/// Of these rights the one that the manager's own words name, where they do.
fn missing(mut rights: Vec<String>, words: &str) -> Vec<String> {
    let is_named = |right: &String| {
        let mut places = words.match_indices(right.as_str());
        places.any(|(at, _)| {
            let behind = words[at + right.len()..].chars().next();
            behind.is_none_or(|it| !it.is_alphanumeric())
        })
    };
    // AWS says of a key that it may not be used, and not by which action.
    let is_of_key = |right: &String| right.starts_with("kms:");
    if rights.iter().any(is_named) {
        rights.retain(is_named);
    } else if words.contains("KMS") && rights.iter().any(is_of_key) {
        rights.retain(is_of_key);
    }
    rights
}

/// A manager's own words for what was refused are in the causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

fn in_words(told: &Told) -> String {
    let sign = match told.outcome {
        "works" => "ok  ",
        "failed" => "FAIL",
        _ => "-   ",
    };
    let mut line = format!("  {sign} {}", told.operation);
    if let Some(message) = &told.message {
        line = format!("{line}: {message}");
    }
    if !told.permissions.is_empty() {
        line = format!("{line}\n       it needs {}", told.permissions.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use cloakroom_backends_aws::{AwsSettings, ParameterStoreBackend};

    use super::*;

    #[test]
    fn what_counts_against_which_rate_is_told() {
        let settings = AwsSettings::new("eu-central-1");
        let told = told(&ParameterStoreBackend::capabilities_of(&settings));
        let how = |what| &told.iter().find(|(it, _)| *it == what).unwrap().1;
        assert_eq!(how("order of the listing"), "the manager's own");
        assert!(how("a deletion of what changed meanwhile").contains("looking before"));
        assert!(how("published requests a second").contains("describe "));
        let requests = how("requests that count");
        assert!(
            requests.contains("get many: 1 get for 10 + 1 describe for 50"),
            "{requests}"
        );
    }

    /// Whichever the manager names, in words of its own and though another begins as it does.
    #[test]
    fn the_right_that_is_named_is_the_one_that_is_told() {
        let rights = ["ssm:DeleteParameter", "ssm:DeleteParameters", "kms:Decrypt"];
        let all = || rights.map(str::to_owned).to_vec();
        for right in rights {
            for words in [
                format!("user/x is not authorized to perform: {right} on resource: *"),
                format!("Permission '{right}' denied"),
                right.to_owned(),
            ] {
                assert_eq!(missing(all(), &words), [right], "{words}");
            }
        }
        assert_eq!(missing(all(), "refused"), rights);
        let of_key = "AWS answered AccessDeniedException (HTTP 400): Access to KMS is not allowed";
        assert_eq!(missing(all(), of_key), ["kms:Decrypt"]);
    }
}
