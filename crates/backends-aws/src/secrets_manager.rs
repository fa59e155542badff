//! Secrets Manager as a backend.

mod named;

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::backend::Operation;
use cloakroom_core::budget::RequestClass::{Delete, Describe, List, Read, Write};
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Recovery, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, ErrorKind, ListPage,
    Mark, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend, SecretState,
    StoredSecret,
};
use futures_util::future::join_all;

use crate::failure::Failure;
use crate::manager::{AT_ONCE, Place, check_size, compare};
use crate::mark_text::{STORE_TAG, of_tags};
use crate::request_token::request_token;
use crate::sdk::{Entry, NewSecret, Secrets, Shown};
use crate::settings::{AwsSettings, Service};

const DAY: Duration = Duration::from_hours(24);
const RECOVERY: Recovery = Recovery {
    shortest: Duration::from_hours(7 * 24),
    longest: Duration::from_hours(30 * 24),
};
/// Values that one BatchGetSecretValue reads.
const BATCH: usize = 20;
/// A batch of values: 100 a second where single ones are 10,000.
const BATCHED: Sent = Sent {
    class: Read,
    requests: 100,
    secrets: BATCH,
};
/// Names that one filter of a listing takes.
const NAMES: usize = 10;
/// What AWS answers to a request that does not fit the secret's state, whichever that is.
const AMBIGUOUS: &str = "InvalidRequestException";

/// Secrets of one account's Secrets Manager in one region whose names begin with the settings'
/// prefix.
///
/// Values have 1 to 65,536 bytes: text is kept as SecretString, anything else as SecretBinary,
/// both exactly. The mark is five tags. A deletion can be taken back for 7 to 30 days; a window in
/// between is rounded up to whole days. There is no native expiry and no precondition.
pub struct SecretsManagerBackend {
    place: Place,
    secrets: Secrets,
    capabilities: Capabilities,
}

impl SecretsManagerBackend {
    /// Whether settings can be right for Secrets Manager. Nothing is asked, and no file is read.
    ///
    /// # Errors
    /// `Invalid` for what AWS would refuse at every request.
    pub fn validate(settings: &AwsSettings) -> Result<()> {
        settings.validate(Service::SecretsManager)
    }

    /// What Secrets Manager can do, without a prefix.
    pub const CAPABILITIES: Capabilities = Capabilities {
        least_bytes: 1,
        most_bytes: 65_536,
        binary: true,
        longest_name: MAX_LENGTH,
        names: Service::SecretsManager.names(),
        name_prefix: Cow::Borrowed(""),
        put_batch: 1,
        get_batch: BATCH,
        describe_batch: 1,
        delete_batch: 1,
        native_expiry: NativeExpiry::Absent,
        recovery: Some(RECOVERY),
        final_deletion: true,
        listing_lag: Duration::from_mins(5),
        list_order: ListOrder::Unspecified,
        create_only: true,
        describe_without_reading: true,
        delete_precondition: false,
        rates: Rates {
            write: Some(50.0),
            read: Some(10_000.0),
            describe: Some(40_000.0),
            list: Some(50.0),
            delete: Some(50.0),
            together: &[],
        },
        // Marks are listed beside a batch of values, ten at a time.
        calls: Calls {
            put_named: &[Sent::one(Write), Sent::one(Read)],
            get: &[Sent::one(Read), Sent::one(Describe)],
            get_many: &[Sent::batched(List, 10), BATCHED],
            read_named: &[BATCHED],
            delete_finally: &[Sent::one(Delete), Sent::one(Describe)],
            ..Calls::ONE
        },
    };

    /// The backend called `id`. Nothing is asked of Secrets Manager yet, and of STS only where the
    /// settings do not tell the account.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be right; what STS answers where it is asked.
    pub async fn connect(id: BackendId, settings: AwsSettings) -> Result<Self> {
        let secrets = Secrets::new(settings.clone());
        let capabilities = Capabilities {
            name_prefix: settings.name_prefix.clone().into(),
            ..Self::CAPABILITIES
        };
        let place = Place::new(id, settings, Service::SecretsManager).await?;
        Ok(Self {
            place,
            secrets,
            capabilities,
        })
    }

    async fn try_put(&self, request: &PutRequest) -> Result<PutOutcome, Failure> {
        check_size(&request.value, Self::CAPABILITIES.most_bytes)?;
        if request.native_expiry.is_some() {
            return Err(unsupported("Secrets Manager has no expiry"));
        }
        let name = self.place.name(&request.mark.coordinate);
        let token = request_token(&request.mark);
        let new = NewSecret {
            name: &name,
            token: &token,
            value: &request.value,
            kms_key: self.place.settings.kms_key.as_deref(),
            tags: self.place.tags(&request.mark)?,
        };
        match self.secrets.create(&new).await {
            Ok(()) => Ok(PutOutcome::Created),
            Err(failure) if failure.kind() == ErrorKind::Conflict || failure.is(AMBIGUOUS) => {
                self.look_at_taken(request, &name).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// What has the name that a put found taken.
    async fn look_at_taken(&self, request: &PutRequest, name: &str) -> Result<PutOutcome, Failure> {
        let entry = match self.secrets.describe(name).await {
            // Forced deletions go on for a while after they were answered.
            Err(failure) if failure.is_missing() => {
                return Err(Failure::new(
                    ErrorKind::Unavailable,
                    "the name is not free yet; what had it is being deleted",
                ));
            }
            entry => entry?,
        };
        if entry.waits {
            return Err(Failure::waiting());
        }
        let mark = of_tags(&entry.tags, &request.mark.coordinate)?;
        if mark
            .as_ref()
            .is_none_or(|it| it.store != request.mark.store)
        {
            return compare(request, mark.as_ref(), || false);
        }
        let held = self.secrets.value(name).await.map_err(|failure| {
            match failure.kind() {
                // Taken and gone in the same moment: nothing is sure.
                ErrorKind::Missing => Failure::new(ErrorKind::Unavailable, "it went just now"),
                _ => failure,
            }
        })?;
        compare(request, mark.as_ref(), || held.value == request.value)
    }

    async fn try_get(&self, coordinate: &Coordinate) -> Result<StoredSecret, Failure> {
        let name = self.place.name(coordinate);
        let (value, entry) = tokio::join!(self.secrets.value(&name), self.secrets.describe(&name));
        match value {
            Ok(held) => Ok(StoredSecret {
                value: held.value,
                mark: of_tags(&entry?.tags, coordinate)?,
            }),
            Err(refusal) if refusal.is_of_action() => Err(decide(refusal, entry)),
            Err(failure) if failure.is(AMBIGUOUS) && entry?.waits => Err(Failure::waiting()),
            Err(failure) => Err(failure),
        }
    }

    /// One batch: the values in one request, their marks from listings of ten names each, since a
    /// batch of values has no tags. What the listing does not show yet is described.
    async fn get_batch(&self, batch: &[Coordinate]) -> Vec<Result<StoredSecret, Failure>> {
        let names: Vec<_> = batch.iter().map(|it| self.place.name(it)).collect();
        let mut asked = names.clone();
        asked.sort();
        asked.dedup();
        let values = match self.secrets.values(&asked).await {
            Ok(values) => values,
            Err(failure) => return batch.iter().map(|_| Err(failure.clone())).collect(),
        };
        let read = asked
            .into_iter()
            .filter(|it| matches!(values.get(it), Some(Ok(_))));
        let listed = self.entries(read.collect()).await;
        let answers = batch.iter().zip(&names).map(|(coordinate, name)| {
            let listed = listed.get(name);
            let value = values.get(name);
            async move {
                match value {
                    Some(Ok(held)) => {
                        let entry = match listed {
                            // The same secret, not one that had its name before.
                            Some(entry) if entry.arn == held.arn => entry.clone(),
                            _ => self.secrets.describe(name).await?,
                        };
                        Ok(StoredSecret {
                            value: held.value.clone(),
                            mark: of_tags(&entry.tags, coordinate)?,
                        })
                    }
                    Some(Err(failure)) if failure.is(AMBIGUOUS) => {
                        let waits = self.secrets.describe(name).await?.waits;
                        Err(if waits {
                            Failure::waiting()
                        } else {
                            failure.clone()
                        })
                    }
                    Some(Err(refusal)) if refusal.is_of_action() => {
                        Err(decide(refusal.clone(), self.secrets.describe(name).await))
                    }
                    Some(Err(failure)) => Err(failure.clone()),
                    None => Err(Failure::left_out()),
                }
            }
        });
        join_all(answers).await
    }

    /// What listings tell of these names. Only a help: what is not in it is asked for by itself.
    async fn entries(&self, names: Vec<String>) -> HashMap<String, Entry> {
        let mut entries = HashMap::new();
        for names in names.chunks(NAMES).filter(|names| names.len() > 1) {
            let shown = Shown {
                names: names.to_vec(),
                tag_key: None,
            };
            // One page: a name is the beginning of few others.
            if let Ok((page, _)) = self.secrets.list(&shown, None).await {
                let named = page.into_iter().map(|entry| (entry.name.clone(), entry));
                entries.extend(named);
            }
        }
        entries
    }

    async fn try_describe(&self, coordinate: &Coordinate) -> Result<Description, Failure> {
        let entry = self.secrets.describe(&self.place.name(coordinate)).await?;
        let mark = of_tags(&entry.tags, coordinate)?;
        Ok(description(coordinate.clone(), mark, &entry))
    }

    async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let prefix = &self.place.settings.name_prefix;
        let shown = Shown {
            names: (!prefix.is_empty())
                .then(|| prefix.clone())
                .into_iter()
                .collect(),
            tag_key: Some(STORE_TAG),
        };
        let token = page.map(|token| &*token.0);
        let (entries, next) = self.secrets.list(&shown, token).await?;
        let secrets = entries.iter().filter_map(|entry| {
            let coordinate = self.place.coordinate(&entry.name)?;
            let mark = match of_tags(&entry.tags, &coordinate) {
                Ok(mark) => Some(mark?),
                // A direct question says what of it cannot be read.
                Err(_) => None,
            };
            Some(description(coordinate, mark, entry))
        });
        Ok(ListPage {
            secrets: secrets.collect(),
            next: next.map(|token| PageToken(token.into())),
        })
    }

    async fn try_delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
    ) -> Result<Deletion, Failure> {
        let name = self.place.name(coordinate);
        match mode {
            DeleteMode::Recoverable(window) => self.schedule(&name, days(window)?).await,
            DeleteMode::Final => self.delete_for_good(&name).await,
        }
    }

    async fn schedule(&self, name: &str, days: i64) -> Result<Deletion, Failure> {
        match self.secrets.delete(name, Some(days)).await {
            Ok(due) => Ok(Deletion::Scheduled { due }),
            Err(failure) if failure.is_missing() => Ok(Deletion::AlreadyGone),
            Err(failure) if failure.is(AMBIGUOUS) => match self.secrets.describe(name).await {
                Ok(entry) if entry.waits => Ok(Deletion::AlreadyGone),
                Ok(_) => Err(failure),
                Err(gone) if gone.is_missing() => Ok(Deletion::AlreadyGone),
                Err(unknown) => Err(unknown),
            },
            Err(refusal) if refusal.is_of_action() => {
                match decide(refusal, self.secrets.describe(name).await) {
                    missing if missing.is_missing() => Ok(Deletion::AlreadyGone),
                    refusal => Err(refusal),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// A forced deletion of nothing is no error in AWS: only a look before tells it.
    async fn delete_for_good(&self, name: &str) -> Result<Deletion, Failure> {
        let waits = match self.secrets.describe(name).await {
            Err(failure) if failure.is_missing() => return Ok(Deletion::AlreadyGone),
            entry => entry?.waits,
        };
        match self.secrets.delete(name, None).await {
            Ok(_) => Ok(Deletion::Deleted),
            Err(failure) if failure.is_missing() => Ok(Deletion::AlreadyGone),
            Err(failure) if failure.is(AMBIGUOUS) && waits => Err(Failure::waiting()),
            Err(failure) => Err(failure),
        }
    }

    async fn restore_by_name(&self, name: &str) -> Result<(), Failure> {
        match self.secrets.restore(name).await {
            Err(failure) if failure.is(AMBIGUOUS) => match self.secrets.describe(name).await? {
                entry if entry.waits => Err(failure),
                _ => Ok(()),
            },
            Err(refusal) if refusal.is_of_action() => {
                Err(decide(refusal, self.secrets.describe(name).await))
            }
            done => done,
        }
    }
}

#[async_trait]
impl SecretBackend for SecretsManagerBackend {
    fn id(&self) -> &BackendId {
        &self.place.id
    }

    fn manager(&self) -> &str {
        &self.place.identity
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    fn permissions(&self, operation: Operation) -> &'static [&'static str] {
        match operation {
            // Of a name that is taken, what has it is compared.
            Operation::Put => &[
                "secretsmanager:CreateSecret",
                "secretsmanager:TagResource",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "kms:GenerateDataKey",
                "kms:Decrypt",
            ],
            Operation::Get => &[
                "secretsmanager:GetSecretValue",
                "secretsmanager:BatchGetSecretValue",
                "secretsmanager:DescribeSecret",
                "kms:Decrypt",
            ],
            Operation::Describe => &["secretsmanager:DescribeSecret"],
            Operation::List => &["secretsmanager:ListSecrets"],
            Operation::Delete => &["secretsmanager:DeleteSecret"],
            // A forced deletion of nothing is no error: what is there is looked for before.
            Operation::DeleteFinally => &[
                "secretsmanager:DescribeSecret",
                "secretsmanager:DeleteSecret",
            ],
            Operation::Restore => &[
                "secretsmanager:DescribeSecret",
                "secretsmanager:RestoreSecret",
            ],
            Operation::LiftExpiry => &[],
        }
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let outcome = self.try_put(request).await;
        outcome.map_err(|failure| self.place.error("put", &request.mark.coordinate, &failure))
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let stored = self.try_get(coordinate).await;
        stored.map_err(|failure| self.place.error("get", coordinate, &failure))
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(BATCH) {
            let read = match batch {
                [one] => vec![self.try_get(one).await],
                _ => self.get_batch(batch).await,
            };
            answers.extend(batch.iter().zip(read).map(|(coordinate, answer)| {
                answer.map_err(|failure| self.place.error("get", coordinate, &failure))
            }));
        }
        answers
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = self.try_describe(coordinate).await;
        described.map_err(|failure| self.place.error("describe", coordinate, &failure))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for some in coordinates.chunks(AT_ONCE) {
            answers.extend(join_all(some.iter().map(|it| self.describe(it))).await);
        }
        answers
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let listed = self.try_list(page).await;
        listed.map_err(|failure| failure.to_error("list", &self.place.id, None))
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deletion = match precondition {
            Some(_) => Err(unsupported("Secrets Manager takes no precondition")),
            None => self.try_delete(coordinate, mode).await,
        };
        deletion.map_err(|failure| self.place.error("delete", coordinate, &failure))
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let restored = self.restore_by_name(&self.place.name(coordinate)).await;
        restored.map_err(|failure| self.place.error("restore", coordinate, &failure))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let failure = unsupported("Secrets Manager has no expiry to lift");
        Err(self.place.error("lift the expiry of", coordinate, &failure))
    }
}

/// What a refusal means where the name was described: nothing has it, or it is refused indeed.
fn decide(refusal: Failure, described: Result<Entry, Failure>) -> Failure {
    match described {
        Err(missing) if missing.is_missing() => missing.after(refusal),
        _ => refusal,
    }
}

fn description(coordinate: Coordinate, mark: Option<Mark>, entry: &Entry) -> Description {
    Description {
        coordinate,
        mark,
        state: state_of(entry),
        native_expiry: None,
        created: entry.created,
        changed: entry.changed,
        accessed: entry.accessed,
        precondition: None,
    }
}

/// When a waiting secret goes is left out: the two pages that tell its date of deletion do not
/// agree on whether that is when it was asked for or when it is due.
fn state_of(entry: &Entry) -> SecretState {
    if entry.waits {
        SecretState::ScheduledForDeletion { due: None }
    } else {
        SecretState::Enabled
    }
}

/// Whole days that are no shorter than the window.
fn days(window: Duration) -> Result<i64, Failure> {
    if window > RECOVERY.longest {
        return Err(unsupported(
            "the recovery window is longer than the 30 days that Secrets Manager has",
        ));
    }
    let whole = window
        .max(RECOVERY.shortest)
        .as_nanos()
        .div_ceil(DAY.as_nanos());
    i64::try_from(whole).map_err(|_| unsupported("the recovery window is too long"))
}

fn unsupported(message: &'static str) -> Failure {
    Failure::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_rounded_up_to_whole_days() {
        for (window, whole) in [
            (Duration::from_secs(1), 7),
            (DAY * 7, 7),
            (DAY * 7 + Duration::from_nanos(1), 8),
            (DAY * 29 + Duration::from_secs(1), 30),
            (DAY * 30, 30),
        ] {
            assert_eq!(days(window).unwrap(), whole, "{window:?}");
        }
        let error = days(DAY * 30 + Duration::from_nanos(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
