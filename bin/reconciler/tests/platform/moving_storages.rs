//! Several storages of one platform in one manager: a move takes what its own storage reads, and nothing
//! goes that another one reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom_core::platform::{Mention, MentionKind};
use cloakroom_core::store::MoveState;
use cloakroom_reconcile::Neighbour;
use uuid::Uuid;

use crate::moving::Moving;
use crate::source::Source;
use crate::stage::{HOUR, here, mention};

const OTHER: Uuid = Uuid::from_u128(0x4d);

/// A connector's mention of what the index says is in this storage, and the index's own.
fn indexed(name: &str, storage: Uuid) -> [Mention; 2] {
    let kept = Mention {
        storage,
        ..mention(name)
    };
    let row = Mention {
        keeps: false,
        kind: MentionKind::Index,
        ..kept.clone()
    };
    [row, kept]
}

impl Moving {
    fn keep(&self, name: &str, storages: &[Uuid]) {
        self.stage().write([name.to_owned()]);
        for storage in storages {
            for mention in indexed(name, *storage) {
                self.stage().mention(mention);
            }
        }
    }
}

#[tokio::test]
async fn what_another_storage_reads_stays_and_is_copied_only_where_both_read_it() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let (theirs, ahead, both) = (here(60, 1), here(60, 2), here(61, 1));
    moving.keep(&theirs, &[OTHER]);
    stage.write([ahead.clone()]);
    moving.keep(&both, &[OTHER, Uuid::nil()]);
    let history = Mention {
        kind: MentionKind::Other,
        storage: OTHER,
        ..mention(&theirs)
    };
    stage.mention(history);
    let needed = moving.needed.len() as u64;
    for dry in [true, false] {
        let report = moving.mover().copy(&[], dry, &|_, _| {}).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        assert_eq!((report.needed, report.copied), (needed + 1, needed + 1));
        assert_eq!(report.of_other_storages, 2, "{report:#?}");
    }
    let copies = moving.copies().await;
    assert!(copies.contains(&both) && !copies.contains(&theirs) && !copies.contains(&ahead));

    // Whoever reads the other storage goes on writing in the old manager.
    stage.clock.advance(HOUR);
    stage.source.forget(&theirs);
    let saved = here(60, 3);
    moving.keep(&saved, &[OTHER]);
    let copied = moving.copy().await;
    let id = copied.id.unwrap();
    stage.clock.advance(HOUR);
    stage.write([saved.clone()]);
    let dry = moving.mover().finish(id, "ada", true, &|_, _| {}).await;
    for report in [dry.unwrap(), moving.finish(id).await] {
        assert!(report.is_complete(), "{report:#?}");
        assert_eq!((report.removed, report.of_other_storages), (needed - 1, 1));
    }
    for name in [&saved, &both] {
        assert!(stage.is_there(name).await, "{name} went");
    }
    assert!(!stage.is_there(&here(4, 1)).await);
}

/// Of what no index knows, only a guess says which storage it is in.
#[tokio::test]
async fn what_only_a_text_mentions_is_copied_and_stays_with_another_storage() {
    let mut moving = Moving::new().await;
    moving.littered.stage.settings.storage = OTHER;
    for name in [here(1, 3), here(4, 1)] {
        moving.keep(&name, &[OTHER]);
        moving.stage().source.forget(&name);
        for mention in indexed(&name, OTHER) {
            moving.stage().mention(mention);
        }
    }
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(moving.copies().await, moving.needed);
    let finished = moving.finish(report.id.unwrap()).await;
    assert_eq!(finished.state, Some(MoveState::Finished), "{finished:#?}");
    // The version ahead of what the storage reads goes with that.
    assert_eq!(finished.removed, 3, "{finished:#?}");
    for name in moving.needed {
        let goes = [here(1, 3), here(1, 4), here(4, 1)].contains(&name);
        assert_eq!(moving.littered.stage.is_there(&name).await, !goes, "{name}");
    }
}

/// Each storage of one database is a platform of the configuration.
#[tokio::test]
async fn a_neighbour_of_the_same_database_keeps_what_its_own_storage_reads() {
    for (database, own_stay) in [("one", false), ("two", true)] {
        let moving = Moving::new().await;
        let stage = moving.stage();
        let (own, late) = (here(4, 1), here(5, 1));
        let second = Source::new(stage.source.adversary.clone());
        second.become_database(database);
        second.become_storage(OTHER);
        let [_, kept] = indexed(&own, Uuid::nil());
        second.mention(kept);
        // Its own database tells of it only after the pass.
        let [_, kept] = indexed(&late, OTHER);
        second.mention(kept);
        let id = moving.copy().await.id.unwrap();
        let beside = vec![Neighbour {
            platform: "other storage".to_owned(),
            source: Ok(Arc::new(second)),
        }];
        let mover = moving.mover().beside(beside);
        let report = mover.finish(id, "ada", false, &|_, _| {}).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        let mut stay = BTreeSet::from([late]);
        if own_stay {
            // What another database's other storages read may be in this manager.
            stay.insert(own);
        }
        assert_eq!(report.left_to_others, stay.len() as u64, "{report:#?}");
        for name in &moving.needed {
            let stays = stay.contains(name) || name == "referred-to";
            assert_eq!(stage.is_there(name).await, stays, "{name}");
        }
    }
}
