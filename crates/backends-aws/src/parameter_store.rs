//! Parameter Store as a backend.

mod named;
mod refused;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::backend::Operation;
use cloakroom_core::budget::RequestClass::{Delete, Describe, List, Read, Write};
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Clock, Coordinate, DeleteMode, Deletion, Description, ErrorKind,
    ListPage, Mark, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend,
    SecretState, StoredSecret, Timestamp,
};
use futures_util::future::join_all;

use crate::failure::Failure;
use crate::manager::{AT_ONCE, Place, check_size, compare};
use crate::mark_text::{of_description, of_tags, to_description};
use crate::policy;
use crate::sdk::{Asked, NewParameter, Parameter, Parameters, Values};
use crate::settings::{AwsSettings, Service};

/// The largest value of a standard parameter, in bytes.
const STANDARD: usize = 4 * 1024;
/// The largest value of an advanced parameter, in bytes.
const ADVANCED: usize = 8 * 1024;
/// Values that one GetParameters reads, and parameters that one DeleteParameters deletes.
const BATCH: usize = 10;
/// Names that one filter of DescribeParameters takes.
const NAMES: usize = 50;
/// The number of a parameter's version where nothing had the name before.
const FIRST_VERSION: i64 = 1;
/// What tells a parameter of Cloakroom's to a filter, which needs a value to compare with.
const MANAGED: (&str, &str) = ("cloakroom:managed", "true");
/// Values and descriptions are asked for apart.
const CALLS: Calls = Calls {
    get: &[Sent::one(Read), Sent::one(Describe)],
    get_many: &[Sent::batched(Read, 10), Sent::batched(Describe, 50)],
    read_named: &[Sent::batched(Read, 10)],
    describe: &[Sent::batched(Describe, 50)],
    // That a search finds nothing does not say that it is missing; its tags do.
    describe_missing: &[Sent::one(Describe)],
    // Nor does it tell the tags.
    describe_named_each: &[Sent::one(Describe)],
    delete: &[Sent::batched(Delete, 10)],
    delete_finally: &[Sent::batched(Delete, 10)],
    lift_expiry: &[Sent::one(Read), Sent::one(Write), Sent::one(Describe)],
    ..Calls::ONE
};

/// Parameters (SecureString) of one account's Parameter Store in one region whose names begin with
/// the settings' prefix.
///
/// Values are text of 1 to 8,192 bytes, up to 4,096 of them in the standard tier. The mark is kept
/// twice, in the description, which listings show, and in tags, which policies can name. There is
/// no recovery and no precondition; an expiry makes a parameter an advanced one and deletes it.
pub struct ParameterStoreBackend {
    place: Place,
    parameters: Parameters,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
}

impl ParameterStoreBackend {
    /// Whether settings can be right for Parameter Store. Nothing is asked, and no file is read.
    ///
    /// # Errors
    /// `Invalid` for what AWS would refuse at every request.
    pub fn validate(settings: &AwsSettings) -> Result<()> {
        settings.validate(Service::ParameterStore)
    }

    /// What Parameter Store can do under `settings`: without advanced parameters values end at
    /// 4,096 bytes and there is no expiry.
    pub fn capabilities_of(settings: &AwsSettings) -> Capabilities {
        let (most_bytes, native_expiry) = if settings.advanced_parameters {
            (ADVANCED, NativeExpiry::Deletes)
        } else {
            (STANDARD, NativeExpiry::Absent)
        };
        Capabilities {
            least_bytes: 1,
            most_bytes,
            binary: false,
            longest_name: MAX_LENGTH,
            names: Service::ParameterStore.names(),
            name_prefix: settings.name_prefix.clone().into(),
            put_batch: 1,
            get_batch: BATCH,
            describe_batch: NAMES,
            delete_batch: BATCH,
            native_expiry,
            recovery: None,
            final_deletion: true,
            // Nothing is published; what a description misses is asked for directly.
            listing_lag: Duration::ZERO,
            list_order: ListOrder::Unspecified,
            create_only: true,
            describe_without_reading: true,
            delete_precondition: false,
            rates: Rates {
                read: Some(40.0),
                // Both are searches for descriptions.
                together: &[&[Describe, List]],
                ..Rates::NONE
            },
            calls: CALLS,
        }
    }

    /// The backend called `id`; `clock` says from when an expiry counts. Nothing is asked of
    /// Parameter Store yet, and of STS only where the settings do not tell the account.
    ///
    /// # Errors
    /// `Invalid` where the settings cannot be right; what STS answers where it is asked.
    pub async fn connect(
        id: BackendId,
        settings: AwsSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let parameters = Parameters::new(settings.clone());
        let capabilities = Self::capabilities_of(&settings);
        let place = Place::new(id, settings, Service::ParameterStore).await?;
        Ok(Self {
            place,
            parameters,
            clock,
            capabilities,
        })
    }

    async fn try_put(&self, request: &PutRequest) -> Result<PutOutcome, Failure> {
        check_size(&request.value, self.capabilities.most_bytes)?;
        if request.native_expiry.is_some() && !self.place.settings.advanced_parameters {
            return Err(unsupported("an expiry needs advanced parameters"));
        }
        let name = self.place.name(&request.mark.coordinate);
        if Service::ParameterStore.names().kept(&name).is_some() {
            return Err(Failure::new(
                ErrorKind::Invalid,
                "Parameter Store keeps names that begin with aws or ssm to itself; set a \
                 name_prefix",
            ));
        }
        let mut tags = self.place.tags(&request.mark)?;
        tags.push((MANAGED.0.to_owned(), MANAGED.1.to_owned()));
        let expires = request.native_expiry.map(|wait| {
            let now = self.clock.now();
            policy::expiring_at(now.checked_add(wait).unwrap_or(Timestamp::MAX))
        });
        let new = NewParameter {
            name: &name,
            value: &request.value,
            kms_key: self.place.settings.kms_key.as_deref(),
            description: &to_description(&request.mark)?,
            tags,
            advanced: expires.is_some() || request.value.len() > STANDARD,
            policies: expires,
            replaces: false,
        };
        match self.parameters.put(&new).await {
            Ok(_) => Ok(PutOutcome::Created),
            Err(failure) if failure.kind() == ErrorKind::Conflict => {
                let taken = self.try_get(&request.mark.coordinate).await;
                let taken = taken.map_err(|failure| match failure.kind() {
                    // Taken and gone in the same moment: nothing is sure.
                    ErrorKind::Missing => Failure::new(ErrorKind::Unavailable, "it went just now"),
                    _ => failure,
                })?;
                compare(request, taken.mark.as_ref(), || {
                    taken.value == request.value
                })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn try_get(&self, coordinate: &Coordinate) -> Result<StoredSecret, Failure> {
        let mut answers = self.try_get_many(std::slice::from_ref(coordinate)).await?;
        answers.pop().unwrap_or_else(|| Err(Failure::missing()))
    }

    /// At most 50: their values by ten, and their marks from one description of all.
    async fn try_get_many(
        &self,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<StoredSecret, Failure>>, Failure> {
        let names = self.names(coordinates);
        let (values, described) = tokio::join!(self.values(&names), self.described(&names));
        let described = described?;
        let values = self.decide_refusals(values?, &described).await;
        let answers = coordinates.iter().map(|coordinate| {
            let name = self.place.name(coordinate);
            let (value, described) = (values.get(&name), described.get(&name));
            async move {
                let value = value.cloned().unwrap_or_else(|| Err(Failure::left_out()))?;
                Ok(StoredSecret {
                    value,
                    mark: match described {
                        Some(it) => of_description(&it.description, coordinate)?,
                        None => of_tags(&self.parameters.tags(&name).await?, coordinate)?,
                    },
                })
            }
        });
        Ok(join_all(answers).await)
    }

    /// What is answered for each name, ten a request; a refusal is the answer of all ten.
    async fn values(&self, names: &[String]) -> Result<Values, Failure> {
        let mut values = Values::new();
        for batch in names.chunks(BATCH) {
            match self.parameters.values(batch).await {
                Err(refusal) if refusal.is_of_action() => {
                    let refused = batch.iter().map(|it| (it.clone(), Err(refusal.clone())));
                    values.extend(refused);
                }
                answered => values.extend(answered?),
            }
        }
        Ok(values)
    }

    async fn described(&self, names: &[String]) -> Result<HashMap<String, Parameter>, Failure> {
        let mut found = HashMap::new();
        for names in names.chunks(NAMES) {
            let mut next = None;
            loop {
                let asked = Asked::Names(names);
                let (page, more) = self.parameters.describe(&asked, next.as_deref()).await?;
                found.extend(page.into_iter().map(|it| (it.name.clone(), it)));
                // Another page is worth asking for only while somebody is still looked for.
                next = more.filter(|_| names.iter().any(|name| !found.contains_key(name)));
                if next.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Each name once: AWS takes no name twice.
    fn names(&self, coordinates: &[Coordinate]) -> Vec<String> {
        let mut names: Vec<_> = coordinates.iter().map(|it| self.place.name(it)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// At most 50, in one request; what is not in the answer is asked for by itself, since a
    /// description is a search and not a direct question.
    async fn try_describe_many(
        &self,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<Description, Failure>>, Failure> {
        let described = self.described(&self.names(coordinates)).await?;
        let mut answers = Vec::with_capacity(coordinates.len());
        for some in coordinates.chunks(AT_ONCE) {
            let some = some.iter().map(|coordinate| {
                let name = self.place.name(coordinate);
                let found = described.get(&name);
                async move {
                    let Some(it) = found else {
                        return Err(self.why_not_described(&name).await);
                    };
                    let mark = of_description(&it.description, coordinate)?;
                    Ok(description(coordinate.clone(), mark, it))
                }
            });
            answers.extend(join_all(some).await);
        }
        Ok(answers)
    }

    async fn why_not_described(&self, name: &str) -> Failure {
        match self.parameters.tags(name).await {
            Ok(_) => Failure::new(
                ErrorKind::Unavailable,
                "it is there, but AWS does not describe it yet",
            ),
            Err(failure) => failure,
        }
    }

    async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let asked = Asked::Tagged {
            prefix: &self.place.settings.name_prefix,
            key: MANAGED.0,
            value: MANAGED.1,
        };
        let token = page.map(|token| &*token.0);
        let (found, next) = self.parameters.describe(&asked, token).await?;
        let secrets = found.iter().filter_map(|it| {
            let coordinate = self.place.coordinate(&it.name)?;
            let mark = match of_description(&it.description, &coordinate) {
                Ok(mark) => Some(mark?),
                // A direct question says what of it cannot be read.
                Err(_) => None,
            };
            Some(description(coordinate, mark, it))
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
        check_mode(mode)?;
        self.delete_by_name(&self.place.name(coordinate)).await
    }

    async fn delete_by_name(&self, name: &str) -> Result<Deletion, Failure> {
        match self.parameters.delete(name).await {
            Ok(()) => Ok(Deletion::Deleted),
            Err(failure) if failure.is_missing() => Ok(Deletion::AlreadyGone),
            Err(refusal) if refusal.is_of_action() && self.is_missing(name).await => {
                Ok(Deletion::AlreadyGone)
            }
            Err(failure) => Err(failure),
        }
    }

    /// At most ten, in one request; where AWS refuses that for one of them, one by one.
    async fn try_delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Result<Vec<Result<Deletion, Failure>>, Failure> {
        check_mode(mode)?;
        let names = self.names(coordinates);
        let mut deleted = match self.parameters.delete_many(&names).await {
            Err(refusal) if refusal.is_of_action() => {
                return Ok(self.delete_one_by_one(coordinates, &refusal).await);
            }
            deleted => deleted?,
        };
        let mut answers = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            let name = self.place.name(coordinate);
            // Taken out, so that a name asked for twice is gone the second time.
            let answer = match deleted.iter().position(|it| *it == name) {
                Some(at) => {
                    deleted.swap_remove(at);
                    Ok(Deletion::Deleted)
                }
                None => self.why_not_deleted(&name).await,
            };
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Parameter Store changes policies only by writing the value again: the same bytes, under the
    /// same key, with the same description. That would make anew what was deleted meanwhile, and so is
    /// taken back there.
    async fn try_lift_expiry(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        let name = self.place.name(coordinate);
        let names = std::slice::from_ref(&name);
        let described = self.described(names).await?;
        let Some(parameter) = described.get(&name) else {
            return Err(self.why_not_described(&name).await);
        };
        // A damaged mark is one: taking an expiry off harms nobody.
        if let Ok(None) = of_description(&parameter.description, coordinate) {
            return Err(Failure::missing());
        }
        if policy::expiry(&parameter.policies).is_none() {
            return Ok(());
        }
        let mut values = self
            .decide_refusals(self.values(names).await?, &described)
            .await;
        let value = values
            .remove(&name)
            .unwrap_or_else(|| Err(Failure::left_out()))?;
        let new = NewParameter {
            name: &name,
            value: &value,
            kms_key: parameter.kms_key.as_deref(),
            description: &parameter.description,
            tags: Vec::new(),
            advanced: true,
            policies: Some(policy::NONE.to_owned()),
            replaces: true,
        };
        if self.parameters.put(&new).await? == FIRST_VERSION {
            self.parameters.delete(&name).await?;
            return Err(Failure::missing());
        }
        Ok(())
    }

    fn answers<T>(
        &self,
        operation: &'static str,
        coordinates: &[Coordinate],
        done: Result<Vec<Result<T, Failure>>, Failure>,
    ) -> Vec<Result<T>> {
        let answers = match done {
            Ok(answers) => answers,
            Err(failure) => coordinates.iter().map(|_| Err(failure.clone())).collect(),
        };
        let answers = coordinates.iter().zip(answers);
        answers
            .map(|(it, answer)| answer.map_err(|failure| self.place.error(operation, it, &failure)))
            .collect()
    }
}

#[async_trait]
impl SecretBackend for ParameterStoreBackend {
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
                "ssm:PutParameter",
                "ssm:AddTagsToResource",
                "ssm:GetParameters",
                "ssm:DescribeParameters",
                "ssm:ListTagsForResource",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:Decrypt",
            ],
            Operation::Get => &[
                "ssm:GetParameters",
                "ssm:DescribeParameters",
                "ssm:ListTagsForResource",
                "kms:Decrypt",
            ],
            Operation::Describe => &["ssm:DescribeParameters", "ssm:ListTagsForResource"],
            Operation::List => &["ssm:DescribeParameters"],
            Operation::DeleteFinally => &[
                "ssm:DeleteParameter",
                "ssm:DeleteParameters",
                "ssm:ListTagsForResource",
            ],
            Operation::LiftExpiry => &[
                "ssm:DescribeParameters",
                "ssm:GetParameters",
                "ssm:ListTagsForResource",
                "ssm:PutParameter",
                "kms:Decrypt",
                "kms:GenerateDataKey",
            ],
            Operation::Delete | Operation::Restore => &[],
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
        for batch in coordinates.chunks(NAMES) {
            answers.extend(self.answers("get", batch, self.try_get_many(batch).await));
        }
        answers
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let described = self
            .try_describe_many(std::slice::from_ref(coordinate))
            .await;
        described
            .and_then(|mut all| all.pop().unwrap_or_else(|| Err(Failure::missing())))
            .map_err(|failure| self.place.error("describe", coordinate, &failure))
    }

    async fn describe_many(&self, coordinates: &[Coordinate]) -> Vec<Result<Description>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(NAMES) {
            let described = self.try_describe_many(batch).await;
            answers.extend(self.answers("describe", batch, described));
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
            Some(_) => Err(unsupported("Parameter Store takes no precondition")),
            None => self.try_delete(coordinate, mode).await,
        };
        deletion.map_err(|failure| self.place.error("delete", coordinate, &failure))
    }

    async fn delete_many(
        &self,
        coordinates: &[Coordinate],
        mode: DeleteMode,
    ) -> Vec<Result<Deletion>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for batch in coordinates.chunks(BATCH) {
            let deleted = self.try_delete_many(batch, mode).await;
            answers.extend(self.answers("delete", batch, deleted));
        }
        answers
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let failure = unsupported("Parameter Store cannot take a deletion back");
        Err(self.place.error("restore", coordinate, &failure))
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        let lifted = if self.place.settings.advanced_parameters {
            self.try_lift_expiry(coordinate).await
        } else {
            Err(unsupported("an expiry needs advanced parameters"))
        };
        lifted.map_err(|failure| self.place.error("lift the expiry of", coordinate, &failure))
    }
}

fn description(coordinate: Coordinate, mark: Option<Mark>, it: &Parameter) -> Description {
    let (created, changed) = described_times(it);
    Description {
        coordinate,
        mark,
        state: SecretState::Enabled,
        native_expiry: policy::expiry(&it.policies),
        created,
        changed,
        accessed: None,
        precondition: None,
    }
}

/// When it was made and last changed. Only the last change is told; for the first version that is
/// when it was made.
fn described_times(it: &Parameter) -> (Option<Timestamp>, Option<Timestamp>) {
    (it.changed.filter(|_| it.version == 1), it.changed)
}

fn check_mode(mode: DeleteMode) -> Result<(), Failure> {
    match mode {
        DeleteMode::Final => Ok(()),
        DeleteMode::Recoverable(_) => Err(unsupported(
            "Parameter Store cannot take a deletion back; delete for good, later",
        )),
    }
}

fn unsupported(message: &'static str) -> Failure {
    Failure::new(ErrorKind::Unsupported, message)
}
