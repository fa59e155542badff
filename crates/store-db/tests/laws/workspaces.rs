//! Whose a secret is: the workspace of the document it was written for. The name tells it in some scopes only.

use cloakroom_core::coordinates::{Coordinate, Grammar, Scope, Version};
use cloakroom_core::ledger::{DueClass, Ledger, OwnerCensus};
use cloakroom_core::store::{
    Adoption, CommitOutcome, DocumentStore, Expected, Intent, Receipts as _, SecretFilter,
};
use cloakroom_core::{DocumentId, WorkspaceId};
use cloakroom_store_db::DbStore;
use uuid::Uuid;

use crate::support::*;

const ORGANIZATION: Uuid = Uuid::from_u128(0x0A6A);

fn workspace(n: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(0xC0DE_0000 + n))
}

/// The name of a new secret of that workspace, and where the scope is not a workspace's, of the organisation.
fn named(scope: Scope, workspace: WorkspaceId, n: u128) -> Coordinate {
    let owner = match scope {
        Scope::Workspace | Scope::OauthWorkspace => workspace.0,
        Scope::Organization | Scope::RsmOrganization | Scope::StorageOrganization => ORGANIZATION,
    };
    Grammar::default().managed(scope, owner, Uuid::from_u128(n), Version::FIRST)
}

impl Bench {
    /// The next versions of these names, written for a document of that workspace and in it alone.
    async fn put_for(
        &self,
        (id, expected): (DocumentId, Expected),
        workspace: WorkspaceId,
        bases: &[Coordinate],
    ) -> Vec<Coordinate> {
        let intents = bases.iter().map(|base| Intent {
            workspace,
            ..intent(base)
        });
        let intents: Vec<Intent> = intents.collect();
        let written = self.store.intend(&backend(), &intents, HOUR).await.unwrap();
        let places: Vec<String> = (0..written.len()).map(|at| format!("/{at}")).collect();
        let references: Vec<(&str, Coordinate)> = places
            .iter()
            .map(String::as_str)
            .zip(written.iter().cloned())
            .collect();
        let mut commit = commit_of(id, expected, &references, &written);
        commit.workspace = workspace;
        let outcome = self.store.commit(&commit).await.unwrap();
        assert!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            "{outcome:?}"
        );
        written
    }

    async fn owners(&self, class: DueClass) -> Vec<OwnerCensus> {
        let (backend, windows) = (backend(), windows());
        let census = self.store.census(&backend, &[class], &windows, 2).await;
        census.unwrap().owners
    }

    async fn listed(&self, of: Uuid) -> Vec<Coordinate> {
        let filter = SecretFilter {
            owner: Some(WorkspaceId(of)),
            ..SecretFilter::default()
        };
        let page = self.store.list_secrets(&filter, None, 1000).await.unwrap();
        page.rows.into_iter().map(|row| row.coordinate).collect()
    }
}

fn counted(owner: WorkspaceId, due: u64, once_referenced: u64) -> OwnerCensus {
    OwnerCensus {
        owner: owner.0,
        due,
        once_referenced,
    }
}

fn sorted(mut coordinates: Vec<Coordinate>) -> Vec<Coordinate> {
    coordinates.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    coordinates
}

pub(crate) async fn a_secret_is_of_its_documents_workspace_whatever_it_is_named(bench: Bench) {
    let (mut stays, mut goes) = (Vec::new(), Vec::new());
    for (at, scope) in (0..).zip(Scope::ALL) {
        let bases =
            |of: u128| [1, 2, 3].map(|n| named(scope, workspace(of), at * 100 + of * 10 + n));
        let new = (document(10 + at), Expected::Absent);
        stays.extend(bench.put_for(new, workspace(1), &bases(1)).await);
        let (new, again) = (
            (document(20 + at), Expected::Absent),
            (document(20 + at), FIRST),
        );
        goes.extend(bench.put_for(new, workspace(2), &bases(2)).await);
        // What an update raises stays in the workspace.
        goes.extend(bench.put_for(again, workspace(2), &bases(2)[..2]).await);
        bench.remove(document(20 + at)).await;
    }
    assert_eq!(bench.listed(ORGANIZATION).await, []);
    assert_eq!(bench.listed(workspace(1).0).await, sorted(stays));
    assert_eq!(bench.listed(workspace(2).0).await, sorted(goes));
    bench.clock.advance(48 * HOUR);
    let scopes = Scope::ALL.len() as u64;
    let owners = bench.owners(DueClass::Orphaned).await;
    assert_eq!(owners, [counted(workspace(2), 5 * scopes, 5 * scopes)]);
}

/// A row that was there keeps what it knows; of an organisation's name nobody knows more.
pub(crate) async fn what_is_adopted_is_of_the_workspace_it_is_named_after(bench: Bench) {
    let adopt = async |coordinate: &Coordinate, number: u128| {
        let adoption = Adoption {
            coordinate: coordinate.clone(),
            digest: digest(),
            intent: Some(cloakroom_core::IntentId(Uuid::from_u128(number))),
            evidence: "listed".to_owned(),
        };
        let adopted = bench.store.adopt(run(1), &backend(), &[adoption]).await;
        assert_eq!(adopted.unwrap(), [true], "{coordinate}");
    };
    let mut of_the_name = Vec::new();
    for (at, scope) in (0..).zip(Scope::ALL) {
        for n in 1..=2 {
            let coordinate = named(scope, workspace(1), at * 10 + n);
            adopt(&coordinate, at * 10 + n).await;
            if matches!(scope, Scope::Workspace | Scope::OauthWorkspace) {
                of_the_name.push(coordinate);
            }
        }
    }
    let bases = [1, 2].map(|n| named(Scope::Organization, workspace(2), 1000 + n));
    let new = (document(1), Expected::Absent);
    let known = bench.put_for(new, workspace(2), &bases).await;
    bench.remove(document(1)).await;
    for (number, coordinate) in (2000..).zip(&known) {
        adopt(coordinate, number).await;
    }
    assert_eq!(bench.listed(ORGANIZATION).await, []);
    assert_eq!(bench.listed(workspace(1).0).await, sorted(of_the_name));
    assert_eq!(bench.listed(workspace(2).0).await, sorted(known));
    bench.clock.advance(48 * HOUR);
    assert_eq!(
        bench.owners(DueClass::Orphaned).await,
        [counted(workspace(1), 4, 4), counted(workspace(2), 2, 2)]
    );
}

/// Before it was written down, a row had the owner in its name.
pub(crate) async fn an_older_ledger_learns_workspaces_from_its_documents(bench: Bench) {
    let (mut known, mut by_name, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (at, scope) in (0..).zip(Scope::ALL) {
        let base = |n: u128| named(scope, workspace(1), at * 10 + n);
        let two = [document(10 + at), document(20 + at)];
        known.extend(
            bench
                .put_for((two[0], Expected::Absent), workspace(1), &[base(1)])
                .await,
        );
        // A version that is superseded is its base's.
        known.extend(
            bench
                .put_for((two[0], FIRST), workspace(1), &[base(1)])
                .await,
        );
        let orphan = bench
            .put_for((two[1], Expected::Absent), workspace(1), &[base(2)])
            .await;
        bench.remove(two[1]).await;
        match scope {
            Scope::Workspace | Scope::OauthWorkspace => by_name.extend(orphan),
            _ => unknown.extend(orphan),
        }
        let older = format!(
            "UPDATE secrets SET owner = '{ORGANIZATION}' WHERE coordinate LIKE '%{ORGANIZATION}%'"
        );
        bench.raw(older).await.unwrap();
    }
    let older = "DELETE FROM _sqlx_migrations WHERE version = 20";
    assert_eq!(bench.raw(older).await.unwrap(), 1);
    let report = DbStore::migrate(&bench.options).await.unwrap();
    assert_eq!(report.applied.len(), 1, "{:?}", report.applied);
    assert_eq!(bench.listed(ORGANIZATION).await, []);
    known.extend(by_name);
    assert_eq!(bench.listed(workspace(1).0).await, sorted(known));
    assert_eq!(unknown.len(), 3);
    bench.clock.advance(48 * HOUR);
    // An orphan that nobody knows the workspace of counts to the backend alone.
    assert_eq!(
        bench.owners(DueClass::Orphaned).await,
        [counted(workspace(1), 2, 12)]
    );
}
