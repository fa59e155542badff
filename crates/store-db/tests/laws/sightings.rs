//! What is kept of platforms: sightings from pass to pass, mentions and defects of the latest one.

use cloakroom_core::platform::{
    Defect, DefectKind, Evidence, Judgement, Mention, MentionKind, NamedSecret, Owner,
    PlatformIdentity, PlatformTarget, SeenMention, SeenSecret, Sightings, Standing, UnlistedCursor,
};
use cloakroom_core::{RunId, SecretState, Timestamp};
use uuid::Uuid;

use crate::support::*;

pub(crate) fn target() -> PlatformTarget {
    PlatformTarget {
        platform: "production".into(),
        backend: backend(),
    }
}

pub(crate) fn other() -> PlatformTarget {
    PlatformTarget {
        platform: "staging".into(),
        ..target()
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap()
}

fn seen(base: &str, name: &str) -> SeenSecret {
    SeenSecret {
        base: base.into(),
        owner: Some(owner()),
        secret: NamedSecret {
            name: name.into(),
            marked: false,
            state: SecretState::Enabled,
            tags: None,
            native_expiry: None,
            created: Some(at(1_000)),
            changed: Some(at(2_000)),
            accessed: None,
            precondition: None,
        },
    }
}

fn mention(base: &str, name: &str) -> SeenMention {
    SeenMention {
        base: base.into(),
        mention: Mention {
            name: name.into(),
            external: false,
            kind: MentionKind::Connector,
            keeps: true,
            column: "public.actor.configuration".into(),
            row: Some(Uuid::from_u128(7)),
            title: Some("Warehouse".into()),
            workspace: Some(owner()),
            tombstone: false,
            storage: Uuid::nil(),
        },
    }
}

fn judgement(name: &str, standing: Standing, unused: Option<bool>) -> Judgement {
    Judgement {
        name: name.into(),
        standing,
        unused,
        anew: false,
    }
}

async fn evidence(bench: &Bench, pass: RunId) -> Vec<Evidence> {
    bench
        .store
        .evidence(&target(), pass, None, 100)
        .await
        .unwrap()
}

/// One pass that lists these secrets and judges them all alike.
async fn pass(bench: &Bench, n: u128, secrets: &[SeenSecret], unused: Option<bool>) {
    let begun = bench.store.begin_pass(&target()).await.unwrap();
    bench.store.see(&target(), run(n), secrets).await.unwrap();
    let judgements: Vec<Judgement> = secrets
        .iter()
        .map(|it| judgement(&it.secret.name, Standing::Orphaned, unused))
        .collect();
    bench
        .store
        .judge(&target(), begun, &judgements)
        .await
        .unwrap();
    bench
        .store
        .forget_unlisted(&target(), run(n))
        .await
        .unwrap();
}

pub(crate) async fn a_platform_is_remembered(bench: Bench) {
    let identity = |database: &str, place: &str| PlatformIdentity {
        platform: "airbyte".into(),
        database: database.into(),
        place: place.into(),
    };
    let store = &bench.store;
    assert_eq!(store.platform("production").await.unwrap(), None);
    let first = identity("one", "db:5432/airbyte");
    store.remember_platform("production", &first).await.unwrap();
    assert_eq!(
        store.platform("production").await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(store.platform("staging").await.unwrap(), None);

    pass(&bench, 1, &[seen("a", "a_v1")], Some(true)).await;
    let moved = identity("one", "elsewhere:5432/airbyte");
    store.remember_platform("production", &moved).await.unwrap();
    assert_eq!(evidence(&bench, run(1)).await.len(), 1, "the same database");
    let another = identity("two", "db:5432/airbyte");
    store
        .remember_platform("production", &another)
        .await
        .unwrap();
    assert_eq!(store.platform("production").await.unwrap(), Some(another));
    assert!(evidence(&bench, run(1)).await.is_empty(), "another one");
}

pub(crate) async fn sightings_come_back_as_they_went_in(bench: Bench) {
    let mut full = seen("b", "b_v1");
    full.owner = None;
    full.secret.marked = true;
    full.secret.state = SecretState::ScheduledForDeletion {
        due: Some(at(9_000)),
    };
    full.secret.native_expiry = Some(at(8_000));
    full.secret.accessed = Some(at(7_000));
    let mut bare = seen("c", "c");
    bare.secret.state = SecretState::Disabled;
    bare.secret.created = None;
    bare.secret.changed = None;
    let store = &bench.store;
    let listed = [full.clone(), bare.clone(), full.clone()];
    store.see(&target(), run(1), &listed).await.unwrap();
    store.see(&other(), run(2), &listed[..1]).await.unwrap();

    let told = evidence(&bench, run(1)).await;
    let secrets: Vec<&NamedSecret> = told.iter().map(|it| &it.secret).collect();
    assert_eq!(secrets, [&full.secret, &bare.secret]);
    assert_eq!(told[0].first_seen.as_millisecond(), bench.clock.millis());
    assert!(told.iter().all(|it| it.unused_since.is_none()));

    let page = store.evidence(&target(), run(1), None, 1).await.unwrap();
    let rest = store
        .evidence(&target(), run(1), Some(&page[0].secret.name), 10)
        .await
        .unwrap();
    assert_eq!([&page[..], &rest[..]].concat(), told);
    assert!(evidence(&bench, run(3)).await.is_empty());
}

pub(crate) async fn unused_is_counted_from_the_first_pass_that_says_so(bench: Bench) {
    let secrets = [seen("a", "a_v1")];
    let since = |told: &[Evidence]| told[0].unused_since.map(Timestamp::as_millisecond);
    let first = bench.clock.millis();
    pass(&bench, 1, &secrets, Some(true)).await;
    assert_eq!(since(&evidence(&bench, run(1)).await), Some(first));
    bench.clock.advance(HOUR);
    pass(&bench, 2, &secrets, Some(true)).await;
    let told = evidence(&bench, run(2)).await;
    assert_eq!(since(&told), Some(first));
    assert_eq!(told[0].first_seen.as_millisecond(), first);

    // A pass that may have missed something changes nothing about it.
    pass(&bench, 3, &secrets, None).await;
    assert_eq!(since(&evidence(&bench, run(3)).await), Some(first));
    // One that found it in use does.
    pass(&bench, 4, &secrets, Some(false)).await;
    assert_eq!(since(&evidence(&bench, run(4)).await), None);
    let second = bench.clock.millis();
    pass(&bench, 5, &secrets, Some(true)).await;
    assert_eq!(since(&evidence(&bench, run(5)).await), Some(second));

    // Whoever wrote it since may use it.
    let mut written = secrets[0].clone();
    written.secret.changed = Some(at(3_000));
    bench
        .store
        .see(&target(), run(6), &[written])
        .await
        .unwrap();
    assert_eq!(since(&evidence(&bench, run(6)).await), None);
}

pub(crate) async fn unused_begins_anew_where_a_pass_says_so(bench: Bench) {
    let secrets = [seen("a", "a_v1")];
    let told = async |n| {
        let told = evidence(&bench, run(n)).await.remove(0);
        let millis = Timestamp::as_millisecond;
        (told.unused_since.map(millis), millis(told.last_judged))
    };
    let first = bench.clock.millis();
    bench.store.see(&target(), run(1), &secrets).await.unwrap();
    assert_eq!(told(1).await, (None, first));
    bench.clock.advance(HOUR);
    let second = bench.clock.millis();
    pass(&bench, 2, &secrets, Some(true)).await;
    assert_eq!(told(2).await, (Some(second), second));
    bench.clock.advance(HOUR);
    // Neither a listing nor a pass that may have missed something looked at everything.
    pass(&bench, 3, &secrets, None).await;
    assert_eq!(told(3).await, (Some(second), second));
    let fourth = bench.clock.millis();
    let mut anew = judgement("a_v1", Standing::Orphaned, Some(true));
    anew.anew = true;
    for standing in [Standing::Orphaned, Standing::Ahead] {
        anew.standing = standing;
        let (begun, judgements) = (at(fourth), [anew.clone()]);
        let judged = bench.store.judge(&target(), begun, &judgements).await;
        judged.unwrap();
        assert_eq!(told(3).await, (Some(fourth), fourth));
    }
}

pub(crate) async fn what_is_not_listed_any_more_begins_anew(bench: Bench) {
    let both = [seen("a", "a_v1"), seen("b", "b_v1")];
    pass(&bench, 1, &both, Some(true)).await;
    bench
        .store
        .see(&other(), run(1), &both)
        .await
        .expect("another platform's sightings are its own");
    bench.clock.advance(HOUR);
    pass(&bench, 2, &both[..1], Some(true)).await;
    assert_eq!(evidence(&bench, run(2)).await.len(), 1);
    let others = bench.store.evidence(&other(), run(1), None, 10).await;
    assert_eq!(others.unwrap().len(), 2);

    bench.clock.advance(HOUR);
    pass(&bench, 3, &both, Some(true)).await;
    let told = evidence(&bench, run(3)).await;
    assert!(told[0].first_seen < told[1].first_seen);
    assert!(told[0].unused_since < told[1].unused_since);
}

pub(crate) async fn mentions_are_added_up_by_base(bench: Bench) {
    let store = &bench.store;
    let listed = [
        seen("a", "a_v1"),
        seen("a", "a_v2"),
        seen("b", "b_v1"),
        seen("c", "c"),
        seen("d", "d_v1"),
    ];
    store.begin_pass(&target()).await.unwrap();
    store.see(&target(), run(1), &listed).await.unwrap();
    let mut removed = mention("a", "a_v2");
    removed.mention.tombstone = true;
    let mut index = mention("b", "b_v1");
    index.mention.kind = MentionKind::Index;
    index.mention.keeps = false;
    let mut external = mention("c", "c");
    external.mention.external = true;
    let mut prose = mention("d", "d_v1");
    prose.mention.kind = MentionKind::Other;
    let mut elsewhere = index.clone();
    elsewhere.mention.storage = Uuid::from_u128(77);
    let mentions = [
        mention("a", "a_v2"),
        mention("a", "a_v2"),
        removed,
        index,
        elsewhere,
        external,
        prose,
        mention("z", "z_v1"),
    ];
    // In batches, as a scan hands them over.
    for batch in mentions.chunks(4) {
        store.stage_mentions(&target(), batch).await.unwrap();
    }
    let owners = [
        Owner {
            id: owner(),
            title: Some("Analytics".into()),
            tombstone: false,
        },
        Owner {
            id: Uuid::nil(),
            title: None,
            tombstone: true,
        },
    ];
    store.stage_owners(&target(), &owners).await.unwrap();
    store.stage_owners(&target(), &owners[..1]).await.unwrap();

    let told = evidence(&bench, run(1)).await;
    assert!(told.iter().all(|it| it.owner_known));
    for of_a in &told[..2] {
        let [named] = of_a.mentions.as_slice() else {
            panic!("{of_a:?}")
        };
        assert_eq!((named.name.as_str(), named.external), ("a_v2", false));
        assert_eq!((named.kept, named.kept_by_removed), (2, 1));
        assert_eq!(named.referred, 2);
        assert!(named.known);
    }
    assert_eq!((told[2].mentions[0].kept, told[2].mentions.len()), (0, 1));
    assert!(
        !told[2].mentions[0].known,
        "an index lists what others made"
    );
    assert!(told[3].mentions[0].external);
    let referred = [&told[2], &told[3], &told[4]].map(|it| it.mentions[0].referred);
    assert_eq!(referred, [0, 1, 0], "an index and prose refer to nothing");
    assert!(!told[3].mentions[0].known, "its user made it");
    assert!(!told[4].mentions[0].known, "anybody may write so");
    let history = |at: usize| told[at].mentions[0].history.clone();
    let place = &mentions[0].mention.column;
    assert_eq!(
        history(4),
        std::slice::from_ref(place),
        "nothing else keeps it"
    );
    assert!(history(0).is_empty() && history(2).is_empty() && history(3).is_empty());

    let places = store.mentions_of(&target(), "a", "a_v2", 2).await.unwrap();
    assert_eq!(
        places,
        [mentions[0].mention.clone(), mentions[1].mention.clone()]
    );

    let mut stored = store.storages(&target(), &["a", "b", "x"]).await.unwrap();
    stored.sort_by(|left, right| (&left.name, left.storage).cmp(&(&right.name, right.storage)));
    let stored = stored.iter().map(|it| {
        let known = (it.keeps, it.indexed);
        (it.base.as_str(), it.name.as_str(), it.storage, known)
    });
    let (default, own) = (Uuid::nil(), Uuid::from_u128(77));
    assert_eq!(
        stored.collect::<Vec<_>>(),
        [
            ("a", "a_v2", default, (true, false)),
            ("b", "b_v1", default, (false, true)),
            ("b", "b_v1", own, (false, true)),
        ]
    );

    // The next pass starts from nothing; another platform's stays.
    store.stage_mentions(&other(), &mentions).await.unwrap();
    store.begin_pass(&target()).await.unwrap();
    let told = evidence(&bench, run(1)).await;
    assert!(
        told.iter()
            .all(|it| !it.owner_known && it.mentions.is_empty())
    );
    let others = store.mentions_of(&other(), "a", "a_v2", 9).await.unwrap();
    assert_eq!(others.len(), 3);
}

pub(crate) async fn what_is_mentioned_and_not_listed(bench: Bench) {
    let store = &bench.store;
    store.begin_pass(&target()).await.unwrap();
    // The name itself, or the base of a name: both are there to be read.
    let listed = [seen("a", "a_v1"), seen("b", "b")];
    store.see(&target(), run(1), &listed).await.unwrap();
    // Listed by an earlier pass only.
    store
        .see(&target(), run(9), &[seen("c", "c_v1")])
        .await
        .unwrap();
    let with = |name: &str, change: fn(&mut Mention)| {
        let mut seen = mention(&name[..1], name);
        change(&mut seen.mention);
        seen
    };
    let mentions = [
        with("a_v1", |_| {}),
        with("b_v3", |_| {}),
        with("c_v1", |_| {}),
        with("c_v1", |it| it.kind = MentionKind::Index),
        with("d_v1", |it| {
            it.kind = MentionKind::Index;
            it.keeps = false;
        }),
        with("e_v1", |it| it.tombstone = true),
        with("f_v1", |it| it.storage = Uuid::from_u128(5)),
        with("g_v1", |it| it.kind = MentionKind::Other),
        with("h_v1", |it| it.kind = MentionKind::Workspace),
        with("h_v2", |it| it.kind = MentionKind::Workspace),
        with("i", |it| it.external = true),
    ];
    store.stage_mentions(&target(), &mentions).await.unwrap();
    let mut told = Vec::new();
    let mut after: Option<UnlistedCursor> = None;
    loop {
        let page = store
            .unlisted(&target(), run(1), Uuid::nil(), after.as_ref(), 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor.clone());
        assert!(page.iter().all(|it| it.external == (it.name() == "i")));
        told.extend(page.iter().map(|it| (it.name().to_owned(), it.kept)));
    }
    let expected = [("c_v1", 1), ("d_v1", 0), ("h_v1", 1), ("h_v2", 1), ("i", 1)];
    let expected = expected.map(|(name, kept)| (name.to_owned(), kept));
    assert_eq!(told, expected);
    let elsewhere = store
        .unlisted(&target(), run(1), Uuid::from_u128(5), None, 9)
        .await
        .unwrap();
    assert_eq!(elsewhere.len(), 1);
    // Of the base of which a name is listed, and the name itself is not.
    let bare = store
        .listed_without_version(&target(), run(1), Uuid::nil(), None, 9)
        .await
        .unwrap();
    let told: Vec<_> = bare.iter().map(|it| (it.name(), it.kept)).collect();
    assert_eq!(told, [("b_v3", 1)]);
    let more = [
        with("b_v3", |it| it.kind = MentionKind::Index),
        with("b_v4", |it| it.kind = MentionKind::Workspace),
        with("b_v5", |it| it.kind = MentionKind::Other),
        with("b_v6", |it| it.tombstone = true),
        with("b_v7", |it| it.storage = Uuid::from_u128(5)),
        with("b", |_| {}),
    ];
    store.stage_mentions(&target(), &more).await.unwrap();
    let mut told = Vec::new();
    let mut after: Option<UnlistedCursor> = None;
    while let Some(one) = store
        .listed_without_version(&target(), run(1), Uuid::nil(), after.as_ref(), 1)
        .await
        .unwrap()
        .pop()
    {
        told.push((one.name().to_owned(), one.kept));
        after = Some(one.cursor);
    }
    let expected = [("b_v3", 1), ("b_v4", 1)].map(|(name, kept)| (name.to_owned(), kept));
    assert_eq!(told, expected);
}

pub(crate) async fn owners_with_most_leaked_secrets_come_first(bench: Bench) {
    let store = &bench.store;
    let begun = store.begin_pass(&target()).await.unwrap();
    let of = |owner: Option<u128>, name: &str| SeenSecret {
        owner: owner.map(Uuid::from_u128),
        ..seen(name, name)
    };
    let listed = [
        of(Some(1), "a"),
        of(Some(1), "b"),
        of(Some(1), "c"),
        of(Some(2), "d"),
        of(None, "e"),
    ];
    store.see(&target(), run(1), &listed).await.unwrap();
    let judgements = [
        judgement("a", Standing::InUse, Some(false)),
        judgement("b", Standing::InUse, Some(false)),
        judgement("c", Standing::Ahead, Some(true)),
        judgement("d", Standing::Ephemeral, Some(true)),
        judgement("e", Standing::Unrelated, Some(false)),
    ];
    store.judge(&target(), begun, &judgements).await.unwrap();
    let named = Owner {
        id: Uuid::from_u128(1),
        title: Some("Analytics".into()),
        tombstone: true,
    };
    store.stage_owners(&target(), &[named]).await.unwrap();

    let told = store.tally_by_owner(&target(), run(1), 10).await.unwrap();
    let owners: Vec<Option<Uuid>> = told.iter().map(|it| it.owner).collect();
    let expected = [Some(2), Some(1), None].map(|it| it.map(Uuid::from_u128));
    assert_eq!(owners, expected);
    assert_eq!((told[0].leaked(), told[0].total()), (1, 1));
    assert_eq!((told[0].title.as_deref(), told[0].removed), (None, None));
    assert_eq!(told[1].title.as_deref(), Some("Analytics"));
    assert_eq!(told[1].removed, Some(true));
    assert_eq!(told[1].standings[&Standing::InUse], 2);
    assert_eq!((told[1].leaked(), told[1].total()), (0, 3));
    let first = store.tally_by_owner(&target(), run(1), 1).await.unwrap();
    assert_eq!(first, told[..1]);

    let nobody = [judgement("nobody", Standing::InUse, None)];
    store.judge(&target(), begun, &nobody).await.unwrap_err();
}

pub(crate) async fn defects_are_counted_and_told(bench: Bench) {
    let store = &bench.store;
    store.begin_pass(&target()).await.unwrap();
    let defect = |kind, n: u128, pointer: Option<&str>| Defect {
        kind,
        column: "public.actor.configuration".into(),
        row: Some(Uuid::from_u128(n)),
        title: None,
        workspace: Some(owner()),
        tombstone: n == 2,
        pointer: pointer.map(str::to_owned),
        detail: "say what to do".into(),
    };
    let found = [
        defect(DefectKind::ClearText, 1, Some("/password")),
        defect(DefectKind::Unjudged, 2, None),
        defect(DefectKind::ClearText, 3, Some("/token")),
    ];
    store.stage_defects(&target(), &found[..2]).await.unwrap();
    store.stage_defects(&target(), &found[2..]).await.unwrap();
    let counts = store.count_defects(&target()).await.unwrap();
    let expected = [(DefectKind::ClearText, 2), (DefectKind::Unjudged, 1)];
    assert_eq!(counts, expected);
    let told = store
        .defects(&target(), DefectKind::ClearText, 10)
        .await
        .unwrap();
    assert_eq!(told, [found[0].clone(), found[2].clone()]);
    let first = store.defects(&target(), DefectKind::ClearText, 1).await;
    assert_eq!(first.unwrap().len(), 1);
    store.begin_pass(&target()).await.unwrap();
    assert!(store.count_defects(&target()).await.unwrap().is_empty());
}

/// More than one statement takes, in every direction.
pub(crate) async fn thousands_at_once(bench: Bench) {
    let store = &bench.store;
    let begun = store.begin_pass(&target()).await.unwrap();
    let names: Vec<String> = (0..1_203).map(|at| format!("base-{at:05}_v1")).collect();
    let base = |name: &String| name[..10].to_owned();
    let listed: Vec<SeenSecret> = names.iter().map(|it| seen(&base(it), it)).collect();
    store.see(&target(), run(1), &listed).await.unwrap();
    let mentions: Vec<SeenMention> = names.iter().map(|it| mention(&base(it), it)).collect();
    store.stage_mentions(&target(), &mentions).await.unwrap();
    let told = store
        .evidence(&target(), run(1), None, 5_000)
        .await
        .unwrap();
    assert_eq!(told.len(), names.len());
    assert!(told.iter().all(|it| it.mentions.len() == 1));
    let judgements: Vec<Judgement> = names
        .iter()
        .map(|it| judgement(it, Standing::InUse, Some(false)))
        .collect();
    store.judge(&target(), begun, &judgements).await.unwrap();
}
