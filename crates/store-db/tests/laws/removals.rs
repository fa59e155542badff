//! What is kept of a platform's clean-up: confirmations, secrets taken on, their ends and receipts.

use cloakroom_core::ledger::{DeletionOutcome, RowState};
use cloakroom_core::platform::{
    Adoptions, BroughtBack, NamedSecret, PlatformScope, PlatformTarget, Removal, RemovalEnd,
    RemovalItem, RemovalSettlement, Removals, SecretName, SeenSecret, ShownPlan, Sightings,
    Standing,
};
use cloakroom_core::store::{Journal, Receipts, RunOutcome};
use cloakroom_core::{ErrorKind, SecretState};

use crate::sightings::{other, target};
use crate::support::*;

/// A minute.
const MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

fn plan(id: &str, database: &str) -> ShownPlan {
    let scope = PlatformScope([("database".to_owned(), database.to_owned())].into());
    ShownPlan {
        id: id.into(),
        scope,
    }
}

/// A coordinate, or what another platform calls a secret.
fn base(number: u128) -> SecretName {
    match number % 2 {
        0 => format!("om/database/{number}/password").parse().unwrap(),
        _ => crate::support::base(number).into(),
    }
}

fn restored(name: &SecretName) -> BroughtBack {
    BroughtBack {
        name: name.clone(),
        evidence: "an undo".into(),
    }
}

fn item(name: &SecretName) -> RemovalItem {
    RemovalItem {
        name: name.clone(),
        standing: Standing::Orphaned,
    }
}

fn ended(name: &SecretName, end: RemovalEnd) -> RemovalSettlement {
    RemovalSettlement {
        name: name.clone(),
        standing: Standing::Orphaned,
        evidence: "nothing mentions it".into(),
        end,
    }
}

fn deleted(name: &SecretName) -> RemovalSettlement {
    ended(name, RemovalEnd::Asked(DeletionOutcome::Deleted))
}

async fn adopted(bench: &Bench) {
    let (store, plan) = (&bench.store, plan("first", "one"));
    store.show_plan("production", &plan).await.unwrap();
    store.confirm("production", &plan, "ada").await.unwrap();
    store
        .start_removals(run(1), &target(), &plan.id)
        .await
        .unwrap();
}

async fn claim(bench: &Bench, names: &[SecretName]) -> Vec<bool> {
    let items: Vec<RemovalItem> = names.iter().map(item).collect();
    let lease = lease(&bench.store).await;
    bench
        .store
        .claim_removals(&lease, run(1), &target(), &items, 2 * MINUTE)
        .await
        .unwrap()
}

async fn settle(bench: &Bench, settlements: &[RemovalSettlement]) {
    bench
        .store
        .settle_removals(run(1), &target(), settlements)
        .await
        .unwrap();
}

async fn removal(bench: &Bench, name: &SecretName) -> Option<Removal> {
    let names = std::slice::from_ref(name);
    let told = bench.store.removals(&target(), names).await.unwrap();
    told.into_iter().next().unwrap()
}

async fn state(bench: &Bench, name: &SecretName) -> Option<RowState> {
    removal(bench, name).await.map(|it| it.state)
}

pub(crate) async fn only_the_plan_that_was_shown_is_confirmed(bench: Bench) {
    let store = &bench.store;
    let (first, second) = (plan("first", "one"), plan("second", "one"));
    let refused = |error: cloakroom_core::Error| assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(store.confirmation("production").await.unwrap(), None);
    refused(
        store
            .confirm("production", &first, "ada")
            .await
            .unwrap_err(),
    );
    store.show_plan("production", &first).await.unwrap();
    assert_eq!(store.confirmation("production").await.unwrap(), None);
    refused(store.confirm("staging", &first, "ada").await.unwrap_err());
    let elsewhere = plan("first", "two");
    let error = store
        .confirm("production", &elsewhere, "ada")
        .await
        .unwrap_err();
    assert!(error.message().contains("another database"), "{error}");
    let confirmed = store.confirm("production", &first, "ada").await.unwrap();
    assert_eq!(confirmed.at.as_millisecond(), bench.clock.millis());
    assert_eq!(
        (confirmed.by.as_str(), &confirmed.scope),
        ("ada", &first.scope)
    );

    // One that is only shown takes nothing back.
    store.show_plan("production", &second).await.unwrap();
    let stands = store.confirmation("production").await.unwrap();
    assert_eq!(stands.as_ref(), Some(&confirmed));
    refused(
        store
            .confirm("production", &first, "bob")
            .await
            .unwrap_err(),
    );
    store.confirm("production", &second, "bob").await.unwrap();
    let stands = store.confirmation("production").await.unwrap().unwrap();
    assert_eq!(
        (stands.plan.as_str(), stands.by.as_str()),
        ("second", "bob")
    );
}

pub(crate) async fn a_plan_is_known_by_its_first_digits(bench: Bench) {
    let store = &bench.store;
    let whole = format!("9f8e1c07{}", "ab".repeat(28));
    let shown = plan(&whole, "one");
    store.show_plan("production", &shown).await.unwrap();
    for other in [
        "",
        "9f8e1c0",
        "9f8e1c08",
        &format!("{whole}9"),
        &whole[8..63],
    ] {
        let confirmed = store
            .confirm("production", &plan(other, "one"), "ada")
            .await;
        let kind = confirmed.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Conflict, "{other}");
    }
    for digits in [8, 40, 64] {
        let meant = plan(&whole[..digits], "one");
        let confirmed = store.confirm("production", &meant, "ada").await.unwrap();
        assert_eq!(confirmed.plan, whole, "{digits}");
        let stands = store.confirmation("production").await.unwrap();
        assert_eq!(stands, Some(confirmed));
    }
}

pub(crate) async fn runs_of_a_platform_are_recorded(bench: Bench) {
    adopted(&bench).await;
    let store = &bench.store;
    let begun = store.removal_run(run(1)).await.unwrap().unwrap();
    assert_eq!((begun.target(), begun.plan.as_str()), (target(), "first"));
    assert_eq!((begun.finished, begun.outcome), (None, None));
    let report = serde_json::json!({"deleted": 1});
    let finished = store.finish_removals(run(1), RunOutcome::Partial, &report);
    finished.await.unwrap();
    let over = store.removal_run(run(1)).await.unwrap().unwrap();
    assert_eq!(over.outcome, Some(RunOutcome::Partial));
    assert!(over.finished.is_some());
    assert_eq!(store.removal_run(run(2)).await.unwrap(), None);
    let again = store.finish_removals(run(1), RunOutcome::Done, &report);
    again.await.unwrap_err();
}

pub(crate) async fn what_is_taken_on_is_one_runs_until_its_claim_lapses(bench: Bench) {
    adopted(&bench).await;
    let names = [base(1), base(2)];
    let twice = [names[0].clone(), names[1].clone(), names[0].clone()];
    assert_eq!(claim(&bench, &twice).await, [true, true, false]);
    let taken = removal(&bench, &names[0]).await.unwrap();
    assert_eq!((taken.state, taken.run), (RowState::Deleting, run(1)));
    assert_eq!((taken.standing, taken.attempts), (Standing::Orphaned, 0));
    assert_eq!(claim(&bench, &names).await, [false, false]);
    let others = bench.store.removals(&other(), &names).await.unwrap();
    assert_eq!(others, [None, None], "another platform's are its own");

    bench.clock.advance(2 * MINUTE);
    assert_eq!(claim(&bench, &names[..1]).await, [true]);
    let page = |after: Option<SecretName>| {
        let bench = &bench;
        async move {
            let (target, state) = (target(), RowState::Deleting);
            let told = bench.store.removals_in(&target, state, after.as_ref(), 1);
            told.await.unwrap().into_iter().next().map(|it| it.name)
        }
    };
    assert_eq!(page(None).await, Some(names[0].clone()));
    assert_eq!(page(Some(names[0].clone())).await, Some(names[1].clone()));
    assert_eq!(page(Some(names[1].clone())).await, None);
}

pub(crate) async fn nobody_takes_on_without_lease_and_confirmation(bench: Bench) {
    let store = &bench.store;
    let items = [item(&base(1))];
    let claim = |held: cloakroom_core::store::Lease| {
        let items = &items;
        async move {
            let (target, lasts) = (target(), 2 * MINUTE);
            store
                .claim_removals(&held, run(1), &target, items, lasts)
                .await
        }
    };
    let held = lease(store).await;
    let refused = claim(held.clone()).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::Conflict,
        "no run, no confirmation"
    );
    adopted(&bench).await;
    assert_eq!(claim(held.clone()).await.unwrap(), [true]);

    let newer = plan("second", "one");
    store.show_plan("production", &newer).await.unwrap();
    store.confirm("production", &newer, "ada").await.unwrap();
    bench.clock.advance(2 * MINUTE);
    let refused = claim(held.clone()).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::Conflict,
        "another plan is confirmed"
    );

    store
        .start_removals(run(2), &target(), "second")
        .await
        .unwrap();
    store.release_lease(&held).await.unwrap();
    let another = store.acquire_lease("laws", "another", HOUR).await;
    another.unwrap().unwrap();
    let (target, lasts) = (target(), 2 * MINUTE);
    let refused = store
        .claim_removals(&held, run(2), &target, &items, lasts)
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
}

pub(crate) async fn ends_are_written_down_with_receipts(bench: Bench) {
    adopted(&bench).await;
    let names: Vec<SecretName> = (1..=5).map(base).collect();
    claim(&bench, &names).await;
    let scheduled = DeletionOutcome::Scheduled { due: None };
    let failure = RemovalEnd::Asked(failed(MINUTE, false));
    let settlements = [
        deleted(&names[0]),
        ended(&names[1], RemovalEnd::Asked(scheduled)),
        ended(&names[2], failure),
        ended(&names[3], RemovalEnd::Spared),
        deleted(&names[4]),
    ];
    settle(&bench, &settlements).await;
    for (name, expected) in names.iter().zip([
        Some(RowState::Deleted),
        Some(RowState::Deleted),
        Some(RowState::Deleting),
        None,
        Some(RowState::Deleted),
    ]) {
        assert_eq!(state(&bench, name).await, expected, "{name}");
    }
    let left = removal(&bench, &names[2]).await.unwrap();
    assert_eq!(left.attempts, 1);
    assert!(left.last_error.unwrap().contains("no"));
    settle(&bench, &[ended(&names[4], RemovalEnd::Rescued)]).await;
    assert_eq!(state(&bench, &names[4]).await, None);

    let receipts = bench.store.receipts_of(run(1), 0, 100).await.unwrap();
    let told: Vec<(&str, &str)> = receipts
        .iter()
        .map(|it| (it.reason.as_str(), it.outcome.as_str()))
        .collect();
    let expected = [
        ("orphaned", "deleted"),
        ("orphaned", "scheduled"),
        ("orphaned", "failed"),
        ("orphaned", "deleted"),
        ("rescued", "restored"),
    ];
    assert_eq!(told, expected);
    assert!(
        receipts
            .iter()
            .all(|it| it.plan.as_deref() == Some("first"))
    );
    bench.store.verify_receipts().await.unwrap();

    // What happened to what nobody took on, or was forgotten since, is written down too.
    let strays = [deleted(&base(9)), ended(&base(8), RemovalEnd::Rescued)];
    settle(&bench, &strays).await;
    for name in [base(9), base(8)] {
        assert_eq!(state(&bench, &name).await, None);
    }
    let receipts = bench.store.receipts_of(run(1), 0, 100).await.unwrap();
    assert_eq!(receipts.len(), expected.len() + 2);
}

pub(crate) async fn failures_add_up_and_what_is_parked_rests(bench: Bench) {
    adopted(&bench).await;
    let name = base(1);
    for attempt in 1..=3 {
        assert_eq!(claim(&bench, std::slice::from_ref(&name)).await, [true]);
        let end = RemovalEnd::Asked(failed(HOUR, attempt == 3));
        settle(&bench, &[ended(&name, end)]).await;
        assert_eq!(removal(&bench, &name).await.unwrap().attempts, attempt);
        assert_eq!(
            claim(&bench, std::slice::from_ref(&name)).await,
            [false],
            "it pauses"
        );
        bench.clock.advance(HOUR);
    }
    assert_eq!(state(&bench, &name).await, Some(RowState::Quarantined));
    assert_eq!(claim(&bench, std::slice::from_ref(&name)).await, [false]);
    let release = |age| bench.store.release_removals(&PLATFORM, age);
    assert_eq!(release(2 * HOUR).await.unwrap(), 0);
    assert_eq!(
        bench.store.release_removals(&other(), HOUR).await.unwrap(),
        0
    );
    assert_eq!(release(HOUR).await.unwrap(), 1);
    assert_eq!(claim(&bench, std::slice::from_ref(&name)).await, [true]);
    assert_eq!(removal(&bench, &name).await.unwrap().attempts, 0);
    // One success forgets them.
    settle(&bench, &[deleted(&name)]).await;
    assert_eq!(
        claim(&bench, std::slice::from_ref(&name)).await,
        [true],
        "it came again"
    );
    assert_eq!(removal(&bench, &name).await.unwrap().attempts, 0);
}

static PLATFORM: std::sync::LazyLock<PlatformTarget> = std::sync::LazyLock::new(target);

pub(crate) async fn what_is_held_is_nobodys_until_its_date(bench: Bench) {
    adopted(&bench).await;
    let names = [base(1), base(2)];
    claim(&bench, &names[..1]).await;
    settle(&bench, &[deleted(&names[0])]).await;
    let back = [
        restored(&names[0]),
        restored(&names[1]),
        restored(&names[0]),
    ];
    let lease = lease(&bench.store).await;
    let held = bench
        .store
        .hold_removals(&lease, run(7), &target(), &back, 2 * HOUR)
        .await
        .unwrap();
    assert_eq!(held, [true, false, false]);
    assert_eq!(state(&bench, &names[0]).await, Some(RowState::Held));
    assert_eq!(claim(&bench, &names[..1]).await, [false]);
    // What a slow run says of it comes too late.
    settle(&bench, &[deleted(&names[0])]).await;
    assert_eq!(state(&bench, &names[0]).await, Some(RowState::Held));
    bench.clock.advance(2 * HOUR);
    assert_eq!(claim(&bench, &names[..1]).await, [true]);
    let receipts = bench.store.receipts_of(run(7), 0, 10).await.unwrap();
    assert_eq!(receipts.len(), 1);
    assert_eq!(
        (&*receipts[0].reason, &*receipts[0].outcome),
        ("undone", "restored")
    );
}

/// What is held for longer stays so.
pub(crate) async fn no_hold_is_made_shorter(bench: Bench) {
    adopted(&bench).await;
    let names = [base(1)];
    claim(&bench, &names).await;
    settle(&bench, &[deleted(&names[0])]).await;
    let (store, lease) = (&bench.store, lease(&bench.store).await);
    let back = [restored(&names[0])];
    for hours in [3, 1] {
        let held = store
            .hold_removals(&lease, run(7), &target(), &back, hours * HOUR)
            .await;
        assert_eq!(held.unwrap(), [true]);
    }
    bench.clock.advance(2 * HOUR);
    assert_eq!(claim(&bench, &names).await, [false]);
    bench.clock.advance(HOUR);
    assert_eq!(claim(&bench, &names).await, [true]);
}

/// What was restored under a lease that is another's by now may have been deleted again.
pub(crate) async fn a_lease_that_was_taken_holds_nothing(bench: Bench) {
    adopted(&bench).await;
    let names = [base(1)];
    claim(&bench, &names).await;
    settle(&bench, &[deleted(&names[0])]).await;
    let store = &bench.store;
    let lapsed = lease(store).await;
    bench.clock.advance(2 * HOUR);
    let back = [restored(&names[0])];
    let hold = async |lease| {
        store
            .hold_removals(&lease, run(7), &target(), &back, HOUR)
            .await
    };
    let refused = hold(lapsed).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(state(&bench, &names[0]).await, Some(RowState::Deleted));
    assert_eq!(store.receipts_of(run(7), 0, 10).await.unwrap(), []);
    assert_eq!(hold(lease(store).await).await.unwrap(), [true]);
}

pub(crate) async fn names_and_bases_that_are_listed_are_found(bench: Bench) {
    let secret = |name: &str| SeenSecret {
        base: name.rsplit_once("_v").map_or(name, |(base, _)| base).into(),
        owner: None,
        secret: NamedSecret {
            name: name.into(),
            marked: false,
            state: SecretState::Enabled,
            tags: None,
            native_expiry: None,
            created: None,
            changed: None,
            accessed: None,
            precondition: None,
        },
    };
    let store = &bench.store;
    let listed = [secret("a_v1"), secret("b")];
    store.see(&target(), run(1), &listed).await.unwrap();
    store
        .see(&target(), run(2), &[secret("c_v1")])
        .await
        .unwrap();
    store
        .see(&other(), run(1), &[secret("d_v1")])
        .await
        .unwrap();
    let names = ["a_v1", "a", "b", "a_v2", "c_v1", "c", "d", "", "a_v1"];
    let told = store.are_listed(&target(), run(1), &names).await.unwrap();
    let expected = [true, true, true, false, false, false, false, false, true];
    assert_eq!(told, expected);
    assert!(
        store
            .are_listed(&target(), run(1), &[])
            .await
            .unwrap()
            .is_empty()
    );
}
