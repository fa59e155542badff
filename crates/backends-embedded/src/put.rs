//! Writing values under free names, or finding them there.

use cloakroom_core::{Coordinate, ErrorKind, KeyRing, PutOutcome, PutRequest};

use crate::backend::{EmbeddedBackend, MOST_BYTES};
use crate::envelope;
use crate::failure::Failure;
use crate::opening::waiting;
use crate::row::{FullRow, NewRow};

/// A name that changes hands more often than this during one put is somebody's mistake.
const ROUNDS: u32 = 4;

type Answer = Result<PutOutcome, Failure>;

impl EmbeddedBackend {
    pub(crate) async fn try_put(&self, request: &PutRequest) -> Answer {
        let ring = self.ring()?;
        let row = self.seal(request, &ring)?;
        let name = &request.mark.coordinate;
        for _ in 0..ROUNDS {
            let written = self.table.insert(std::slice::from_ref(&row), &ring).await?;
            if written.contains(name) {
                return Ok(PutOutcome::Created);
            }
            let taken = self.table.full_rows(std::slice::from_ref(name)).await?;
            if let Some((_, taken)) = taken.first() {
                return self.compare(request, taken);
            }
            // Whoever had the name is gone since.
        }
        Err(Failure::new(
            ErrorKind::Unavailable,
            "the name is taken and freed all the time",
        ))
    }

    /// Puts what it can in one statement, and what stands in its own way one by one.
    pub(crate) async fn try_put_many(&self, requests: &[PutRequest]) -> Vec<Answer> {
        let ring = match self.ring() {
            Ok(ring) => ring,
            Err(failure) => return requests.iter().map(|_| Err(failure.clone())).collect(),
        };
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        let mut rows: Vec<(usize, NewRow<'_>)> = Vec::with_capacity(requests.len());
        for (at, request) in requests.iter().enumerate() {
            match self.seal(request, &ring) {
                Ok(row) => rows.push((at, row)),
                Err(failure) => answers[at] = Some(Err(failure)),
            }
        }
        // In one order, so that two writers never wait for each other; and each name once.
        rows.sort_by_key(|(at, row)| (row.mark.coordinate.as_str(), *at));
        rows.dedup_by(|(_, later), (_, row)| later.mark.coordinate == row.mark.coordinate);
        let (places, rows): (Vec<usize>, Vec<NewRow<'_>>) = rows.into_iter().unzip();
        let asked: Vec<&PutRequest> = places.iter().map(|at| &requests[*at]).collect();
        let done = self.put_rows(&asked, &rows, &ring).await;
        for (index, at) in places.into_iter().enumerate() {
            answers[at] = match &done {
                Ok(done) => done[index].clone(),
                Err(failure) => Some(Err(failure.clone())),
            };
        }
        let mut all = Vec::with_capacity(answers.len());
        for (request, answer) in requests.iter().zip(answers) {
            all.push(match answer {
                Some(answer) => answer,
                None => self.try_put(request).await,
            });
        }
        all
    }

    /// The answers to requests whose rows these are; `None` where the name was freed meanwhile.
    async fn put_rows(
        &self,
        requests: &[&PutRequest],
        rows: &[NewRow<'_>],
        ring: &KeyRing,
    ) -> Result<Vec<Option<Answer>>, Failure> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let written = self.table.insert(rows, ring).await?;
        let names = rows.iter().map(|row| &row.mark.coordinate);
        let taken: Vec<Coordinate> = names
            .filter(|name| !written.contains(name))
            .cloned()
            .collect();
        let found = if taken.is_empty() {
            Vec::new()
        } else {
            self.table.full_rows(&taken).await?
        };
        let answer = |request: &&PutRequest| {
            let name = &request.mark.coordinate;
            if written.contains(name) {
                return Some(Ok(PutOutcome::Created));
            }
            let (_, taken) = found.iter().find(|(taken, _)| taken == name)?;
            Some(self.compare(request, taken))
        };
        Ok(requests.iter().map(answer).collect())
    }

    fn seal<'a>(&self, request: &'a PutRequest, ring: &KeyRing) -> Result<NewRow<'a>, Failure> {
        let PutRequest {
            mark,
            value,
            native_expiry,
        } = request;
        if value.len() > MOST_BYTES {
            return Err(Failure::new(
                ErrorKind::TooLarge,
                format!(
                    "the value has {} bytes, more than {MOST_BYTES}",
                    value.len()
                ),
            ));
        }
        let place = self.place(&mark.coordinate);
        let sealed = envelope::seal(ring.current(), place, value, self.randomness.as_ref())
            .map_err(|_| Failure::new(ErrorKind::Invalid, "the value cannot be sealed"))?;
        Ok(NewRow {
            mark,
            sealed,
            expiry: *native_expiry,
        })
    }

    /// Whether what has the name is what was to be put there.
    fn compare(&self, request: &PutRequest, taken: &Result<FullRow, Failure>) -> Answer {
        let taken = taken.as_ref().map_err(Failure::clone)?;
        if let Some(failure) = waiting(&taken.row) {
            return Err(failure);
        }
        if !taken.row.belongs_to(request.mark.store) {
            return Err(Failure::new(
                ErrorKind::Conflict,
                format!("the name is taken by store {}", taken.row.mark.store),
            ));
        }
        if !taken.row.mark.is_of_intent(&request.mark) {
            return Err(Failure::new(
                ErrorKind::Conflict,
                "the name is taken by what was put for another intent",
            ));
        }
        if self.open(taken)? == request.value {
            Ok(PutOutcome::AlreadyThere)
        } else {
            Err(Failure::new(
                ErrorKind::Conflict,
                "the name is taken by another value",
            ))
        }
    }
}
