//! The table of `docs/backends.md` says what the backends say. `CLOAKROOM_WRITE_REFERENCE=1` writes it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cloakroom_backends_aws::{AwsSettings, ParameterStoreBackend, SecretsManagerBackend};
use cloakroom_backends_azure::{AzureBackend, AzureSettings};
use cloakroom_backends_embedded::EmbeddedBackend;
use cloakroom_backends_gcp::{GcpBackend, GcpSettings};
use cloakroom_backends_kubernetes::KubernetesBackend;
use cloakroom_backends_vault::VaultBackend;
use cloakroom_core::capabilities::{ListOrder, NativeExpiry};
use cloakroom_core::{Capabilities, SecretBackend as _};

const BEGIN: &str = "<!-- capabilities: begin -->";
const END: &str = "<!-- capabilities: end -->";

type Tell = fn(&Capabilities) -> String;

const ROWS: [(&str, Tell); 16] = [
    ("smallest and largest value, bytes", |it| {
        format!("{} to {}", it.least_bytes, it.most_bytes)
    }),
    ("values that are not text", |it| {
        either(it.binary, "kept", "refused")
    }),
    ("longest coordinate, bytes", |it| {
        it.longest_name.to_string()
    }),
    ("written, read, described, deleted in one call", |it| {
        let Capabilities {
            put_batch,
            get_batch,
            describe_batch,
            delete_batch,
            ..
        } = it;
        format!("{put_batch}, {get_batch}, {describe_batch}, {delete_batch}")
    }),
    ("expiry of its own", |it| {
        let word = match it.native_expiry {
            NativeExpiry::Deletes => "deletes",
            NativeExpiry::Hides => "hides",
            NativeExpiry::Advises => "is noted only",
            NativeExpiry::Absent => "none",
        };
        word.to_owned()
    }),
    ("recovery after deletion", |it| match it.recovery {
        None => "none".to_owned(),
        Some(it) if it.shortest == it.longest => told(it.shortest),
        Some(it) => format!("{} to {}", told(it.shortest), told(it.longest)),
    }),
    ("deletion for good at once", |it| {
        either(it.final_deletion, "yes", "no")
    }),
    ("a listing lags by", |it| told(it.listing_lag)),
    ("a listing is in the order of coordinates", |it| {
        either(it.list_order == ListOrder::Coordinate, "yes", "no")
    }),
    ("refuses a put on a taken name itself", |it| {
        either(it.create_only, "yes", "no")
    }),
    ("describes without the right to read", |it| {
        either(it.describe_without_reading, "yes", "no")
    }),
    ("deletes under a precondition", |it| {
        either(it.delete_precondition, "yes", "no")
    }),
    ("writes a second", |it| rate(it.rates.write)),
    ("reads a second", |it| rate(it.rates.read)),
    ("descriptions; pages of a listing a second", |it| {
        format!("{}; {}", rate(it.rates.describe), rate(it.rates.list))
    }),
    ("deletions a second", |it| rate(it.rates.delete)),
];

fn backends() -> [(&'static str, Capabilities); 8] {
    let azure = |purge_protection| {
        let mut settings = AzureSettings::new("https://example.vault.azure.net");
        settings.purge_protection = purge_protection;
        let backend = AzureBackend::new("azure".parse().unwrap(), settings).unwrap();
        backend.capabilities().clone()
    };
    [
        ("embedded", EmbeddedBackend::CAPABILITIES),
        ("aws-secrets-manager", SecretsManagerBackend::CAPABILITIES),
        (
            "aws-parameter-store",
            ParameterStoreBackend::capabilities_of(&AwsSettings::new("eu-central-1")),
        ),
        ("azure", azure(false)),
        ("azure, purge protection", azure(true)),
        (
            "gcp",
            GcpBackend::capabilities_for(&GcpSettings::new("project")),
        ),
        ("kubernetes", KubernetesBackend::CAPABILITIES),
        ("vault", VaultBackend::CAPABILITIES),
    ]
}

fn table() -> String {
    let backends = backends();
    let mut table = String::from("| |");
    for (name, _) in &backends {
        let _ = write!(table, " {name} |");
    }
    let _ = writeln!(table, "\n|---|{}", "---|".repeat(backends.len()));
    for (row, tell) in ROWS {
        let _ = write!(table, "| {row} |");
        for (_, capabilities) in &backends {
            let _ = write!(table, " {} |", tell(capabilities));
        }
        table.push('\n');
    }
    table
}

fn either(holds: bool, yes: &str, no: &str) -> String {
    if holds { yes } else { no }.to_owned()
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"))
}

fn told(time: Duration) -> String {
    const HOUR: u64 = 60 * 60;
    match time.as_secs() {
        0 => "0".to_owned(),
        seconds if seconds.is_multiple_of(24 * HOUR) => format!("{} d", seconds / (24 * HOUR)),
        seconds if seconds.is_multiple_of(HOUR) => format!("{} h", seconds / HOUR),
        seconds if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[test]
fn the_page_says_what_the_backends_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/backends.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let right = format!("{before}{BEGIN}\n\n{}\n{END}{after}", table());
    if env::var_os("CLOAKROOM_WRITE_REFERENCE").is_some() {
        fs::write(&path, &right).unwrap();
    }
    let same = page == right || env::var_os("CLOAKROOM_WRITE_REFERENCE").is_some();
    assert!(
        same,
        "docs/backends.md: run this test with CLOAKROOM_WRITE_REFERENCE=1"
    );
}
