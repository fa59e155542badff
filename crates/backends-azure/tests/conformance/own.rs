//! Laws of this backend's own: requests, retention, deletions in the background, names and tags.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PutOutcome, SecretBackend as _, SecretState,
};
use cloakroom_testkit::canary::marked;
use libtest_mimic::Trial;

use crate::double::CLIENT_SECRET;
use crate::meeting::request;
use crate::races::STEPS;
use crate::scene::{Scene, Verdict, coordinate, trials};
use crate::{backend, settings};

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        "own":
        requests_are_no_more_than_needed,
        purge_protection_is_told_before_anything_is_deleted,
        a_shorter_retention_than_configured_is_found_out,
        background_deletions_are_waited_for,
        prefixes_keep_apart,
        other_tags_are_kept,
        an_expiry_is_taken_off_whatever_became_of_the_mark,
        no_expiry_is_taken_off_what_is_not_ours_or_not_there,
        what_is_deleted_while_its_expiry_is_taken_off_stays_deleted,
    ]
}

async fn requests_are_no_more_than_needed() -> Verdict {
    let scene = Scene::new().await;
    let (backend, put) = (&scene.backend, request(&scene.coordinate, "value"));
    assert_eq!(backend.put(&put).await?, PutOutcome::Created);
    let log = scene.double.take_log();
    assert_eq!(log, ["get", "set", "list", "update", "list"]);
    assert_eq!(log.len(), STEPS);
    assert_eq!(backend.put(&put).await?, PutOutcome::AlreadyThere);
    assert_eq!(scene.double.take_log(), ["get"]);
    backend.get(&scene.coordinate).await?;
    assert_eq!(scene.double.take_log(), ["get"]);
    backend.describe(&scene.coordinate).await?;
    assert_eq!(scene.double.take_log(), ["list"]);
    backend.list(None).await?;
    assert_eq!(scene.double.take_log(), ["list"]);
    backend
        .get(&coordinate("airbyte_other_v1"))
        .await
        .unwrap_err();
    assert_eq!(scene.double.take_log(), ["get", "get"]);
    backend
        .delete(&scene.coordinate, DeleteMode::Final, None)
        .await?;
    assert_eq!(scene.double.take_log(), ["delete", "purge", "get"]);
    Ok(())
}

async fn purge_protection_is_told_before_anything_is_deleted() -> Verdict {
    for configured in [true, false] {
        let scene = Scene::with_secret().await?;
        scene.double.vault().purge_protection = true;
        let mut settings = settings(&scene.double, "own", CLIENT_SECRET);
        settings.purge_protection = configured;
        let backend = backend(settings);
        let answer = backend
            .delete(&scene.coordinate, DeleteMode::Final, None)
            .await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
        let state = backend.describe(&scene.coordinate).await?.state;
        assert_eq!(state, SecretState::Enabled);
    }
    Ok(())
}

async fn a_shorter_retention_than_configured_is_found_out() -> Verdict {
    let scene = Scene::with_secret().await?;
    scene.double.vault().retention_days = 7;
    // As after a restart: nothing is known of the vault but what is configured, 90 days.
    let backend = backend(settings(&scene.double, "own", CLIENT_SECRET));
    let days = |days: u64| DeleteMode::Recoverable(Duration::from_hours(24 * days));
    let answer = backend.delete(&scene.coordinate, days(8), None).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
    backend.get(&scene.coordinate).await?;
    let deletion = backend.delete(&scene.coordinate, days(7), None).await?;
    assert!(matches!(deletion, Deletion::Scheduled { due: Some(_) }));
    Ok(())
}

async fn background_deletions_are_waited_for() -> Verdict {
    let scene = Scene::with_secret().await?;
    let (backend, it) = (&scene.backend, &scene.coordinate);
    scene.double.vault().lag = 2;
    let mode = DeleteMode::Recoverable(Duration::from_secs(1));
    backend.delete(it, mode, None).await?;
    assert_eq!(
        backend.get(it).await.unwrap_err().kind(),
        ErrorKind::ScheduledForDeletion
    );
    backend.restore(it).await?;
    backend.get(it).await?;
    assert_eq!(
        backend.delete(it, DeleteMode::Final, None).await?,
        Deletion::Deleted
    );
    assert_eq!(
        backend.get(it).await.unwrap_err().kind(),
        ErrorKind::Missing
    );

    // A vault that never comes to an end is given up, and that is no "missing".
    backend.put(&request(it, "value")).await?;
    scene.double.vault().lag = u32::MAX;
    let mut short = settings(&scene.double, "own", CLIENT_SECRET);
    short.settle_timeout = Duration::from_millis(300);
    let answer = crate::backend(short)
        .delete(it, DeleteMode::Final, None)
        .await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    Ok(())
}

async fn prefixes_keep_apart() -> Verdict {
    let scene = Scene::with_secret().await?;
    let it = &scene.coordinate;
    for prefix in ["a", "a-", "airbyte-"] {
        let mut settings = settings(&scene.double, "own", CLIENT_SECRET);
        prefix.clone_into(&mut settings.prefix);
        let other = backend(settings);
        assert_ne!(other.manager(), scene.backend.manager());
        assert_eq!(other.put(&request(it, prefix)).await?, PutOutcome::Created);
        assert_eq!(other.list(None).await?.secrets.len(), 1, "{prefix}");
    }
    assert_eq!(scene.backend.list(None).await?.secrets.len(), 1);
    Ok(())
}

async fn other_tags_are_kept() -> Verdict {
    let scene = Scene::new().await;
    let mut settings = settings(&scene.double, "own", CLIENT_SECRET);
    let many = (0..9).map(|at| (format!("tag{at}"), "x".repeat(256)));
    settings.tags = many.collect::<BTreeMap<_, _>>();
    let backend = backend(settings);
    // The longest mark there is: every field at the vault's limit or at its own.
    let it = coordinate(&format!("{}_v1", "x".repeat(253)));
    let mut put = request(&it, "value");
    put.mark.deployment = "d".repeat(256);
    put.mark.intent = Some(cloakroom_core::IntentId(uuid::Uuid::max()));
    backend.put(&put).await?;
    assert_eq!(backend.get(&it).await?.mark.as_ref(), Some(&put.mark));
    let tags = scene.double.vault().tags(&backend.secret_name(&it));
    assert_eq!((tags.len(), tags[0].0.len()), (1, 14));

    put.mark.deployment.push('d');
    put.mark.coordinate = coordinate("airbyte_own_v2");
    let error = backend.put(&put).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    Ok(())
}

async fn with_expiry() -> cloakroom_core::Result<(Scene, String)> {
    let scene = Scene::new().await;
    let mut put = request(&scene.coordinate, "value");
    put.native_expiry = Some(Duration::from_hours(1));
    scene.backend.put(&put).await?;
    let name = scene.backend.secret_name(&scene.coordinate).to_lowercase();
    Ok((scene, name))
}

/// Somebody took a tag off: who is in danger is saved all the same.
async fn an_expiry_is_taken_off_whatever_became_of_the_mark() -> Verdict {
    let (scene, name) = with_expiry().await?;
    let (backend, it) = (&scene.backend, &scene.coordinate);
    let value = scene.double.vault().read_past(&name);
    scene.double.vault().untag_past(&name, "cloakroom-digest");
    let error = backend.describe(it).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let listed = backend.list(None).await?.secrets.remove(0);
    assert!(listed.mark.is_none() && listed.native_expiry.is_some());
    backend.lift_expiry(it).await?;
    let listed = backend.list(None).await?.secrets.remove(0);
    assert_eq!((&listed.coordinate, listed.mark), (it, None));
    assert_eq!(listed.native_expiry, None);
    assert_eq!(scene.double.vault().read_past(&name), value);
    Ok(())
}

async fn no_expiry_is_taken_off_what_is_not_ours_or_not_there() -> Verdict {
    use cloakroom_core::Clock as _;
    let (scene, _) = with_expiry().await?;
    let (backend, ours) = (&scene.backend, &scene.coordinate);
    let absent = coordinate("airbyte_absent_v1");
    let theirs = coordinate("airbyte_theirs_v1");
    let now = scene.double.clock().now();
    let name = backend.secret_name(&theirs);
    let value = marked("theirs");
    let text = value.expose_text().unwrap();
    scene.double.vault().write_expiring_past(&name, text, now);
    for it in [&absent, &theirs] {
        let refused = backend.lift_expiry(it).await.unwrap_err();
        assert!(refused.is_missing(), "{refused}");
    }
    assert!(backend.describe(&theirs).await?.native_expiry.is_some());
    let mode = DeleteMode::Recoverable(Duration::from_secs(1));
    backend.delete(ours, mode, None).await?;
    let refused = backend.lift_expiry(ours).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ScheduledForDeletion, "{refused}");
    Ok(())
}

/// The new version without an expiry would make it anew.
async fn what_is_deleted_while_its_expiry_is_taken_off_stays_deleted() -> Verdict {
    let (scene, name) = with_expiry().await?;
    let (backend, it) = (&scene.backend, &scene.coordinate);
    let mut turns = scene.double.take_turns();
    let remove = async {
        while let Some(ticket) = turns.recv().await {
            if ticket.kind == "set" {
                scene.double.vault().remove_past(&name);
                scene.double.end_turns();
            }
            let _ = ticket.go.send(());
        }
    };
    let (lifted, ()) = tokio::join!(backend.lift_expiry(it), remove);
    let error = lifted.unwrap_err();
    assert!(error.is_missing(), "{error}");
    let left = backend.get(it).await.unwrap_err();
    assert_eq!(left.kind(), ErrorKind::ScheduledForDeletion, "{left}");
    Ok(())
}
