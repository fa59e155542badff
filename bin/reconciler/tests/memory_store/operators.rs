//! What operators do: the same of both stores.

use super::*;

impl Pair {
    pub(super) async fn operate(&mut self, when: &str) {
        let (backend, run) = (self.backend(), self.run);
        match self.dice.below(4) {
            0 => {
                let from = both!(self, when, |store| store.epoch(&backend))
                    .unwrap()
                    .number;
                let to = from + 1;
                let raise = EpochRaise {
                    from: from - i64::from(self.dice.happens(0.2)),
                    to,
                    raise: self.dice.uuid(),
                    home: Home::of([("raise", to.to_string())]),
                    manager: format!("manager {}", self.dice.below(2)),
                    adopted: self.dice.happens(0.5).then(|| EpochAdopted {
                        run,
                        mark: self.bases[0].clone(),
                        evidence: "seen".to_owned(),
                    }),
                };
                let _ = both!(self, when, |store| store.raise_epoch(&backend, &raise));
                let _ = both!(self, when, |store| home_of_a_raise(store, &backend));
                let of = if self.dice.happens(0.7) {
                    raise.raise
                } else {
                    self.dice.uuid()
                };
                let _ = both!(self, when, |store| store.confirm_epoch(&backend, of));
                let _ = both!(self, when, |store| store.epoch(&backend));
                let manager = format!("manager {}", self.dice.below(2));
                let _ = both!(self, when, |store| store.note_manager(&backend, &manager));
            }
            1 => {
                let known = self.some_known().map(|(_, coordinate)| coordinate);
                let coordinate = known.unwrap_or_else(|| self.bases[1].clone());
                let mut adoption = Adoption {
                    coordinate: coordinate.clone(),
                    digest: self.digest(),
                    intent: self.dice.happens(0.5).then(|| IntentId(self.dice.uuid())),
                    evidence: "seen".to_owned(),
                };
                // What another backend's name leads to as well.
                let theirs = self.backend();
                let rows = [coordinate.clone()];
                let rows = both!(self, when, |store| store.rows(&theirs, &rows)).unwrap();
                if let Some(Some(row)) = rows.first()
                    && self.dice.happens(0.5)
                {
                    adoption.digest = row.digest.clone();
                    adoption.intent = row.intent;
                }
                let identity = self.real.identity().await.unwrap();
                let mark = [Mark {
                    store: identity.store,
                    deployment: identity.deployment,
                    coordinate: coordinate.clone(),
                    digest: adoption.digest.clone(),
                    intent: adoption.intent,
                }];
                let _ = both!(self, when, |store| store.known_elsewhere(&backend, &mark));
                let asked = [coordinate.clone(), self.bases[0].clone()];
                let _ = both!(self, when, |store| store.referenced(&backend, &asked));
                let _ = both!(self, when, |store| store.known(&asked));
                let adoptions = [adoption.clone(), adoption];
                let _ = both!(self, when, |store| store.adopt(run, &backend, &adoptions));
                self.known.push((backend, coordinate));
            }
            2 => self.lose_and_let_go(when).await,
            _ => {
                let known: Vec<_> = (0..3).filter_map(|_| self.some_known()).collect();
                let restored: Vec<Restored> = known
                    .into_iter()
                    .map(|(_, coordinate)| Restored {
                        coordinate,
                        evidence: "seen".to_owned(),
                    })
                    .collect();
                let hold = Duration::from_hours([2, 10][self.pick(2)]);
                let lease = self.hold_lease(when).await;
                let _ = both!(self, when, |store| store
                    .hold(&lease, run, &backend, &restored, hold));
            }
        }
    }

    /// Sometimes the documents go past both stores; then some secrets are let go, missed or not.
    pub(super) async fn lose_and_let_go(&mut self, when: &str) {
        if self.dice.happens(0.3) {
            self.still.lose_documents();
            let Pool::Sqlite { write, .. } = self.real.pool() else {
                unreachable!("it was made with SQLite")
            };
            for table in ["secret_references", "documents"] {
                let statement = sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
                sqlx::query(statement).execute(&write).await.unwrap();
            }
        }
        let (backend, run) = (self.backend(), self.run);
        let missed = both!(self, when, |store| store.missed(&backend, None, 2));
        let missed = missed.unwrap().rows.into_iter().map(|row| row.coordinate);
        let known = (0..2).filter_map(|_| self.some_known());
        let items: Vec<LetGo> = missed
            .chain(known.map(|(_, coordinate)| coordinate))
            .map(|coordinate| LetGo {
                coordinate,
                evidence: "seen".to_owned(),
            })
            .collect();
        let _ = both!(self, when, |store| store
            .let_missed_go(run, &backend, &items));
    }
}
