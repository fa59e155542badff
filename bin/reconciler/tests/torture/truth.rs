//! The truth, once nothing is due any more: what was lost, what leaked, what was told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cloakroom_backends_aws::{Authentication, AwsSettings, SecretsManagerBackend};
use cloakroom_backends_vault::{VaultAuth, VaultBackend, VaultSettings};
use cloakroom_core::{Description, SecretBackend, SecretState, SecretValue};
use cloakroom_reconcile::is_epoch_mark;
use comfy_table::{Table, presets};
use serde_json::Value;
use sqlx::Row as _;
use tokio::time::sleep;

use super::deployment::{Deployment, PREFIX, REGION};
use super::process::Fate;
use super::tally::Tally;

/// How long in calm nothing may get better before everything is quiet: the longest windows, a
/// quarantine, and passes. How long it takes in all follows from what is due and the managers' rates.
const STANDSTILL: Duration = Duration::from_mins(4);

/// Rows that something is still due for.
const UNSETTLED: &str = "SELECT count(*) FROM secrets WHERE state IN \
    ('intended', 'deleting', 'quarantined', 'held') \
    OR (state = 'stored' AND NOT EXISTS (SELECT 1 FROM secret_references AS r \
        WHERE r.backend_id = secrets.backend_id AND r.coordinate = secrets.coordinate))";

/// Every row, and whether a document refers to it.
const LEDGER: &str = "SELECT s.backend_id, s.coordinate, s.state, EXISTS (\
    SELECT 1 FROM secret_references AS r WHERE r.backend_id = s.backend_id \
    AND r.coordinate = s.coordinate) AS referenced FROM secrets AS s";

/// What was found.
#[derive(Default)]
pub(crate) struct Verdict {
    documents: usize,
    secrets: usize,
    waiting: usize,
    epoch_marks: usize,
    receipts: u64,
    rescued: i64,
    quiet_after: Duration,
    passes: u32,
    lost: Vec<String>,
    leaked: Vec<String>,
    canaries: Vec<String>,
    wrong: Vec<String>,
}

/// A ledger row as far as it matters here.
struct LedgerRow {
    state: String,
    referenced: bool,
}

type Ledger = BTreeMap<(String, String), LedgerRow>;

/// Waits until nothing is due any more, with the replicas at work, and compares ledger and managers.
pub(crate) async fn after_quiet(deployment: &Deployment) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let managers = managers(deployment).await?;
    let began = Instant::now();
    let mut fewest = i64::MAX;
    let mut progressed = began;
    loop {
        pass(deployment).await?;
        verdict.passes += 1;
        let unsettled = unsettled(deployment).await?;
        if unsettled < fewest {
            fewest = unsettled;
            progressed = Instant::now();
        }
        verdict.compare(&ledger(deployment).await?, &listed(&managers).await?);
        verdict.quiet_after = began.elapsed();
        if unsettled == 0 && verdict.leaked.is_empty() {
            break;
        }
        if progressed.elapsed() > STANDSTILL {
            verdict.require(
                unsettled == 0,
                format!("{unsettled} ledger rows are still due"),
            );
            break;
        }
        sleep(Duration::from_secs(2)).await;
    }
    Ok(verdict)
}

/// Asks the program for all the rest, once nobody else is at work.
pub(crate) async fn establish(deployment: &Deployment, verdict: &mut Verdict) -> Result<()> {
    documents(deployment, verdict).await?;
    receipts(deployment, verdict).await?;
    let verified = ["run", "verify-blobs", "--read-values", "--output", "json"];
    let verified = deployment.run(&verified, b"", Fate::Unharmed).await?;
    let report = String::from_utf8_lossy(&verified.stdout).into_owned();
    std::fs::write(deployment.folder().join("logs/verified.json"), report)?;
    verdict.require(
        verified.code == Some(0),
        format!(
            "verify-blobs --read-values ended with {:?}; see logs/verified.json",
            verified.code
        ),
    );
    for (name, arguments) in [
        ("status", &["status", "--output", "json"][..]),
        ("findings", &["findings", "--output", "json"]),
        (
            "secrets",
            &["secret", "list", "--limit", "100000", "--output", "json"],
        ),
        ("receipts", &["audit", "export"]),
        ("quarantine", &["quarantine", "list", "--output", "json"]),
    ] {
        let told = deployment.run(arguments, b"", Fate::Unharmed).await?;
        verdict.require(
            told.code == Some(0),
            format!("`{name}` ended with {:?}", told.code),
        );
        std::fs::write(deployment.folder().join("seen").join(name), told.stdout)?;
    }
    Ok(())
}

/// One pass over everything. What the replicas are at is theirs, so anything but a failure to run
/// at all is in order.
async fn pass(deployment: &Deployment) -> Result<()> {
    let ended = deployment
        .run(&["run", "all", "--output", "json"], b"", Fate::Unharmed)
        .await?;
    ensure!(ended.code.is_some(), "a pass in quiet did not end");
    Ok(())
}

async fn unsettled(deployment: &Deployment) -> Result<i64> {
    let mut connection = deployment.connection().await?;
    Ok(sqlx::query_scalar(UNSETTLED)
        .fetch_one(&mut connection)
        .await?)
}

async fn ledger(deployment: &Deployment) -> Result<Ledger> {
    let mut connection = deployment.connection().await?;
    let rows = sqlx::query(LEDGER).fetch_all(&mut connection).await?;
    rows.iter()
        .map(|row| {
            let key = (row.try_get("backend_id")?, row.try_get("coordinate")?);
            let state = row.try_get("state")?;
            let referenced = row.try_get("referenced")?;
            Ok((key, LedgerRow { state, referenced }))
        })
        .collect()
}

/// The managers themselves, past the proxies and the program.
async fn managers(deployment: &Deployment) -> Result<Vec<Arc<dyn SecretBackend>>> {
    let secret = |name: &str| -> Result<Arc<SecretValue>> {
        let text = std::fs::read_to_string(deployment.folder().join("secrets").join(name))?;
        Ok(Arc::new(SecretValue::from(text)))
    };
    let openbao = VaultSettings {
        prefix: PREFIX.to_owned(),
        ..VaultSettings::new(
            &deployment.openbao_url,
            VaultAuth::Token {
                token: secret("token")?,
            },
        )
    };
    let moto = AwsSettings {
        account: Some("123456789012".to_owned()),
        endpoint_url: Some(deployment.moto_url.clone()),
        authentication: Authentication::Keys {
            access_key_id: secret("aws-id")?,
            secret_access_key: secret("aws-key")?,
            session_token: None,
        },
        name_prefix: PREFIX.to_owned(),
        ..AwsSettings::new(REGION)
    };
    Ok(vec![
        Arc::new(VaultBackend::new("openbao".parse()?, openbao)?),
        Arc::new(Box::pin(SecretsManagerBackend::connect("moto".parse()?, moto)).await?),
    ])
}

/// The whole listing of each manager.
async fn listed(managers: &[Arc<dyn SecretBackend>]) -> Result<Vec<(String, Description)>> {
    let mut all = Vec::new();
    for manager in managers {
        let mut next = None;
        loop {
            let page = manager
                .list(next.as_ref())
                .await
                .context("list a manager")?;
            let named = page
                .secrets
                .into_iter()
                .map(|it| (manager.id().to_string(), it));
            all.extend(named);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(all)
}

impl Verdict {
    /// Holds the ledger against the listings; what an earlier comparison said is forgotten.
    fn compare(&mut self, ledger: &Ledger, listed: &[(String, Description)]) {
        (self.secrets, self.waiting, self.epoch_marks) = (0, 0, 0);
        self.lost.clear();
        self.leaked.clear();
        let mut there = BTreeMap::new();
        for (backend, secret) in listed {
            let key = (backend.clone(), secret.coordinate.to_string());
            let row = ledger.get(&key);
            if is_epoch_mark(&secret.coordinate) {
                self.epoch_marks += 1;
            } else if matches!(secret.state, SecretState::ScheduledForDeletion { .. }) {
                self.waiting += 1;
            } else if row.is_some_and(|row| row.state == "stored" && row.referenced) {
                self.secrets += 1;
            } else {
                let state = row.map_or("no row", |row| row.state.as_str());
                let state = format!("{backend}/{}: {:?}, ledger: {state}", key.1, secret.state);
                self.leaked.push(state);
            }
            there.insert(key, secret);
        }
        for (key, row) in ledger.iter().filter(|(_, row)| row.referenced) {
            let found = there.get(key);
            let whole = found.is_some_and(|it| {
                it.state == SecretState::Enabled && it.native_expiry.is_none() && it.mark.is_some()
            });
            if !whole || row.state != "stored" {
                let found = found.map(|it| (it.state, it.native_expiry));
                self.lost
                    .push(format!("{}/{} is {}: {found:?}", key.0, key.1, row.state));
            }
        }
    }

    pub(crate) fn require(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.wrong.push(otherwise.into());
        }
    }

    pub(crate) fn holds(&self) -> bool {
        [&self.lost, &self.leaked, &self.canaries, &self.wrong]
            .iter()
            .all(|it| it.is_empty())
    }

    /// Everything as one table, and beneath it what is wrong.
    pub(crate) fn table(&mut self, tally: &Tally, seed: u64) -> String {
        self.wrong.extend(tally.problems());
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.add_row(["seed".to_owned(), seed.to_string()]);
        for (what, count) in tally.counts() {
            table.add_row([what, count.to_string()]);
        }
        for (what, count) in [
            ("kills in all", tally.kills().to_string()),
            ("seconds in all", tally.seconds().to_string()),
            ("epoch marks in the managers", self.epoch_marks.to_string()),
            (
                "seconds until quiet",
                self.quiet_after.as_secs().to_string(),
            ),
            ("passes by hand until quiet", self.passes.to_string()),
            ("documents", self.documents.to_string()),
            ("secrets in use", self.secrets.to_string()),
            ("secrets waiting in the managers", self.waiting.to_string()),
            ("receipts, chain verified", self.receipts.to_string()),
            ("rescued on the way", self.rescued.to_string()),
            ("LOST", self.lost.len().to_string()),
            ("LEAKED", self.leaked.len().to_string()),
            ("CANARY HITS", self.canaries.len().to_string()),
            ("OTHER PROBLEMS", self.wrong.len().to_string()),
        ] {
            table.add_row([what.to_owned(), count]);
        }
        let mut text = table.trim_fmt();
        for (what, which) in [
            ("lost", &self.lost),
            ("leaked", &self.leaked),
            ("canary", &self.canaries),
            ("problem", &self.wrong),
        ] {
            for one in which.iter().take(50) {
                // Writing to a String cannot fail.
                let _ = write!(text, "\n{what}: {one}");
            }
        }
        text
    }
}

/// Every document is there and hydrates to what its last writer wrote.
async fn documents(deployment: &Deployment, verdict: &mut Verdict) -> Result<()> {
    let arguments = ["document", "list", "--limit", "100000", "--output", "json"];
    let list = deployment.run(&arguments, b"", Fate::Unharmed).await?;
    ensure!(list.code == Some(0), "the documents cannot be listed");
    let mut found = BTreeMap::new();
    for line in String::from_utf8(list.stdout)?.lines() {
        let summary: Value = serde_json::from_str(line)?;
        let id = summary["id"]
            .as_str()
            .context("a document without an id")?
            .to_owned();
        let revision = summary["revision"]
            .as_i64()
            .context("a document without a revision")?;
        let arguments = ["document", "hydrate", &id, "--reveal"];
        let hydrated = deployment.run(&arguments, b"", Fate::Unharmed).await?;
        match serde_json::from_slice::<Value>(&hydrated.stdout) {
            Ok(content) => drop(found.insert(id, (revision, content))),
            Err(_) => verdict
                .lost
                .push(format!("document {id} cannot be hydrated")),
        }
    }
    verdict.documents = found.len();
    let model = deployment.model();
    let known = model.documents.keys().chain(found.keys());
    let known: BTreeSet<&String> = known.collect();
    for id in known {
        let as_found = found
            .get(id)
            .map(|(revision, content)| (*revision, content));
        verdict.lost.extend(model.judge(id, as_found));
    }
    Ok(())
}

/// Lets the program follow the chain of receipts, and counts what had to be rescued.
async fn receipts(deployment: &Deployment, verdict: &mut Verdict) -> Result<()> {
    let arguments = ["audit", "verify", "--output", "json"];
    let verified = deployment.run(&arguments, b"", Fate::Unharmed).await?;
    let told: Option<Value> = serde_json::from_slice(&verified.stdout).ok();
    let whole = told.and_then(|told| told["whole"].as_u64());
    verdict.receipts = whole.unwrap_or_default();
    verdict.require(
        verified.code == Some(0) && whole.is_some(),
        format!("`audit verify` ended with {:?}", verified.code),
    );
    let mut connection = deployment.connection().await?;
    let query = "SELECT coalesce(sum((report::jsonb ->> 'rescued')::bigint), 0)::bigint \
        FROM runs WHERE NOT dry_run";
    verdict.rescued = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
    Ok(())
}

/// Looks for secret values in all that any process said, and in the database's files.
pub(crate) fn search_for_canaries(deployment: &Deployment, verdict: &mut Verdict) -> Result<()> {
    for name in ["logs", "seen", "postgres/data/base", "reconciler.yaml"] {
        let sightings = deployment
            .canaries
            .search_tree(&deployment.folder().join(name))?;
        verdict
            .canaries
            .extend(sightings.iter().map(ToString::to_string));
    }
    Ok(())
}
