//! What the server gives to somebody who sends the very same requests on plain connections that are
//! kept, reads the answers and does nothing with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use cloakroom_core::{Randomness as _, SystemRandomness};
use cloakroom_testkit::proxy::{Kept, Upstream};
use hyper::body::Bytes;

use crate::Operation;
use crate::capture::Request;
use crate::slice::{Slice, run};
use crate::targets::Target;

/// Sends the requests of one operation over and over, with so many under way.
pub(crate) struct Generator {
    it: Arc<Requests>,
    connections: Vec<Kept>,
}

struct Requests {
    operation: Operation,
    /// Of one operation, or one each of many where they are signed.
    taken: Vec<Request>,
    /// The owner's id in the names of a put, which is another one each time.
    owner: Option<String>,
    each: bool,
    next: AtomicUsize,
}

impl Generator {
    /// `unsent` are requests that were signed and never sent, one an operation; where there are none
    /// those that were `taken` make one operation together.
    pub(crate) fn new(
        target: &Target,
        operation: Operation,
        taken: &[Request],
        unsent: Vec<Request>,
        in_flight: usize,
    ) -> Result<Self> {
        let upstream = Upstream::new(&target.url)?;
        let each = !unsent.is_empty();
        let taken = if each { unsent } else { taken.to_vec() };
        let mut named = taken.iter();
        let owner = (operation == Operation::Put && !each)
            .then(|| named.find_map(|it| owner(&it.path).or_else(|| owner(&it.body))))
            .flatten();
        let it = Requests {
            operation,
            taken,
            owner,
            each,
            next: AtomicUsize::new(0),
        };
        Ok(Self {
            it: Arc::new(it),
            connections: (0..in_flight).map(|_| upstream.keep()).collect(),
        })
    }

    /// For a moment.
    pub(crate) async fn slice(&mut self) -> Result<Slice> {
        let it = Arc::clone(&self.it);
        run(&mut self.connections, move |mut connection| {
            let it = Arc::clone(&it);
            async move {
                it.once(&mut connection).await?;
                Ok(connection)
            }
        })
        .await
    }
}

impl Requests {
    async fn once(&self, connection: &mut Kept) -> Result<()> {
        if self.each {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let request = self.taken.get(at);
            let request = request.context("more puts were sent than were signed beforehand")?;
            return self.send(connection, request, None).await;
        }
        let fresh = self.owner.as_deref().map(|owner| {
            let fresh = SystemRandomness.uuid().to_string();
            (owner, fresh)
        });
        for request in &self.taken {
            self.send(connection, request, fresh.as_ref()).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        connection: &mut Kept,
        request: &Request,
        fresh: Option<&(&str, String)>,
    ) -> Result<()> {
        let (mut path, mut body) = (request.path.clone(), request.body.clone());
        if let Some((owner, fresh)) = fresh {
            path = path.replace(owner, fresh);
            body = body.replace(owner, fresh);
        }
        let mut sent = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(path);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        let status = connection.send(sent.body(Bytes::from(body))?).await?;
        // A put may look first whether its name is free: then "not there" is the answer it wants. And
        // Azure's names the version that the vault gave it before, which nobody else's put has.
        let looks = ["GET", "PATCH"].contains(&request.method.as_str());
        let in_vain = status == 404 && self.operation == Operation::Put && looks;
        if !(200..300).contains(&status) && !in_vain {
            bail!("the server answers {} with {status}", request.method);
        }
        Ok(())
    }
}

/// The owner's id in a coordinate, however the manager writes its underscores.
fn owner(text: &str) -> Option<String> {
    let from = text
        .find("workspace_")
        .or_else(|| text.find("workspace-"))?
        + "workspace_".len();
    text.get(from..from + 36).map(ToOwned::to_owned)
}
