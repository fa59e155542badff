//! Two platforms of one configuration whose ids are alike: what one of them uses, or copied, in the manager is never
//! the other's to take over or to replace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cloakroom_core::platform::{PlatformIdentity, PlatformSource, ScanReport, ScanSink};
use cloakroom_core::{ErrorKind, MoveId, Result};
use cloakroom_store_openmetadata::{MigrationReport, OpenMetadataSource, OtherPlatform};
use uuid::Uuid;

use crate::progress::Heard;
use crate::stage::{Between, PASSWORD, Stage, Unobserved, delete, edit_of, on_aws, put, there};
use crate::support::Bench;

fn kinds(report: &MigrationReport) -> Vec<&str> {
    report.issues.iter().map(|it| it.kind).collect()
}

/// Two databases with one manager and one journal, each the other's neighbour; in both a service `one` of this
/// password.
async fn two(bench: &Bench, password: &str) -> (Stage, Stage) {
    let another = bench.another();
    another.make().await;
    let mut one = Stage::new(bench).await;
    let mut two = Stage::new(&another).await;
    two.aws = one.aws.clone();
    two.journal = one.journal.clone();
    two.platform = "om2";
    one.others = vec![as_other(&two)];
    two.others = vec![as_other(&one)];
    for stage in [&one, &two] {
        stage.with_password(1, "one", password).await;
    }
    (one, two)
}

fn as_other(stage: &Stage) -> OtherPlatform {
    let source = OpenMetadataSource::new(stage.bench.options()).unwrap();
    OtherPlatform {
        platform: stage.platform.to_owned(),
        source: Ok(Arc::new(source) as Arc<dyn PlatformSource>),
    }
}

/// A run of the first that dies between its copy and its switch.
async fn cut_between(stage: &Stage) {
    *stage.journal.between.lock().unwrap() = Some(Between::Death);
    let migration = stage.migration("db", "aws");
    let cut = migration.copy(MoveId(Uuid::from_u128(99)), &Unobserved);
    assert_eq!(cut.await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// A look and a run refuse and name the other platform; what is there stays, and so does the field.
async fn is_refused(stage: &Stage, field: &str, there_is: &str, named: &str) {
    let looked = stage.look("db", "aws").await;
    let done = stage.copy("db", "aws").await;
    for report in [&looked, &done] {
        let told = (report.moved, kinds(report));
        assert_eq!(told, (0, vec!["conflict"]), "{report:?}");
        let message = &report.issues[0].message;
        assert!(message.contains(named), "{message}");
    }
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some(field));
    let kept = there(&stage.aws, &on_aws("one")).await;
    assert_eq!(kept.as_deref(), Some(there_is));
}

/// An earlier run's copy that the other's field refers to by now.
pub(crate) async fn a_copy_that_another_platform_uses_stays(bench: Bench) {
    let (one, two) = two(&bench, "value").await;
    cut_between(&one).await;
    let reference = format!("secret:{}", on_aws("one"));
    two.bench.sql(&edit_of(1, "one", &reference)).await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    is_refused(&one, "edited", "value", "om2").await;
    // Nor is it taken over, of the same value.
    bench.sql(&edit_of(1, "one", "value")).await;
    is_refused(&one, "value", "value", "om2").await;
    // Once the other does without it, it is free.
    two.bench.sql(&edit_of(1, "one", "own")).await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    let done = one.copy("db", "aws").await;
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    let name = on_aws("one");
    assert_eq!(there(&one.aws, &name).await.as_deref(), Some("edited"));
    two.bench.remove().await;
}

/// What the other copied is its own before anything refers to it.
pub(crate) async fn what_another_platform_copied_is_no_copy(bench: Bench) {
    let (one, two) = two(&bench, "value").await;
    cut_between(&one).await;
    is_refused(&two, "value", "value", "om").await;
    // What the other copied once and is not there any more is in nobody's way.
    let name = on_aws("one");
    delete(&one.aws, &name).await;
    two.bench.sql(&edit_of(1, "one", "edited")).await;
    put(&one.aws, &name, "edited").await;
    let done = two.copy("db", "aws").await;
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    two.bench.remove().await;
}

/// Whether another platform uses it is not known: nothing of what is there is taken over or replaced, and what
/// has a free name goes on.
pub(crate) async fn whoever_gives_no_answer_is_in_the_way(bench: Bench) {
    let (mut one, two) = two(&bench, "value").await;
    cut_between(&one).await;
    one.others[0].source = Err("its server is away".to_owned());
    is_refused(&one, "value", "value", "om2").await;
    bench.sql(&edit_of(1, "one", "edited")).await;
    is_refused(&one, "edited", "value", "om2").await;
    one.with_password(2, "free", "value").await;
    let done = one.copy("db", "aws").await;
    assert_eq!(
        (done.moved, kinds(&done)),
        (1, vec!["conflict"]),
        "{done:?}"
    );
    // As little is known where not all of it could be read.
    one.others = vec![as_other(&two)];
    let sealed = "CREATE TABLE notes (v text); INSERT INTO notes VALUES ('fernet:gAAAAABnone')";
    two.bench.sql(sealed).await;
    is_refused_for(&one, "om2").await;
    two.bench.remove().await;
}

async fn is_refused_for(stage: &Stage, named: &str) {
    let looked = stage.look("db", "aws").await;
    assert_eq!(kinds(&looked), ["conflict"], "{looked:?}");
    let message = &looked.issues[0].message;
    assert!(message.contains(named), "{message}");
}

/// Counts how often a whole database is read.
struct Counting {
    inner: Arc<dyn PlatformSource>,
    scans: AtomicU64,
}

#[async_trait]
impl PlatformSource for Counting {
    async fn identity(&self) -> Result<PlatformIdentity> {
        self.inner.identity().await
    }

    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.inner.scan(sink).await
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.inner.still_mentioned(names).await
    }
}

/// However many copies of earlier runs are replaced, another platform is read when the run begins and once before
/// they are.
pub(crate) async fn another_platform_is_asked_once_for_all_copies(bench: Bench) {
    let (mut one, two) = two(&bench, "value").await;
    two.bench.sql("DELETE FROM dbservice_entity").await;
    let names = [(1, "one"), (2, "two"), (3, "three")];
    for (number, name) in &names[1..] {
        one.with_password(*number, name, "value").await;
    }
    let done = one.copy("db", "aws").await;
    assert!(done.is_complete() && done.moved == 3, "{done:?}");
    assert!(one.reverse("db", "aws", &done).await.is_complete());
    for (number, name) in names {
        bench.sql(&edit_of(number, name, "edited")).await;
    }
    let counting = Arc::new(Counting {
        inner: one.others[0].source.clone().unwrap(),
        scans: AtomicU64::new(0),
    });
    one.others[0].source = Ok(counting.clone());
    for is_dry in [true, false] {
        let report = if is_dry {
            one.look("db", "aws").await
        } else {
            // Rows that wait for the answer count once they are seen to.
            let heard = Heard::default();
            let report = one.copy_beside("db", "aws", &heard).await;
            heard.assert_counted(3);
            report
        };
        assert!(report.is_complete() && report.moved == 3, "{report:?}");
        assert_eq!(counting.scans.swap(0, Ordering::Relaxed), 2);
    }
    for (_, name) in names {
        let there = there(&one.aws, &on_aws(name)).await;
        assert_eq!(there.as_deref(), Some("edited"), "{name}");
    }
    two.bench.remove().await;
}

/// Another one that neither mentions nor copied what is there.
pub(crate) async fn platforms_of_other_ids_are_in_nobodys_way(bench: Bench) {
    let (one, two) = two(&bench, "value").await;
    two.bench.sql("DELETE FROM dbservice_entity").await;
    put(&one.aws, &on_aws("one"), "value").await;
    let done = one.copy("db", "aws").await;
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    let back = one.reverse("db", "aws", &done).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    let again = one.copy("db", "aws").await;
    assert!(again.is_complete() && again.moved == 1, "{again:?}");
    two.bench.remove().await;
}

/// Fields that share an id, as the connection to the server is one for all pipelines, share their copy too: what an
/// earlier run left is replaced once, and all of them refer to what takes its place.
pub(crate) async fn fields_of_one_id_wait_for_others_together(bench: Bench) {
    let (mut one, two) = two(&bench, "value").await;
    two.bench.sql("DELETE FROM dbservice_entity").await;
    one.with_password(2, "ONE", "value").await;
    for value in ["renewed", "renewed again"] {
        let done = one.copy("db", "aws").await;
        assert!(done.is_complete() && done.moved == 2, "{done:?}");
        assert!(one.reverse("db", "aws", &done).await.is_complete());
        for (number, name) in [(1, "one"), (2, "ONE")] {
            bench.sql(&edit_of(number, name, value)).await;
        }
        let looked = one.look("db", "aws").await;
        let done = one.copy("db", "aws").await;
        for report in [&looked, &done] {
            assert!(report.is_complete() && report.moved == 2, "{report:?}");
        }
        let kept = there(&one.aws, &on_aws("one")).await;
        assert_eq!(kept.as_deref(), Some(value));
        assert!(one.reverse("db", "aws", &done).await.is_complete());
        // The same with nobody to be asked.
        one.others.clear();
    }
    two.bench.remove().await;
}
