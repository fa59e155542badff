//! A report as it is read.

use std::collections::BTreeMap;

use cloakroom_core::platform::{Obstacle, OwnerTally, PlatformIdentity, ScanReport, Standing};
use cloakroom_core::{RunId, Timestamp};
use cloakroom_reconcile::{
    Age, Cost, NextRun, PlatformFinding, PlatformFindingKind, PlatformReport, StandingCount,
    UnusedSecret,
};
use uuid::Uuid;

use super::{html, view};

const NAME: &str = "a-name-with-no-place-to-break-it-and-some-markup<b>&</b>-in-it-somewhere";

fn counted(enabled: u64, waiting: u64) -> StandingCount {
    StandingCount {
        enabled,
        disabled: 0,
        waiting,
    }
}

/// A report with something of everything.
fn report() -> PlatformReport {
    let at = Timestamp::from_second(1_900_000_000).unwrap();
    let owner = Uuid::from_u128(0xA1);
    let name = format!("airbyte_workspace_{owner}_secret_{}_v1", Uuid::from_u128(2));
    PlatformReport {
        platform: "production".into(),
        database: PlatformIdentity {
            platform: "airbyte".into(),
            database: "1".into(),
            place: "db.internal.example.com:5432/db-airbyte".into(),
        },
        backend: "aws".parse().unwrap(),
        manager: "aws secrets-manager 123456789012 eu-central-1".into(),
        pass: RunId(Uuid::from_u128(7)),
        started: at,
        finished: at,
        pages: 402,
        listed: 40_120,
        asked: 2,
        unanswered: 1,
        scan: ScanReport {
            snapshot: Some(at),
            tables: 38,
            columns: 120,
            rows: 1_234_567,
            bytes: 1,
            left_out: Vec::new(),
            essential: Vec::new(),
            history: vec!["public.attempts".into(), "public.jobs".into()],
            deployed_jobs: 0,
            obstacles: Vec::new(),
        },
        obstacles: Vec::new(),
        secrets: BTreeMap::from([
            (Standing::InUse, counted(30_000, 0)),
            (Standing::Superseded, counted(5_000, 100)),
            (Standing::Ephemeral, counted(5_000, 0)),
            (Standing::Stranger, counted(20, 0)),
        ]),
        ephemeral_seconds: 7_200,
        kept_by_history: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        leaked_by_age: BTreeMap::from([(Age::Week, 100), (Age::Older, 10_000)]),
        next: NextRun {
            due: 9_900,
            second_sighting: 50,
            within_grace: 50,
            put_off: 0,
            put_off_from: None,
            put_off_until: None,
            left: 0,
            waiting: 100,
        },
        cost: Cost {
            per_secret: 0.4,
            now: 16_000.0,
            leaked: 4_000.0,
            after: 12_000.0,
        },
        owners: vec![
            OwnerTally {
                owner: Some(owner),
                title: Some(NAME.into()),
                removed: Some(true),
                standings: BTreeMap::from([
                    (Standing::InUse, 30_000),
                    (Standing::Superseded, 5_100),
                ]),
            },
            OwnerTally {
                owner: Some(Uuid::nil()),
                title: None,
                removed: None,
                standings: BTreeMap::from([(Standing::Ephemeral, 5_000)]),
            },
        ],
        more_owners: true,
        findings: BTreeMap::from([(PlatformFindingKind::ClearText, 3)]),
        examples: vec![PlatformFinding {
            kind: PlatformFindingKind::ClearText,
            name: None,
            column: Some("public.actor.configuration".into()),
            row: Some(owner),
            title: Some(NAME.into()),
            workspace: Some(owner),
            pointer: Some("/headers/authorization".into()),
            detail: "say what to do".into(),
        }],
        unused: vec![UnusedSecret {
            name,
            standing: Standing::Superseded,
            owner: Some(owner),
            changed: Some(at),
            unused_since: None,
        }],
    }
}

#[test]
fn the_page_says_what_the_report_does() {
    let page = html(&report()).unwrap();
    for words in [
        "10100 secrets are leaked, and 3 things are amiss.",
        "16000.00",
        "4000.00",
        "12000.00",
        "/headers/authorization",
        "checks and discovers",
        "&#60;b&#62;&#38;",
        "(removed)",
        "9900 secrets could go now",
        "100 of these wait for their deletion",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // One file: nothing is fetched, nothing is run.
    for word in ["<script", "<link", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn whatever_is_put_off_is_told_with_when_it_may_go() {
    let mut report = report();
    report.next.put_off = 3;
    let told = |report: &PlatformReport| {
        let line = view::next(report)
            .into_iter()
            .find(|it| it.starts_with("3 "));
        let line = line.unwrap();
        assert!(html(report).unwrap().contains(&line), "{line}");
        line
    };
    assert!(
        told(&report).ends_with("only after the backup horizon"),
        "of an older release"
    );
    report.next.put_off_from = Some(report.started);
    report.next.put_off_until = Some(report.started);
    let first = crate::listing::moment(report.started);
    assert!(told(&report).contains(&format!(": from {first} on")));
    let last = report.started + std::time::Duration::from_hours(1);
    report.next.put_off_until = Some(last);
    let both = told(&report);
    for at in [first, crate::listing::moment(last)] {
        assert!(both.contains(&at), "{both}");
    }
}

#[test]
fn what_may_have_missed_something_says_so_first() {
    let mut report = report();
    report.obstacles.push(Obstacle {
        subject: "public.secrets".into(),
        detail: "grant SELECT on it".into(),
    });
    assert_eq!(report.would_delete(), 0);
    let verdict = view::verdict(&report);
    assert!(verdict.contains("no deletions would be made"), "{verdict}");
    assert!(
        verdict.contains("what it calls leaked may be in use"),
        "{verdict}"
    );
    assert!(view::next(&report)[0].starts_with("nothing could go"));
    let page = html(&report).unwrap();
    assert!(page.contains("grant SELECT on it"));
    assert!(!page.contains("could go now"));
}

#[test]
fn nothing_found_is_all_well() {
    let mut report = report();
    report.secrets = BTreeMap::from([(Standing::InUse, counted(1, 0))]);
    report.findings.clear();
    assert!(!report.has_findings());
    assert_eq!(
        view::verdict(&report),
        "Nothing is leaked and nothing is amiss."
    );
}

#[test]
fn what_was_left_out_is_told() {
    let mut report = report();
    assert_eq!(view::left_out(&report), None);
    report.scan.left_out = vec!["public.attempts".into(), "public.jobs".into()];
    let told = view::left_out(&report).unwrap();
    assert!(told.contains("public.attempts, public.jobs"), "{told}");
    assert!(
        html(&report)
            .unwrap()
            .contains("public.attempts, public.jobs")
    );
}

#[test]
fn what_history_keeps_and_what_is_elsewhere_is_told() {
    let mut report = report();
    assert!(view::kept_by_history(&report).is_empty() && view::elsewhere(&report).is_empty());
    report.kept_by_history = BTreeMap::from([("public.jobs".into(), 40)]);
    report.elsewhere = BTreeMap::from([(Uuid::from_u128(7), 5)]);
    let told = view::kept_by_history(&report);
    let expected = "40 secrets are kept by nothing but public.jobs ($16.00 a month)";
    assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    let told = view::elsewhere(&report);
    let storage = Uuid::from_u128(7).to_string();
    assert!(told.len() == 1 && told[0].contains(&storage), "{told:?}");
    let page = html(&report).unwrap();
    assert!(page.contains(expected) && page.contains(&storage));
}

#[test]
fn how_long_a_check_lives_is_told_as_it_is() {
    let mut report = report();
    for (seconds, told) in [(7_200, "over 2h ago"), (93_600, "over 1day 2h ago")] {
        report.ephemeral_seconds = seconds;
        let lines = view::secrets(&report);
        let checks = lines.iter().find(|it| it.title == "left by a check");
        assert!(checks.unwrap().meaning.ends_with(told));
        assert!(html(&report).unwrap().contains(told));
    }
}

/// Whoever left out a table of templates would lose what they need.
#[test]
fn only_history_is_said_to_be_left_out() {
    let mut report = report();
    for (tables, is_history) in [
        ("public.jobs", true),
        ("public.attempts, public.jobs", true),
        ("public.notes", false),
        ("public.jobs, public.notes", false),
        ("other.jobs", false),
    ] {
        report.kept_by_history = BTreeMap::from([(tables.into(), 3)]);
        let told = view::kept_by_history(&report).remove(0);
        assert!(
            told.starts_with("3 secrets are kept by nothing but"),
            "{told}"
        );
        assert_eq!(
            told.contains("list that under `leave_out`"),
            is_history,
            "{told}"
        );
        assert_eq!(told.contains("is not known"), !is_history, "{told}");
    }
}

/// What endangers a secret, and whose it is to mend, is not the same for each.
#[test]
fn what_endangers_a_secret_stands_beside_its_name() {
    let mut report = report();
    report.findings = BTreeMap::from([(PlatformFindingKind::Endangered, 1)]);
    let example = &mut report.examples[0];
    example.kind = PlatformFindingKind::Endangered;
    example.name = Some("my/own".into());
    let told = view::findings(&report).remove(0);
    assert_eq!(told.examples[0].what, "my/own: say what to do");
    assert!(html(&report).unwrap().contains("my/own: say what to do"));
}

#[test]
fn no_name_tells_a_terminal_or_a_page_what_to_do() {
    let mut report = report();
    let bad = "a\u{1b}[2J\u{202e}b\nc\u{9b}d\u{2066}e";
    report.owners[0].title = Some(bad.into());
    let example = &mut report.examples[0];
    (example.title, example.pointer) = (Some(bad.into()), Some(bad.into()));
    report.unused[0].name = bad.into();
    report.scan.left_out.push(bad.into());
    report.obstacles.push(Obstacle {
        subject: bad.into(),
        detail: bad.into(),
    });
    let page = html(&report).unwrap();
    let harmless = "a\u{fffd}[2J\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e";
    assert_eq!(page.matches(harmless).count(), 7, "{page}");
    for character in ['\u{1b}', '\u{202e}', '\u{9b}', '\u{2066}'] {
        assert!(!page.contains(character), "{character:?}");
    }
}
