//! What both backends are made of: a name, an identity, names of secrets.

use cloakroom_core::{
    BackendId, Coordinate, Error, ErrorKind, Mark, PutRequest, Result, SecretValue,
};

use crate::address::address_of_manager;
use crate::failure::Failure;
use crate::mark_text::to_tags;
use crate::sdk::account_of_caller;
use crate::settings::{AwsSettings, Service};

/// Requests about single secrets that are under way at a time for one batch.
pub(crate) const AT_ONCE: usize = 16;

pub(crate) struct Place {
    pub(crate) id: BackendId,
    pub(crate) settings: AwsSettings,
    pub(crate) identity: String,
    service: Service,
}

impl Place {
    /// Checks the settings, and asks STS for the account if they do not tell it.
    pub(crate) async fn new(
        id: BackendId,
        settings: AwsSettings,
        service: Service,
    ) -> Result<Self> {
        settings
            .validate(service)
            .map_err(|error| error.with_backend(&id))?;
        let account = match settings.known_account() {
            Some(account) => account.to_owned(),
            None => Box::pin(account_of_caller(&settings))
                .await
                .map_err(|failure| {
                    failure.to_error("find out the account of the credentials", &id, None)
                })?,
        };
        let identity = format!(
            "{} of account {account} in {}{}, names {:?}",
            match service {
                Service::SecretsManager => "AWS Secrets Manager",
                Service::ParameterStore => "AWS Parameter Store",
            },
            settings.region,
            // Emulators have the same accounts as each other.
            match settings
                .endpoint_url
                .as_deref()
                .and_then(address_of_manager)
            {
                Some(address) => format!(" at {address}"),
                None => String::new(),
            },
            settings.name_prefix,
        );
        Ok(Self {
            id,
            settings,
            identity,
            service,
        })
    }

    /// The secret's name in AWS.
    pub(crate) fn name(&self, coordinate: &Coordinate) -> String {
        format!("{}{coordinate}", self.settings.name_prefix)
    }

    /// The coordinate a name is of, where it can be one of ours.
    pub(crate) fn coordinate(&self, name: &str) -> Option<Coordinate> {
        let text = name.strip_prefix(&self.settings.name_prefix)?;
        Coordinate::from_stored(text).ok()
    }

    /// The name in AWS of what a platform calls `name`.
    pub(crate) fn platforms_name(&self, name: &str) -> Result<String, Failure> {
        let full = self
            .service
            .names()
            .written(&self.settings.name_prefix, name);
        full.map_err(|fault| Failure::new(ErrorKind::Invalid, fault.to_string()))
    }

    /// What a platform calls the secret of this name in AWS.
    pub(crate) fn name_of_platform<'a>(&self, name: &'a str) -> Option<&'a str> {
        let text = name.strip_prefix(&self.settings.name_prefix)?;
        (!text.is_empty()).then_some(text)
    }

    /// What a failure is to whoever asked by a platform's name.
    pub(crate) fn named_error(
        &self,
        operation: &'static str,
        name: &str,
        failure: &Failure,
    ) -> Error {
        failure
            .to_error(operation, &self.id, None)
            .with_coordinate(name)
    }

    /// Answers to whoever asked by a platform's names.
    pub(crate) fn named_answers<T>(
        &self,
        operation: &'static str,
        names: &[String],
        answers: Vec<Result<T, Failure>>,
    ) -> impl Iterator<Item = Result<T>> {
        let told = names.iter().zip(answers);
        told.map(move |(name, answer)| {
            answer.map_err(|failure| self.named_error(operation, name, &failure))
        })
    }

    /// The mark and the settings' own tags.
    pub(crate) fn tags(&self, mark: &Mark) -> Result<Vec<(String, String)>, Failure> {
        let mut tags = to_tags(mark)?;
        tags.extend(self.settings.tags.iter().cloned());
        Ok(tags)
    }

    /// What a failure is to whoever asked.
    pub(crate) fn error(
        &self,
        operation: &'static str,
        coordinate: &Coordinate,
        failure: &Failure,
    ) -> Error {
        failure.to_error(operation, &self.id, Some(coordinate))
    }
}

/// Refuses a value that the manager does not keep.
pub(crate) fn check_size(value: &SecretValue, most: usize) -> Result<(), Failure> {
    let size = value.len();
    if size == 0 {
        let told = "AWS keeps no empty value";
        return Err(Failure::new(ErrorKind::Invalid, told));
    }
    if size > most {
        let told = format!("{size} bytes are more than the {most} that are kept");
        return Err(Failure::new(ErrorKind::TooLarge, told));
    }
    Ok(())
}

/// What a put found on its taken name.
pub(crate) fn compare(
    request: &PutRequest,
    mark: Option<&Mark>,
    same_bytes: impl FnOnce() -> bool,
) -> Result<cloakroom_core::PutOutcome, Failure> {
    let told = match mark {
        Some(mark) if mark.store == request.mark.store => {
            if !mark.is_of_intent(&request.mark) {
                "the name is taken by what was put for another intent"
            } else if same_bytes() {
                return Ok(cloakroom_core::PutOutcome::AlreadyThere);
            } else {
                "the name is taken by another value"
            }
        }
        Some(_) => "the name is taken by another store's secret",
        None => "the name is taken by a secret without our mark",
    };
    Err(Failure::new(ErrorKind::Conflict, told))
}
