//! Laws of writers that meet on one name: every order in which a vault can answer two of them, many
//! in which it can answer three, and every request after which one of them can die.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PutOutcome, SecretBackend as _, SecretState,
};
use cloakroom_testkit::SeededRandomness;
use futures_util::future::try_join_all;
use libtest_mimic::{Failed, Trial};

use crate::double::Ids;
use crate::meeting::{Death, Met, Orders, Scene, request};
use crate::scene::{Verdict, trials};

/// Requests of a put that meets nobody: look, claim, look again, enable, look a last time.
pub(crate) const STEPS: usize = 5;

/// Requests of a put that meets one other, but for its waiting: one more puts a copy on top.
const MOST_STEPS: usize = STEPS + 1;

/// Whose claim is the first of two: the earlier one's, or the later one's.
const IDS: [Ids; 2] = [Ids::Rising(1 << 64), Ids::Falling(1 << 64)];

/// Long enough that no writer gives up on one that is alive.
const LONG: Duration = Duration::from_mins(1);

/// Enough for three looks at one that is dead.
const SHORT: Duration = Duration::from_millis(60);

const VALUES: [&str; 2] = ["the first writer's", "the second writer's"];

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        "races":
        every_order_gives_the_name_to_one,
        three_writers_leave_one_value,
        a_dead_writer_never_shows_its_value,
        writers_of_the_same_bytes_agree,
        a_put_that_broke_off_is_known_and_taken_up,
    ]
}

/// Of two writers with different bytes one is told that it has the name and the other that it has
/// not; whoever asks the vault then gets the winner's bytes, and can get no others.
async fn every_order_gives_the_name_to_one() -> Verdict {
    try_join_all(IDS.map(|ids| async move {
        let scene = Scene::new(ids, LONG).await;
        let mut orders = Orders::default();
        loop {
            let met = scene.meet(&VALUES, |of| orders.choose(of), None).await;
            ensure_one_value(&met, &VALUES)?;
            if !orders.advance() {
                return Ok::<(), Failed>(());
            }
        }
    }))
    .await?;
    Ok(())
}

/// Of three writers, be it with three values or with two, those of one value are told that they have
/// the name, and that value alone can be read.
async fn three_writers_leave_one_value() -> Verdict {
    let few = [VALUES[0], VALUES[1], VALUES[0]];
    let many = [VALUES[0], VALUES[1], "the third writer's"];
    try_join_all((0..4).map(|from: u64| async move {
        let scene = Scene::new(Ids::Random, LONG).await;
        for seed in (from..120).step_by(4) {
            let values = if seed % 8 < 4 { &few } else { &many };
            let random = SeededRandomness::new(seed).stream("order");
            let choose = |of: usize| usize::try_from(random.below(of as u64)).unwrap();
            let met = scene.meet(values, choose, None).await;
            ensure_one_value(&met, values)?;
        }
        Ok::<(), Failed>(())
    }))
    .await?;
    Ok(())
}

fn ensure_one_value(met: &Met, values: &[&str]) -> Verdict {
    let winners = met.winners();
    met.ensure(!winners.is_empty(), "nobody has the name")?;
    let value = values[winners[0]];
    let one = winners.iter().all(|at| values[*at] == value);
    met.ensure(one, "two values have the name")?;
    let refused = |at: &usize| met.outcomes[*at] == Some(Err(ErrorKind::Conflict));
    let told = (0..values.len()).all(|at| winners.contains(&at) || refused(&at));
    met.ensure(told, "a writer that lost was not told so")?;
    let given = met.current.as_deref() == Some(value);
    met.ensure(given, "the vault gives another value")?;
    met.ensure(met.got.as_deref() == Ok(value), "the backend gives another")?;
    let others = met.readable.iter().any(|it| it != value);
    met.ensure(!others, "a value that lost can be read")?;
    met.ensure(met.marked, "there is a version without a mark")
}

/// A writer that dies after any of its requests leaves the other's value as it is for our readers,
/// and never shows its own to anybody who was promised the other's. The other ends; whoever comes
/// later is refused or has the name; and a deletion clears it all.
async fn a_dead_writer_never_shows_its_value() -> Verdict {
    let deaths = (1..=MOST_STEPS).flat_map(|after| IDS.map(|ids| (after, ids)));
    try_join_all(deaths.map(|(after, ids)| async move {
        let scene = Scene::new(ids, SHORT).await;
        let death = Some(Death { writer: 1, after });
        let mut orders = Orders::default();
        loop {
            let met = scene.meet(&VALUES, |of| orders.choose(of), death).await;
            ensure_dead_is_harmless(&met)?;
            ensure_later_put_ends(&scene, &met).await?;
            if !orders.advance() {
                return Ok::<(), Failed>(());
            }
        }
    }))
    .await?;
    Ok(())
}

fn ensure_dead_is_harmless(met: &Met) -> Verdict {
    let first = met.outcomes[0];
    let told = matches!(first, Some(Ok(_) | Err(ErrorKind::Conflict)));
    met.ensure(told, "the living one was told something else")?;
    if met.won(0) {
        let is_there = met.got.as_deref() == Ok(VALUES[0]);
        met.ensure(is_there, "the winner's value cannot be read")?;
        let shown = met.current.as_deref().is_none_or(|it| it == VALUES[0]);
        met.ensure(shown, "the vault shows the dead writer's value")?;
        let enabled = met.state == Some(SecretState::Enabled);
        met.ensure(enabled, "the winner's secret is not described as enabled")?;
    } else {
        let dead_ones = [Ok(VALUES[1]), Err(ErrorKind::Missing)];
        let got = met.got.as_deref().map_err(|kind| *kind);
        met.ensure(dead_ones.contains(&got), "there is what nobody put")?;
    }
    met.ensure(met.marked, "there is a version without a mark")
}

async fn ensure_later_put_ends(scene: &Scene, met: &Met) -> Verdict {
    let (later, it) = (&scene.writers[2], &met.coordinate);
    let put = request(it, "a later writer's");
    let answer = later.put(&put).await.map_err(|error| error.kind());
    let ended = [Err(ErrorKind::Conflict), Ok(PutOutcome::Created)];
    met.ensure(ended.contains(&answer), "a later put does not end")?;
    met.ensure(answer.is_err() || !met.won(0), "a name is given twice")?;
    let deleted = later.delete(it, DeleteMode::Final, None).await?;
    met.ensure(deleted == Deletion::Deleted, "there is nothing to delete")?;
    let again = later.put(&put).await?;
    met.ensure(again == PutOutcome::Created, "the name is not free again")
}

/// Writers with the same bytes, two processes that repeat one put, both succeed.
async fn writers_of_the_same_bytes_agree() -> Verdict {
    let scene = Scene::new(Ids::Random, LONG).await;
    let same = [VALUES[0]; 2];
    let mut orders = Orders::default();
    loop {
        let met = scene.meet(&same, |of| orders.choose(of), None).await;
        met.ensure(met.winners().len() == 2, "one was refused its own bytes")?;
        ensure_one_value(&met, &same)?;
        if !orders.advance() {
            return Ok(());
        }
    }
}

/// Whichever request was the last one of a put that died, what is there bears the mark, is listed,
/// and the same put again succeeds.
async fn a_put_that_broke_off_is_known_and_taken_up() -> Verdict {
    for last in 0..=STEPS {
        let scene = Scene::new(Ids::Random, LONG).await;
        let (coordinate, name) = scene.coordinate(0);
        let writer = Arc::clone(&scene.writers[0]);
        let put = request(&coordinate, VALUES[0]);
        let mut tickets = scene.double.take_turns();
        let task = tokio::spawn({
            let put = put.clone();
            async move { writer.put(&put).await }
        });
        for _ in 0..last {
            let ticket = tickets.recv().await.unwrap();
            let _ = ticket.go.send(());
            let _ = ticket.acted.await;
        }
        task.abort();
        drop(tickets);
        scene.double.end_turns();

        let marked = scene.all_marked(&name);
        let listed = scene.writers[1].list(None).await?.secrets;
        let known = listed
            .iter()
            .filter(|it| it.mark.as_ref() == Some(&put.mark))
            .count();
        let there = scene.double.vault().names().len();
        if !marked || known != there {
            return Err(format!("after {last} requests: {there} there, {known} known").into());
        }
        // By another process, as after a restart.
        let again = scene.writers[1].put(&put).await?;
        let got = scene.writers[0].get(&coordinate).await?;
        let expected = [PutOutcome::Created, PutOutcome::AlreadyThere];
        if !expected.contains(&again) || got.value != put.value || got.mark != Some(put.mark) {
            return Err(format!("after {last} requests the put again gave {again:?}").into());
        }
    }
    Ok(())
}
