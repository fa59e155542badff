//! Copying: read in the old manager, write in the new one where it has nothing, read back, compare. What was
//! compared before is looked for in the new manager, and what this move wrote follows the old one.

use std::collections::HashSet;
use std::sync::Arc;

use cloakroom_core::platform::{CopyState, NamedSecret, PlatformCopy};
use cloakroom_core::{
    Digest, Error, ErrorKind, KeyRing, MoveId, Precondition, Result, SecretState, SecretValue,
    Timestamp, ValueKind, WorkspaceId,
};
use futures_util::future::join_all;

use super::super::naming::is_canonical;
use super::super::{Pass, PlatformPhase};
use super::compare::Needed;
use super::report::PlatformMoveReport;
use super::sides::Sides;
use super::unlisted::Unlisted;
use super::{PlatformMover, Side};

/// Secrets under way at once. No more values than these are in memory.
const TOGETHER: usize = 16;

/// One run that copies.
pub(super) struct Copying<'a> {
    pub(super) mover: &'a PlatformMover,
    pass: &'a Pass<'a>,
    pub(super) sides: Sides<'a>,
    pub(super) report: PlatformMoveReport,
    newest: Option<Timestamp>,
    /// What digests are made with.
    pub(super) ring: Arc<KeyRing>,
    /// Whose secrets were met.
    met: HashSet<WorkspaceId>,
    /// Whether the new manager keeps what is put, once it was asked.
    keeps: Option<std::result::Result<(), Arc<Error>>>,
}

/// What the new manager has under a name.
pub(super) enum Found {
    Nothing,
    /// It waits for its deletion.
    Waiting,
    Something,
}

/// A secret that was read in the old manager, and how it stands in the new one.
pub(super) struct Begun {
    pub(super) needed: Needed,
    pub(super) value: SecretValue,
    pub(super) found: Found,
    /// How the new manager described what is there, before that was read.
    described: Option<String>,
    /// The state so described.
    pub(super) precondition: Option<Precondition>,
    /// Whether this move wrote, or is about to write, what is there.
    written: bool,
    /// Whether the new manager takes away one day what is there.
    expires: bool,
    /// The digest of what this move wrote there last.
    pub(super) wrote: Option<Digest>,
}

impl Begun {
    pub(super) fn name(&self) -> String {
        self.needed.name.to_string()
    }

    fn copy(&self, state: CopyState, ring: &KeyRing) -> PlatformCopy {
        let base = self.needed.name.as_str();
        let is_compared = state == CopyState::Copied;
        PlatformCopy {
            name: self.needed.name.clone(),
            source: self.needed.source.clone(),
            state,
            written: self.written,
            changed: self.needed.changed,
            digest: Some(Digest::of(
                ring.current(),
                base,
                ValueKind::Text,
                &self.value,
            )),
            described: self.described.clone().filter(|_| is_compared),
        }
    }
}

impl<'a> Copying<'a> {
    pub(super) fn new(
        mover: &'a PlatformMover,
        pass: &'a Pass<'a>,
        sides: Sides<'a>,
        report: PlatformMoveReport,
    ) -> Result<Self> {
        Ok(Self {
            mover,
            pass,
            sides,
            report,
            newest: None,
            ring: mover.keys.ring()?,
            met: HashSet::new(),
            keeps: None,
        })
    }

    /// Goes through everything that was listed when the pass began at `started`. `asked` are the owners
    /// that were asked for now.
    pub(super) async fn run(
        mut self,
        started: Timestamp,
        asked: &[WorkspaceId],
    ) -> Result<PlatformMoveReport> {
        let owners: Vec<WorkspaceId> = self.report.owners.clone();
        let mut after: Option<String> = None;
        loop {
            if self.mover.stop.is_cancelled() {
                self.report.cut_short = true;
                return Ok(self.report);
            }
            let page = self.pass.page(after.as_deref(), started).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name().to_owned());
            let compared = self.sides.compared(self.pass, &page, &owners, None).await?;
            self.newest = self.newest.max(compared.newest);
            self.report.of_other_storages += compared.of_others;
            for (name, error) in &compared.failed {
                self.report.take_error(name, error);
            }
            self.copy_page(compared.needed).await?;
        }
        let unlisted = Unlisted::new(self.mover, self.pass, self.sides);
        unlisted.look(&mut self.report).await?;
        self.tell_of_nobody(asked);
        if let Some(id) = self.writes()
            && self.report.obstacles.is_empty()
        {
            let lease = self.pass.lease.held();
            self.mover.store.compared(&lease, id, self.newest).await?;
        }
        Ok(self.report)
    }

    /// The move that is written down; `None` in a dry run.
    fn writes(&self) -> Option<MoveId> {
        self.report.id.filter(|_| !self.report.dry_run)
    }

    /// An owner without any secret may be a mistyped one, whose secrets stay behind.
    fn tell_of_nobody(&mut self, asked: &[WorkspaceId]) {
        for owner in asked.iter().filter(|it| !self.met.contains(it)) {
            let message =
                "nothing that the platform needs has this workspace in its name: look at the id";
            let name = owner.to_string();
            self.report
                .take_issue(&name, ErrorKind::Missing, message.to_owned());
        }
    }

    async fn copy_page(&mut self, needed: Vec<Needed>) -> Result<()> {
        self.report.needed += needed.len() as u64;
        let naming = &self.pass.reader.settings.naming;
        let owners = needed.iter().map(|it| naming.read(it.source.as_str()));
        self.met
            .extend(owners.filter_map(|it| it.owner.map(WorkspaceId)));
        let known = self.known(&needed).await?;
        let needed = needed.into_iter().zip(known).collect();
        let mut left = self.without_those_there(needed).await;
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(TOGETHER));
            self.copy_together(left).await?;
            left = rest;
            self.pass.keep_lease().await?;
            let done = self.report.copied + self.report.already_there;
            self.pass.progressed(PlatformPhase::Copying, done);
        }
        Ok(())
    }

    /// Leaves out what the new manager describes as it did before it was read and found equal.
    async fn without_those_there(
        &mut self,
        needed: Vec<(Needed, Option<PlatformCopy>)>,
    ) -> Vec<(Needed, Option<PlatformCopy>)> {
        let was_compared =
            |(needed, known): &(Needed, Option<PlatformCopy>)| needed.is_compared(known.as_ref());
        let names = needed.iter().filter(|it| was_compared(it));
        let names: Vec<String> = names.map(|(it, _)| it.name.to_string()).collect();
        let mut found = self.sides.describe(Side::New, &names).await.into_iter();
        let mut left = Vec::new();
        for it in needed {
            let found = if was_compared(&it) {
                found.next()
            } else {
                None
            };
            let expires = found.as_ref().is_some_and(|found| self.expires(found));
            if !found.is_some_and(|found| is_as_compared(found, it.1.as_ref())) {
                left.push(it);
                continue;
            }
            match self.keep(it.0.name.as_str(), expires).await {
                Ok(()) => self.report.already_there += 1,
                Err(error) => self.report.take_error(it.0.name.as_str(), &error),
            }
        }
        left
    }

    fn expires(&self, found: &Result<NamedSecret>) -> bool {
        let found = found.as_ref();
        found.is_ok_and(|found| self.mover.expires(Side::New, found))
    }

    /// Takes the new manager's own expiry off.
    async fn keep(&self, name: &str, expires: bool) -> Result<()> {
        if !expires || self.report.dry_run {
            return Ok(());
        }
        let (new, request) = (self.sides.of(Side::New), self.sides.request());
        let lifted = request.run("lift the expiry", || new.lift_expiry_named(name));
        lifted.await
    }

    async fn known(&self, needed: &[Needed]) -> Result<Vec<Option<PlatformCopy>>> {
        let Some(id) = self.report.id else {
            return Ok(vec![None; needed.len()]);
        };
        self.mover.known(self.pass, id, needed).await
    }

    async fn copy_together(&mut self, needed: Vec<(Needed, Option<PlatformCopy>)>) -> Result<()> {
        let begun = self.begin(needed).await;
        let begun = self.without_those_in_parts(begun).await;
        let begun = self.make_way(begun).await;
        if self.report.dry_run {
            return self.look(begun).await;
        }
        let begun = self.without_other_values(begun).await;
        let ring = self.ring.clone();
        let new = begun.iter().filter(|it| matches!(it.found, Found::Nothing));
        let new: Vec<PlatformCopy> = new.map(|it| it.copy(CopyState::Writing, &ring)).collect();
        self.write_down(&new).await?;
        let puts = join_all(begun.iter().map(|it| self.put(it))).await;
        let mut there = Vec::with_capacity(begun.len());
        for (begun, put) in begun.into_iter().zip(puts) {
            match put {
                Ok(()) => there.push(begun),
                Err(error) => self.report.take_error(begun.needed.name.as_str(), &error),
            }
        }
        self.describe_anew(&mut there).await;
        let equal = self.compare(there).await;
        let mut copies = Vec::with_capacity(equal.len());
        for begun in equal {
            match begun.found {
                Found::Nothing => self.report.copied += 1,
                Found::Waiting | Found::Something => self.report.already_there += 1,
            }
            copies.push(begun.copy(CopyState::Copied, &ring));
        }
        self.write_down(&copies).await
    }

    /// Reads what is to be copied, and looks at what the new manager has under its name.
    async fn begin(&mut self, needed: Vec<(Needed, Option<PlatformCopy>)>) -> Vec<Begun> {
        let sources: Vec<String> = needed.iter().map(|(it, _)| it.source.to_string()).collect();
        let names: Vec<String> = needed.iter().map(|(it, _)| it.name.to_string()).collect();
        let values = self.sides.read(Side::Old, &sources).await;
        let found = self.sides.describe(Side::New, &names).await;
        let mut begun = Vec::with_capacity(needed.len());
        for (((needed, known), value), found) in needed.into_iter().zip(values).zip(found) {
            let name = needed.name.to_string();
            let expires = self.expires(&found);
            match begin_one(needed, known.as_ref(), value, found) {
                Ok(it) => begun.push(Begun { expires, ..it }),
                Err(error) => self.report.take_error(&name, &error),
            }
        }
        begun
    }

    /// Leaves out what the platform reads but a part of: a copy would lose the rest. What the platform itself
    /// named is the value alone.
    async fn without_those_in_parts(&mut self, begun: Vec<Begun>) -> Vec<Begun> {
        let mut left = Vec::with_capacity(begun.len());
        for begun in begun {
            let source = begun.needed.source.to_string();
            let is_written = matches!(begun.found, Found::Nothing) || self.was_changed(&begun);
            if !is_written || is_canonical(self.pass.naming(), &source) {
                left.push(begun);
                continue;
            }
            let (old, request) = (self.sides.of(Side::Old), self.sides.request());
            let parts = request.run("read the secret", || old.parts_beside_named(&source));
            match parts.await {
                Ok(0) => left.push(begun),
                Ok(parts) => {
                    let message = format!(
                        "in the old manager it has {parts} more beside the value that the platform reads, \
                         which a copy would lose: copy it by hand, and run this again"
                    );
                    self.report
                        .take_issue(&source, ErrorKind::Unsupported, message);
                }
                Err(error) => self.report.take_error(&source, &error),
            }
        }
        left
    }

    /// Leaves out what expires in the new manager and is another's value: that expiry is not the move's to take off.
    async fn without_other_values(&mut self, begun: Vec<Begun>) -> Vec<Begun> {
        let (expiring, mut begun): (Vec<Begun>, Vec<Begun>) = begun
            .into_iter()
            .partition(|it| it.expires && matches!(it.found, Found::Something));
        begun.extend(self.compare(expiring).await);
        begun
    }

    /// What was just put is described before it is read back, so that a change behind that shows.
    async fn describe_anew(&self, there: &mut [Begun]) {
        let put = there
            .iter_mut()
            .filter(|it| it.expires || !matches!(it.found, Found::Something));
        let put: Vec<&mut Begun> = put.collect();
        let names: Vec<String> = put.iter().map(|it| it.name()).collect();
        let found = self.sides.describe(Side::New, &names).await;
        for (begun, found) in put.into_iter().zip(found) {
            begun.described = found.ok().and_then(|it| description(&it));
        }
    }

    /// Says what copying would come to.
    async fn look(&mut self, begun: Vec<Begun>) -> Result<()> {
        let (new, there): (Vec<Begun>, Vec<Begun>) = begun
            .into_iter()
            .partition(|it| !matches!(it.found, Found::Something));
        let refusal = self.refusal().await;
        for begun in new {
            let name = begun.needed.name.as_str();
            match (fits(&begun, self.mover.to.capabilities()), &refusal) {
                (Err(error), _) => self.report.take_error(name, &error),
                (Ok(()), Some(error)) => self.report.take_error(name, error),
                (Ok(()), None) => self.report.copied += 1,
            }
        }
        self.report.already_there += self.compare(there).await.len() as u64;
        Ok(())
    }

    /// Why the new manager would keep nothing.
    async fn refusal(&mut self) -> Option<Arc<Error>> {
        if self.keeps.is_none() {
            let (new, request) = (self.sides.of(Side::New), self.sides.request());
            let keeps = request.run("ask the new manager", || new.keeps_named());
            self.keeps = Some(keeps.await.map_err(Arc::new));
        }
        self.keeps.clone()?.err()
    }

    async fn put(&self, begun: &Begun) -> Result<()> {
        let new = self.sides.of(Side::New);
        let (name, request) = (begun.name(), self.sides.request());
        match begun.found {
            Found::Nothing => {
                fits(begun, self.mover.to.capabilities())?;
                let put = request.run("put the secret", || new.put_named(&name, &begun.value));
                put.await
            }
            Found::Waiting => {
                let restored = request.run("restore the secret", || new.restore_named(&name));
                restored.await?;
                // What is brought back may carry an expiry again.
                let found = self.sides.describe(Side::New, std::slice::from_ref(&name));
                let expires = found.await.iter().any(|found| self.expires(found));
                self.keep(&name, expires).await
            }
            Found::Something => self.keep(&name, begun.expires).await,
        }
    }

    /// Those of which the new manager has, read back, the same bytes.
    async fn compare(&mut self, there: Vec<Begun>) -> Vec<Begun> {
        let names: Vec<String> = there.iter().map(Begun::name).collect();
        let read = self.sides.read(Side::New, &names).await;
        let mut equal = Vec::with_capacity(there.len());
        for (begun, read) in there.into_iter().zip(read) {
            let name = begun.name();
            match read {
                Ok(value) if value == begun.value => equal.push(begun),
                Ok(_) => {
                    let message = "the new manager has another value under this name, which is not \
                                   overwritten: look which of the two is right";
                    self.report
                        .take_issue(&name, ErrorKind::Conflict, message.to_owned());
                }
                Err(error) => self.report.take_error(&name, &error),
            }
        }
        equal
    }

    async fn write_down(&self, copies: &[PlatformCopy]) -> Result<()> {
        let Some(id) = self.writes().filter(|_| !copies.is_empty()) else {
            return Ok(());
        };
        let lease = self.pass.lease.held();
        self.mover.store.write_copies(&lease, id, copies).await
    }
}

fn begin_one(
    needed: Needed,
    known: Option<&PlatformCopy>,
    value: Result<SecretValue>,
    found: Result<NamedSecret>,
) -> Result<Begun> {
    let refuse = |kind, message: &'static str| Err(Error::new(kind, super::OPERATION, message));
    match needed.state {
        SecretState::ScheduledForDeletion { .. } => {
            let message = "in the old manager it waits for its deletion: restore it there first";
            return refuse(ErrorKind::ScheduledForDeletion, message);
        }
        SecretState::Disabled => {
            let message = "in the old manager it is switched off: enable it there first";
            return refuse(ErrorKind::Unavailable, message);
        }
        SecretState::Destroyed => {
            let message =
                "in the old manager its value was destroyed: save it in the platform again first";
            return refuse(ErrorKind::Unavailable, message);
        }
        SecretState::Enabled => {}
    }
    let value = value?;
    let there = found.as_ref().ok();
    let described = there.and_then(description);
    let precondition = there.and_then(|it| it.precondition.clone());
    let found = match found {
        Ok(found) if found.marked => {
            let message = "in the new manager a secret of Cloakroom's own has this name";
            return refuse(ErrorKind::Conflict, message);
        }
        Ok(found) => match found.state {
            SecretState::Enabled => Found::Something,
            SecretState::ScheduledForDeletion { .. } => Found::Waiting,
            SecretState::Disabled => {
                let message = "in the new manager it is switched off: enable or delete it there";
                return refuse(ErrorKind::Conflict, message);
            }
            SecretState::Destroyed => {
                let message =
                    "in the new manager what a destroyed one left has the name: delete it there";
                return refuse(ErrorKind::Conflict, message);
            }
        },
        Err(error) if error.is_missing() => Found::Nothing,
        Err(error) => return Err(error),
    };
    // What a process that was killed has written is the move's all the same.
    let before = known.filter(|known| known.source == needed.source);
    let ours = before.filter(|known| known.written);
    let written = matches!(found, Found::Nothing) || ours.is_some();
    Ok(Begun {
        wrote: ours.and_then(|known| known.digest.clone()),
        needed,
        value,
        found,
        described,
        precondition,
        written,
        expires: false,
    })
}

/// Whether it can be read as it was when it was compared.
fn is_as_compared(found: Result<NamedSecret>, known: Option<&PlatformCopy>) -> bool {
    let Ok(found) = found else { return false };
    let described = description(&found);
    let is_same = known.is_some_and(|known| {
        // The old one goes already, so there is nothing left to compare it with.
        let is_last = known.state == CopyState::Removed;
        is_last || described.is_some() && known.described == described
    });
    !found.marked && found.state == SecretState::Enabled && is_same
}

/// What a manager tells that changes with a value; `None` where it tells no such thing. When it was made is
/// none.
pub(super) fn description(found: &NamedSecret) -> Option<String> {
    let changed = found.changed.map(|it| it.to_string());
    let version = found.precondition.as_ref().map(|it| it.0.to_string());
    let told: Vec<String> = changed.into_iter().chain(version).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// Whether a secret in the new manager can have the name.
fn can_have(name: &str, capabilities: &cloakroom_core::Capabilities) -> Result<()> {
    let written = capabilities.written(name).map(drop);
    written.map_err(|fault| {
        let problem = format!("in the new manager it cannot have its name: {fault}");
        Error::new(fault.kind(), super::OPERATION, problem)
    })
}

/// Whether the new manager takes it.
pub(super) fn fits(begun: &Begun, capabilities: &cloakroom_core::Capabilities) -> Result<()> {
    if begun.value.expose_text().is_none() {
        let message = "its value is no text, and a platform reads no other";
        return Err(Error::new(
            ErrorKind::Unsupported,
            super::OPERATION,
            message,
        ));
    }
    let bytes = begun.value.len();
    let problem = if bytes > capabilities.most_bytes {
        format!(
            "its value has {bytes} bytes, and the new manager takes {}",
            capabilities.most_bytes
        )
    } else if bytes < capabilities.least_bytes {
        "its value is empty, and the new manager takes no such".to_owned()
    } else {
        return can_have(begun.needed.name.as_str(), capabilities);
    };
    Err(Error::new(ErrorKind::TooLarge, super::OPERATION, problem))
}
