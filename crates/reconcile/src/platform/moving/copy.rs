//! Copying: read in the old manager, write in the new one where it has nothing, read back, compare.

use cloakroom_core::platform::{CopyState, NamedSecret, PlatformCopy, SecretName};
use cloakroom_core::{
    Error, ErrorKind, MoveId, Result, SecretState, SecretValue, Timestamp, WorkspaceId,
};
use futures_util::future::join_all;

use super::super::{Pass, PlatformPhase};
use super::compare::{Needed, unlisted};
use super::report::PlatformMoveReport;
use super::sides::Sides;
use super::{PlatformMover, Side};

/// Secrets under way at once. No more values than these are in memory.
const TOGETHER: usize = 16;

/// One run that copies.
pub(super) struct Copying<'a> {
    mover: &'a PlatformMover,
    pass: &'a Pass<'a>,
    sides: Sides<'a>,
    report: PlatformMoveReport,
    newest: Option<Timestamp>,
}

/// What the new manager has under a name.
enum Found {
    Nothing,
    /// It waits for its deletion.
    Waiting,
    Something,
}

/// A secret that was read in the old manager, and how it stands in the new one.
struct Begun {
    needed: Needed,
    value: SecretValue,
    found: Found,
    /// Whether this move wrote, or is about to write, what is there.
    written: bool,
}

impl Begun {
    fn name(&self) -> String {
        self.needed.name.to_string()
    }

    fn copy(&self, state: CopyState) -> PlatformCopy {
        PlatformCopy {
            name: self.needed.name.clone(),
            source: self.needed.source.clone(),
            state,
            written: self.written,
            changed: self.needed.changed,
        }
    }
}

impl<'a> Copying<'a> {
    pub(super) fn new(
        mover: &'a PlatformMover,
        pass: &'a Pass<'a>,
        sides: Sides<'a>,
        report: PlatformMoveReport,
    ) -> Self {
        Self {
            mover,
            pass,
            sides,
            report,
            newest: None,
        }
    }

    /// Goes through everything that was listed when the pass began at `started`.
    pub(super) async fn run(mut self, started: Timestamp) -> Result<PlatformMoveReport> {
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
            for (name, error) in &compared.failed {
                self.report.take_error(name, error);
            }
            self.copy_page(compared.needed).await?;
        }
        unlisted(self.pass, self.sides, &mut self.report).await?;
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

    async fn copy_page(&mut self, needed: Vec<Needed>) -> Result<()> {
        self.report.needed += needed.len() as u64;
        let known = self.known(&needed).await?;
        let mut left = Vec::new();
        for (needed, known) in needed.into_iter().zip(known) {
            if needed.is_compared(known.as_ref()) {
                self.report.already_there += 1;
            } else {
                left.push((needed, known));
            }
        }
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

    async fn known(&self, needed: &[Needed]) -> Result<Vec<Option<PlatformCopy>>> {
        let Some(id) = self.report.id else {
            return Ok(vec![None; needed.len()]);
        };
        let names: Vec<SecretName> = needed.iter().map(|it| it.name.clone()).collect();
        self.mover.store.copies(id, &names).await
    }

    async fn copy_together(&mut self, needed: Vec<(Needed, Option<PlatformCopy>)>) -> Result<()> {
        let begun = self.begin(needed).await;
        if self.report.dry_run {
            return self.look(begun).await;
        }
        let new = begun.iter().filter(|it| matches!(it.found, Found::Nothing));
        let new: Vec<PlatformCopy> = new.map(|it| it.copy(CopyState::Writing)).collect();
        self.write_down(&new).await?;
        let puts = join_all(begun.iter().map(|it| self.put(it))).await;
        let mut there = Vec::with_capacity(begun.len());
        for (begun, put) in begun.into_iter().zip(puts) {
            match put {
                Ok(()) => there.push(begun),
                Err(error) => self.report.take_error(begun.needed.name.as_str(), &error),
            }
        }
        let equal = self.compare(there).await;
        let mut copies = Vec::with_capacity(equal.len());
        for begun in equal {
            match begun.found {
                Found::Nothing => self.report.copied += 1,
                Found::Waiting | Found::Something => self.report.already_there += 1,
            }
            copies.push(begun.copy(CopyState::Copied));
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
            match begin_one(needed, known.as_ref(), value, found) {
                Ok(it) => begun.push(it),
                Err(error) => self.report.take_error(&name, &error),
            }
        }
        begun
    }

    /// Says what copying would come to.
    async fn look(&mut self, begun: Vec<Begun>) -> Result<()> {
        let (new, there): (Vec<Begun>, Vec<Begun>) = begun
            .into_iter()
            .partition(|it| !matches!(it.found, Found::Something));
        for begun in new {
            match fits(&begun, self.mover.to.capabilities()) {
                Ok(()) => self.report.copied += 1,
                Err(error) => self.report.take_error(begun.needed.name.as_str(), &error),
            }
        }
        self.report.already_there += self.compare(there).await.len() as u64;
        Ok(())
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
                restored.await
            }
            Found::Something => Ok(()),
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
    let written = matches!(found, Found::Nothing) || before.is_some_and(|known| known.written);
    Ok(Begun {
        needed,
        value,
        found,
        written,
    })
}

/// Whether the new manager takes it.
fn fits(begun: &Begun, capabilities: &cloakroom_core::Capabilities) -> Result<()> {
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
    } else if begun.needed.name.as_str().len() > capabilities.longest_name {
        format!(
            "its name is longer than the {} bytes that the new manager takes",
            capabilities.longest_name
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::TooLarge, super::OPERATION, problem))
}
