//! A manager asked by a platform's names, in the shape of a backend: each coordinate is a name. So the
//! laws of writers that meet and of trouble on the wire are held against it as they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind,
    ListPage, Mark, PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend,
    SecretValue, StoredSecret,
};

/// What a platform's secret does not bear, kept beside it: the marks under which values were put.
#[derive(Clone, Default)]
pub(crate) struct Marks(Arc<Mutex<HashMap<Coordinate, Vec<Put>>>>);

/// One value under a name, and the mark it was put with.
type Put = (SecretValue, Mark);

/// See the module.
pub(crate) struct AsBackend {
    inner: Arc<dyn SecretBackend>,
    capabilities: Capabilities,
    marks: Marks,
}

impl Marks {
    fn remember(&self, request: &PutRequest) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = marks.entry(request.mark.coordinate.clone()).or_default();
        if of_name.iter().all(|(value, _)| *value != request.value) {
            of_name.push((request.value.clone(), request.mark.clone()));
        }
    }

    /// That of the first value there that `is_it`.
    fn find(&self, coordinate: &Coordinate, is_it: impl Fn(&SecretValue) -> bool) -> Option<Mark> {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_name = marks.get(coordinate)?.iter();
        let found = of_name.find(|(value, _)| is_it(value));
        found.map(|(_, mark)| mark.clone())
    }
}

/// What the manager can do for a platform's names: no expiry is set on them.
pub(crate) fn capabilities_of(inner: &Capabilities) -> Capabilities {
    Capabilities {
        native_expiry: NativeExpiry::Absent,
        ..inner.clone()
    }
}

impl AsBackend {
    /// Backends that share `marks` know what each other put.
    pub(crate) fn new(inner: Arc<dyn SecretBackend>, marks: Marks) -> Self {
        Self {
            capabilities: capabilities_of(inner.capabilities()),
            inner,
            marks,
        }
    }

    fn asked(&self) -> Result<&dyn NamedSecrets> {
        self.inner.named().ok_or_else(|| {
            let told = "the backend cannot be asked by names";
            Error::new(ErrorKind::Unsupported, "ask by name", told)
        })
    }

    /// What bears a mark of Cloakroom's is described as bearing none, which no law takes for its own.
    fn described(&self, coordinate: &Coordinate, it: NamedSecret) -> Description {
        Description {
            mark: (!it.marked)
                .then(|| self.marks.find(coordinate, |_| true))
                .flatten(),
            coordinate: coordinate.clone(),
            state: it.state,
            native_expiry: it.native_expiry,
            created: it.created,
            changed: it.changed,
            accessed: it.accessed,
            precondition: it.precondition,
        }
    }
}

fn names(coordinates: &[Coordinate]) -> Vec<String> {
    coordinates.iter().map(ToString::to_string).collect()
}

/// The one answer to one question.
fn only<T>(mut answers: Vec<Result<T>>) -> Result<T> {
    let none = || Error::new(ErrorKind::Corrupt, "ask by name", "one question, no answer");
    answers.pop().unwrap_or_else(|| Err(none()))
}

#[async_trait]
impl SecretBackend for AsBackend {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        self.marks.remember(request);
        let name = request.mark.coordinate.as_str();
        self.asked()?.put_named(name, &request.value).await?;
        Ok(PutOutcome::Created)
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        only(self.get_many(std::slice::from_ref(coordinate)).await)
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let read = match self.asked() {
            Ok(named) => named.read_named(&names(coordinates)).await,
            Err(error) => vec![Err(error)],
        };
        let read = coordinates.iter().zip(read);
        read.map(|(coordinate, value)| {
            let value = value?;
            let mark = self.marks.find(coordinate, |it| *it == value);
            Ok(StoredSecret { value, mark })
        })
        .collect()
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let names = [coordinate.to_string()];
        let described = only(self.asked()?.describe_named(&names).await)?;
        Ok(self.described(coordinate, described))
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let page = self.asked()?.list_named(page).await?;
        let secrets = page.secrets.into_iter().filter_map(|it| {
            let coordinate = Coordinate::from_stored(&it.name).ok()?;
            Some(self.described(&coordinate, it))
        });
        Ok(ListPage {
            secrets: secrets.collect(),
            next: page.next,
        })
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let named = self.asked()?;
        named
            .delete_named(coordinate.as_str(), mode, precondition)
            .await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        self.asked()?.restore_named(coordinate.as_str()).await
    }

    async fn lift_expiry(&self, _: &Coordinate) -> Result<()> {
        let told = "no expiry is set on a platform's names";
        Err(Error::new(
            ErrorKind::Unsupported,
            "lift the expiry of",
            told,
        ))
    }
}
