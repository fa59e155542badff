//! The token in use: made when first needed, renewed while it lives, made anew when it was refused.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{CredentialSource as _, SecretValue};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::{Answer, Call, Client};
use crate::failure::Failure;
use crate::login::{self, Grant};
use crate::settings::VaultAuth;

/// How soon a renewal or login that failed is tried again while the old token still lives.
const PAUSE: Duration = Duration::from_secs(10);

/// How old a token must be to be replaced on suspicion, where it may not be looked up.
const SUSPICION: Duration = Duration::from_mins(1);

/// A client that is logged in.
pub(crate) struct Sessions {
    client: Client,
    auth: VaultAuth,
    /// Whoever holds it logs in or renews, and all others wait for the outcome.
    current: Mutex<Option<Arc<Session>>>,
}

struct Session {
    token: SecretValue,
    born: Instant,
    /// How long it was to live when it was made; a renewal gives less near the end.
    full_life: Option<Duration>,
    ends: Option<Instant>,
    renewable: bool,
    /// When to renew it or to log in anew.
    due: Option<Instant>,
    /// Whether the token may look itself up.
    looks_up: bool,
}

impl Sessions {
    pub(crate) fn new(client: Client, auth: VaultAuth) -> Self {
        Self {
            client,
            auth,
            current: Mutex::new(None),
        }
    }

    /// Sends a request. Where the token itself turns out to be refused, it is sent once more under
    /// a new one.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let session = self.session().await?;
        let answer = self.client.send(call, Some(&session.token)).await?;
        if answer.status != 403 {
            return Ok(answer);
        }
        match self.replaced(&session).await? {
            Some(session) => self.client.send(call, Some(&session.token)).await,
            None => Ok(answer),
        }
    }

    async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut current = self.current.lock().await;
        let session = match &*current {
            Some(session) if !session.is_due() => return Ok(Arc::clone(session)),
            Some(session) => self.prolonged(session).await?,
            None => Session::new(login::log_in(&self.client, &self.auth).await?),
        };
        Ok(Arc::clone(current.insert(Arc::new(session))))
    }

    /// A session that goes on after its time to be renewed: the same token where the server gave it
    /// a good part of its life again, otherwise another.
    async fn prolonged(&self, session: &Session) -> Result<Session, Failure> {
        if session.renewable
            && let Ok(grant) = login::renew(&self.client, &session.token).await
            && grant
                .lives
                .zip(session.full_life)
                .is_none_or(|(now, full)| now * 2 >= full)
        {
            return Ok(Session {
                looks_up: session.looks_up,
                full_life: session.full_life,
                ..Session::new(grant)
            });
        }
        match login::log_in(&self.client, &self.auth).await {
            Ok(grant) => Ok(Session::new(grant)),
            Err(_) if !session.has_ended() => Ok(session.put_off()),
            Err(failure) => Err(failure),
        }
    }

    /// Another session where `refused` is of no use any more; `None` where its policies are what
    /// refused.
    async fn replaced(&self, refused: &Arc<Session>) -> Result<Option<Arc<Session>>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current
            && !Arc::ptr_eq(session, refused)
        {
            return Ok(Some(Arc::clone(session)));
        }
        if !self.is_suspect(refused).await {
            return Ok(None);
        }
        let mut session = Session::new(login::log_in(&self.client, &self.auth).await?);
        session.looks_up = login::is_valid(&self.client, &session.token).await == Some(true);
        Ok(Some(Arc::clone(current.insert(Arc::new(session)))))
    }

    /// Whether a refused token may be good for nothing at all, and another be had.
    async fn is_suspect(&self, refused: &Session) -> bool {
        match &self.auth {
            VaultAuth::Token { token } => token
                .read()
                .is_ok_and(|now| now.expose_text().map(str::trim) != refused.token.expose_text()),
            VaultAuth::AppRole { .. } | VaultAuth::Kubernetes { .. } if refused.looks_up => {
                login::is_valid(&self.client, &refused.token).await == Some(false)
            }
            VaultAuth::AppRole { .. } | VaultAuth::Kubernetes { .. } => {
                refused.born.elapsed() > SUSPICION
            }
        }
    }
}

impl Session {
    fn new(grant: Grant) -> Self {
        let born = Instant::now();
        Self {
            token: grant.token,
            born,
            full_life: grant.lives,
            ends: grant.lives.map(|lives| born + lives),
            renewable: grant.renewable,
            due: grant.lives.map(|lives| born + lives * 2 / 3),
            looks_up: true,
        }
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }

    fn has_ended(&self) -> bool {
        self.ends.is_some_and(|end| Instant::now() >= end)
    }

    fn put_off(&self) -> Self {
        Self {
            token: self.token.clone(),
            due: Some(Instant::now() + PAUSE),
            ..*self
        }
    }
}
