//! What an operation is about, and how the manager stands before and after it.

use std::sync::Arc;

use cloakroom_core::{Coordinate, DeleteMode, ErrorKind, SecretBackend, SecretState, SecretValue};

use super::{FaultSubject, Operation};
use crate::conformance::expiry::EXPIRY;
use crate::conformance::hand::{Hand, list_all, listed, value_of, window};
use crate::conformance::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};

/// The largest batch the laws read.
const MOST: usize = 20;

/// The secrets an operation is about.
#[derive(Clone)]
pub(super) struct Target {
    /// Put by `Hand`, or about to be.
    pub(super) secrets: Vec<(Coordinate, SecretValue)>,
    /// A name that nothing has.
    pub(super) nothing: Coordinate,
}

impl Target {
    /// The first secret; most operations have no other.
    pub(super) fn first(&self) -> Result<(&Coordinate, &SecretValue), Broken> {
        let first = self.secrets.first();
        first
            .map(|(coordinate, value)| (coordinate, value))
            .ok_or_else(|| Broken::new("the operation is about nothing"))
    }
}

/// A namespace as it is seen past the proxy, and one operation in it.
pub(super) struct Scene<'a> {
    pub(super) subject: &'a dyn FaultSubject,
    pub(super) direct: Arc<dyn SecretBackend>,
    pub(super) hand: Hand,
    pub(super) operation: Operation,
}

impl<'a> Scene<'a> {
    pub(super) fn new(subject: &'a dyn FaultSubject, operation: Operation) -> Self {
        Self {
            subject,
            direct: subject.backend(),
            hand: Hand::new(),
            operation,
        }
    }

    /// Sets everything up for one call of the operation.
    pub(super) async fn target(&self) -> Result<Target, Broken> {
        let Self { hand, direct, .. } = self;
        let count = match self.operation {
            Operation::GetMany => direct.capabilities().get_batch.min(MOST) + 2,
            Operation::List => 3,
            _ => 1,
        };
        let coordinates = hand.coordinates(count).into_iter();
        let secrets: Vec<_> = coordinates.map(|it| (it.clone(), value_of(&it))).collect();
        for (coordinate, value) in &secrets {
            let mut request = hand.request(coordinate, value);
            match self.operation {
                Operation::Put => continue,
                Operation::LiftExpiry => request.native_expiry = Some(EXPIRY),
                _ => {}
            }
            direct.put(&request).await?;
            if self.operation == Operation::Restore {
                direct.delete(coordinate, window(&**direct)?, None).await?;
            }
        }
        self.subject.settle().await;
        Ok(Target {
            secrets,
            nothing: hand.coordinate(),
        })
    }

    /// Breaks the law unless a failed call left behind what can be known and repaired; `untouched`
    /// says that the manager never saw it.
    pub(super) async fn ensure_known(&self, target: &Target, untouched: bool) -> Verdict {
        let (coordinate, value) = target.first()?;
        match self.operation {
            Operation::Put => self.ensure_put_is_known(coordinate, value, untouched).await,
            Operation::Delete | Operation::DeleteRecoverable => {
                match self.direct.get(coordinate).await {
                    Ok(_) => self.ensure_there(coordinate, value).await,
                    Err(error) if untouched => Err(error.into()),
                    answer => ensure_kind(
                        answer,
                        &[ErrorKind::Missing, ErrorKind::ScheduledForDeletion],
                        "get after a failed deletion",
                    ),
                }
            }
            Operation::Restore => {
                let state = self.direct.describe(coordinate).await?.state;
                let waits = matches!(state, SecretState::ScheduledForDeletion { .. });
                ensure(
                    waits || (state == SecretState::Enabled && !untouched),
                    || format!("after a failed restore the secret is {state:?}"),
                )
            }
            Operation::LiftExpiry => {
                let described = self.direct.describe(coordinate).await?;
                ensure(described.native_expiry.is_some() || !untouched, || {
                    "a failed call lifted the expiry".to_owned()
                })?;
                self.ensure_there(coordinate, value).await
            }
            _ => self.ensure_all_there(target).await,
        }
    }

    /// Breaks the law unless the operation has been done, once.
    pub(super) async fn ensure_done(&self, target: &Target) -> Verdict {
        let (coordinate, value) = target.first()?;
        match self.operation {
            Operation::Put | Operation::PutAgain => {
                self.ensure_there(coordinate, value).await?;
                self.subject.settle().await;
                let times = listed(&*self.direct, coordinate).await?.len();
                ensure_eq(&times, &1, "how often it is listed")?;
                self.ensure_no_leftovers().await
            }
            Operation::Delete => {
                let missing = &[ErrorKind::Missing];
                let answer = self.direct.get(coordinate).await;
                ensure_kind(answer, missing, "get after the deletion")?;
                self.subject.settle().await;
                let listed = listed(&*self.direct, coordinate).await?;
                ensure(listed.is_empty(), || "it is still listed".to_owned())?;
                self.ensure_no_leftovers().await
            }
            Operation::DeleteRecoverable => {
                let state = self.direct.describe(coordinate).await?.state;
                ensure(
                    matches!(state, SecretState::ScheduledForDeletion { .. }),
                    || format!("after the deletion the secret is {state:?}"),
                )?;
                self.direct.restore(coordinate).await?;
                self.ensure_there(coordinate, value).await
            }
            Operation::Restore => {
                let state = self.direct.describe(coordinate).await?.state;
                ensure_eq(&state, &SecretState::Enabled, "the state after the restore")?;
                self.ensure_there(coordinate, value).await
            }
            Operation::LiftExpiry => {
                let described = self.direct.describe(coordinate).await?;
                ensure_eq(&described.native_expiry, &None, "the expiry lifted")?;
                self.ensure_there(coordinate, value).await
            }
            _ => self.ensure_all_there(target).await,
        }
    }

    /// The mode of deletion that the operation is about.
    pub(super) fn mode(&self) -> Result<DeleteMode, Broken> {
        if self.operation == Operation::DeleteRecoverable {
            return Ok(window(&*self.direct)?);
        }
        Ok(DeleteMode::Final)
    }

    async fn ensure_put_is_known(
        &self,
        coordinate: &Coordinate,
        value: &SecretValue,
        untouched: bool,
    ) -> Verdict {
        let is_there = match self.direct.get(coordinate).await {
            Ok(_) => true,
            Err(error) if error.is_missing() => false,
            Err(error) => return Err(error.into()),
        };
        ensure(!(untouched && is_there), || {
            "a put that the manager never saw is there".to_owned()
        })?;
        if is_there {
            self.ensure_there(coordinate, value).await?;
        }
        self.subject.settle().await;
        let listed = listed(&*self.direct, coordinate).await?;
        ensure(
            listed.len() <= 1 && (listed.len() == 1 || !is_there),
            || format!("what a failed put left is listed {} times", listed.len()),
        )?;
        for secret in listed {
            let mark = Some(self.hand.mark(coordinate, value));
            ensure_eq(&secret.mark, &mark, "the mark of what a failed put left")?;
        }
        self.ensure_no_leftovers().await
    }

    /// Whatever is in the manager is in the listing, so that the sweep finds it.
    async fn ensure_no_leftovers(&self) -> Verdict {
        if let Some(count) = self.subject.count().await? {
            let listed = list_all(&*self.direct).await?.len();
            ensure_eq(
                &listed,
                &count,
                "of what the manager has, so much is listed",
            )?;
        }
        Ok(())
    }

    async fn ensure_all_there(&self, target: &Target) -> Verdict {
        let coordinates: Vec<_> = target.secrets.iter().map(|(it, _)| it.clone()).collect();
        // Together: this is looked at after every call.
        let read = self.direct.get_many(&coordinates).await;
        ensure_eq(&read.len(), &coordinates.len(), "how many were read")?;
        for ((coordinate, value), stored) in target.secrets.iter().zip(read) {
            self.hand.ensure_stored(&stored?, coordinate, value)?;
        }
        Ok(())
    }

    async fn ensure_there(&self, coordinate: &Coordinate, value: &SecretValue) -> Verdict {
        self.hand
            .ensure_there(&*self.direct, coordinate, value)
            .await
    }
}
