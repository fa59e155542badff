//! What passes with the server's own time, held against real seconds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cloakroom_backends_vault::VaultBackend;
use cloakroom_core::{
    Clock as _, DeleteMode, Deletion, ErrorKind, Purge as _, PutOutcome, Result,
    SecretBackend as _, SecretState, SystemClock, Timestamp,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::{Place, again, backend, text};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const WINDOW: DeleteMode = DeleteMode::Recoverable(SECOND);

/// Asks until an answer is right; fails when the server's time must have come long since.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let within = Duration::from_secs(30);
    tokio::time::timeout(within, asked).await.unwrap()
}

pub(crate) async fn what_expired_is_hidden_and_can_be_deleted(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let mut request = text("value");
    request.native_expiry = Some(SECOND);
    let coordinate = request.mark.coordinate.clone();
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let error = until(async || backend.get(&coordinate).await.err()).await;
    assert_eq!(error.kind(), ErrorKind::ScheduledForDeletion, "{error}");
    let described = backend.describe(&coordinate).await?;
    let endless = SecretState::ScheduledForDeletion { due: None };
    assert_eq!((described.state, described.native_expiry), (endless, None));
    assert_eq!(backend.list(None).await?.secrets.len(), 1);

    // Brought back and kept: what a document turned out to refer to.
    backend.lift_expiry(&coordinate).await?;
    backend.restore(&coordinate).await?;
    assert_eq!(backend.describe(&coordinate).await?.native_expiry, None);
    assert!(backend.get(&coordinate).await?.value == request.value);

    let deletion = backend.delete(&coordinate, DeleteMode::Final, None).await?;
    assert_eq!(deletion, Deletion::Deleted);
    assert!(backend.list(None).await?.secrets.is_empty());
    Ok(())
}

pub(crate) async fn asking_removes_nothing_whose_window_ended(place: &Place) -> Result<()> {
    for extensions in [true, false] {
        let backend = hasty(place, extensions).await;
        let requests = [text("a"), text("b"), text("c")];
        for request in &requests {
            backend.put(request).await?;
            let name = &request.mark.coordinate;
            backend.delete(name, WINDOW, None).await?;
        }
        the_server_is_past_their_windows(&backend).await;

        for request in &requests {
            let name = &request.mark.coordinate;
            let state = backend.describe(name).await?.state;
            assert!(has_end(state), "{state:?}");
            let error = backend.get(name).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ScheduledForDeletion, "{error}");
            let error = backend.put(request).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ScheduledForDeletion, "{error}");
        }
        for _ in 0..2 {
            let listed = backend.list(None).await?.secrets;
            assert_eq!(listed.len(), 3);
            assert!(listed.iter().all(|it| has_end(it.state)), "{listed:?}");
        }
        // What is handed to deletion once more keeps its whole window from then on.
        let again = &requests[0].mark.coordinate;
        let mode = DeleteMode::Recoverable(HOUR);
        let deletion = backend.delete(again, mode, None).await?;
        assert_eq!(deletion, Deletion::AlreadyGone);
        let purged = backend.purge(&requests[0].mark, SECOND, Timestamp::MAX);
        assert!(!purged.await?, "its window has begun anew");
        for request in &requests {
            let name = &request.mark.coordinate;
            backend.restore(name).await?;
            assert!(backend.get(name).await?.value == request.value);
            backend.delete(name, DeleteMode::Final, None).await?;
        }
    }
    Ok(())
}

pub(crate) async fn a_window_is_ended_by_a_purge_and_by_both_clocks(place: &Place) -> Result<()> {
    for extensions in [true, false] {
        let backend = hasty(place, extensions).await;
        let (request, live) = (text("waits"), text("stays"));
        for request in [&request, &live] {
            backend.put(request).await?;
        }
        let name = &request.mark.coordinate;
        let deletion = backend.delete(name, WINDOW, None).await?;
        let Deletion::Scheduled { due: Some(due) } = deletion else {
            panic!("{deletion:?}")
        };
        the_server_is_past_their_windows(&backend).await;

        let other = again(name, text("").mark.store, "waits").mark;
        let patient = place.backend(|_| ()).await;
        let refused = [
            backend.purge(&request.mark, SECOND, due - SECOND).await?,
            backend.purge(&request.mark, HOUR, Timestamp::MAX).await?,
            backend.purge(&other, SECOND, Timestamp::MAX).await?,
            backend.purge(&live.mark, SECOND, Timestamp::MAX).await?,
            patient.purge(&request.mark, SECOND, Timestamp::MAX).await?,
        ];
        assert_eq!(refused, [false; 5]);
        assert_eq!(backend.list(None).await?.secrets.len(), 2);

        assert!(backend.purge(&request.mark, SECOND, Timestamp::MAX).await?);
        assert!(backend.describe(name).await.unwrap_err().is_missing());
        assert!(backend.restore(name).await.unwrap_err().is_missing());
        let again = backend.purge(&request.mark, SECOND, Timestamp::MAX).await?;
        assert!(!again, "it went before");
        let path = format!("secret/metadata/{}", place.prefix);
        let keys = place.server.done("LIST", &path, "").await;
        assert!(!keys.contains(name.as_str()), "{keys}");
        assert!(backend.get(&live.mark.coordinate).await?.value == live.value);
        backend
            .delete(&live.mark.coordinate, DeleteMode::Final, None)
            .await?;
    }
    Ok(())
}

/// Whoever sets the time of an answer wrong, ahead or behind, ends no window.
pub(crate) async fn a_wrong_time_ends_no_window(place: &Place) -> Result<()> {
    let straight = hasty(place, true).await;
    let now = || SystemClock.now();
    let wrong = async |time: Timestamp| {
        let relay = Relay::start(&place.server.url, time).await;
        let address = relay.url();
        let backend = place.backend(|it| {
            it.purge_delay = Duration::ZERO;
            it.address = address;
        });
        (backend.await, relay)
    };
    let week = 7 * DAY;
    let (ahead, _relay) = wrong(now() + 8 * DAY).await;
    let (behind, _other) = wrong(now() - 8 * DAY).await;
    for deleted_through in [&straight, &behind] {
        let request = text("value");
        let name = &request.mark.coordinate;
        straight.put(&request).await?;
        let mode = DeleteMode::Recoverable(week);
        deleted_through.delete(name, mode, None).await?;
        let refused = [
            // The store's clock is right, and the manager's answer is not.
            ahead.purge(&request.mark, week, now()).await?,
            // The other way round.
            straight.purge(&request.mark, week, now() + 8 * DAY).await?,
            straight.purge(&request.mark, week, now()).await?,
        ];
        assert_eq!(refused, [false; 3]);
        assert_eq!(ahead.list(None).await?.secrets.len(), 1);
        ahead.restore(name).await?;
        assert!(straight.get(name).await?.value == request.value);
        straight.delete(name, DeleteMode::Final, None).await?;
    }
    Ok(())
}

/// Without the server's time nothing would ever go, and nobody would know: it is told.
pub(crate) async fn without_a_time_a_purge_says_so(place: &Place) -> Result<()> {
    let straight = hasty(place, true).await;
    let relay = Relay::with_date(&place.server.url, "the proxy gives no time away!").await;
    let address = relay.url();
    let timeless = place.backend(|it| {
        it.purge_delay = Duration::ZERO;
        it.address = address;
    });
    let timeless = timeless.await;
    for by_hand in [false, true] {
        let request = text("value");
        let name = &request.mark.coordinate;
        straight.put(&request).await?;
        if by_hand {
            let versions = r#"{"versions":[1]}"#;
            place.as_root("POST", "delete", name, versions).await;
        } else {
            straight.delete(name, WINDOW, None).await?;
            let now = SystemClock.now();
            assert!(!timeless.purge(&request.mark, HOUR, now).await?, "not yet");
        }
        let refused = timeless.purge(&request.mark, SECOND, Timestamp::MAX).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
        assert!(refused.to_string().contains("Date"), "{refused}");
        straight.restore(name).await?;
        assert!(straight.get(name).await?.value == request.value);
        straight.delete(name, DeleteMode::Final, None).await?;
    }
    Ok(())
}

/// What somebody deleted by hand has no end: it is given one, and goes when that has passed.
pub(crate) async fn what_waits_without_an_end_is_given_one(place: &Place) -> Result<()> {
    let backend = hasty(place, true).await;
    let request = text("value");
    let name = &request.mark.coordinate;
    backend.put(&request).await?;
    let versions = r#"{"versions":[1]}"#;
    place.as_root("POST", "delete", name, versions).await;
    let purge = async || {
        backend
            .purge(&request.mark, SECOND, Timestamp::MAX)
            .await
            .unwrap()
    };
    assert!(!purge().await);
    let state = backend.describe(name).await?.state;
    assert!(has_end(state), "{state:?}");
    until(async || purge().await.then_some(())).await;
    assert!(backend.describe(name).await.unwrap_err().is_missing());
    Ok(())
}

async fn hasty(place: &Place, extensions: bool) -> VaultBackend {
    let backend = place.backend(|it| {
        it.purge_delay = Duration::ZERO;
        it.openbao_extensions = extensions;
    });
    backend.await
}

/// Waits until what was deleted before for a second is over by the server's clock.
async fn the_server_is_past_their_windows(backend: &VaultBackend) {
    let last = text("the last one");
    backend.put(&last).await.unwrap();
    let name = &last.mark.coordinate;
    backend.delete(name, WINDOW, None).await.unwrap();
    let purge = async || {
        let purged = backend.purge(&last.mark, SECOND, Timestamp::MAX).await;
        purged.unwrap().then_some(())
    };
    until(purge).await;
}

fn has_end(state: SecretState) -> bool {
    matches!(state, SecretState::ScheduledForDeletion { due: Some(_) })
}

/// A way to a server on which every answer bears one and the same time.
struct Relay {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Relay {
    async fn start(to: &str, time: Timestamp) -> Self {
        let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        Self::with_date(to, &date).await
    }

    /// `date` takes as many bytes as any date does.
    async fn with_date(to: &str, date: &str) -> Self {
        let to = to.strip_prefix("http://").unwrap().to_owned();
        let date = format!("\r\nDate: {date}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&to).await.unwrap();
                tokio::spawn(relay(client, server, date.clone()));
            }
        });
        Self { address, serving }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The server writes the head of an answer at once.
async fn relay(client: TcpStream, server: TcpStream, date: String) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
        let held = &mut buffer[..read];
        let header = b"\r\nDate: ";
        let mut at = 0;
        while let Some(found) = held[at..].windows(header.len()).position(|it| it == header) {
            at += found;
            let whole = at..at + date.len();
            assert!(held.len() >= whole.end, "a header in two parts");
            held[whole].copy_from_slice(date.as_bytes());
            at += date.len();
        }
        if to_client.write_all(held).await.is_err() {
            return;
        }
    }
}

pub(crate) async fn a_mount_that_expires_everything_is_refused(place: &Place) -> Result<()> {
    let mount = format!("fleeting-{}", place.prefix.split('/').nth(1).unwrap());
    place.server.mount(None, &mount).await;
    let config = r#"{"delete_version_after":"1h"}"#;
    let path = format!("{mount}/config");
    place.server.done("POST", &path, config).await;
    let mut settings = place.settings(place.root());
    settings.mount = mount;
    let backend = backend(settings);
    let mut request = text("value");
    let coordinate = request.mark.coordinate.clone();
    let error = backend.put(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(backend.list(None).await?.secrets.is_empty());

    request.native_expiry = Some(SECOND * 60);
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let error = backend.lift_expiry(&coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    // Nor does what comes back there stay, whether or not its key expires too.
    let named = backend.named().unwrap();
    for (is_named, key_expires) in [(false, false), (false, true), (true, false), (true, true)] {
        let stays = r#"{"delete_version_after":"0s"}"#;
        place.server.done("POST", &path, stays).await;
        let mut request = text("value");
        request.native_expiry = key_expires.then_some(SECOND * 60);
        let coordinate = &request.mark.coordinate;
        assert_eq!(backend.put(&request).await?, PutOutcome::Created);
        let mode = DeleteMode::Recoverable(SECOND * 60);
        backend.delete(coordinate, mode, None).await?;
        place.server.done("POST", &path, config).await;
        // However often it is tried.
        for _ in 0..2 {
            let restored = if is_named {
                named.restore_named(coordinate.as_str()).await
            } else {
                backend.restore(coordinate).await
            };
            let error = restored.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }
    Ok(())
}

/// Whoever brings a secret back wants it to stay; the engine would count its expiry anew.
pub(crate) async fn what_is_brought_back_does_not_expire(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let mode = DeleteMode::Recoverable(SECOND * 60);
    let named = backend.named().unwrap();
    // A try before this one may have ended when it was back and its key expired yet.
    for (is_named, is_back) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut request = text("value");
        request.native_expiry = Some(SECOND * 60);
        let coordinate = &request.mark.coordinate;
        assert_eq!(backend.put(&request).await?, PutOutcome::Created);
        backend.delete(coordinate, mode, None).await?;
        if is_back {
            place.undelete(coordinate.as_str()).await;
            assert!(backend.describe(coordinate).await?.native_expiry.is_some());
        }
        if is_named {
            named.restore_named(coordinate.as_str()).await?;
        } else {
            backend.restore(coordinate).await?;
        }
        let described = backend.describe(coordinate).await?;
        assert_eq!(
            (described.state, described.native_expiry),
            (SecretState::Enabled, None)
        );
    }
    Ok(())
}
