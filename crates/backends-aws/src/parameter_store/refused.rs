//! What a refusal means. AWS allows a request before it looks whether there is anything, and what is not there
//! bears no tag: a policy that goes by tags refuses it, and every batch that has it.

use std::collections::HashMap;

use cloakroom_core::{Coordinate, Deletion, ErrorKind};
use futures_util::future::join_all;

use super::ParameterStoreBackend;
use crate::failure::Failure;
use crate::manager::AT_ONCE;
use crate::sdk::{Parameter, Values};

impl ParameterStoreBackend {
    /// Under a policy that goes by tags AWS refuses a batch for one name that is missing or somebody else's.
    /// Whatever was refused is looked at by itself: what is there is asked for alone, what is not is missing.
    pub(super) async fn decide_refusals(
        &self,
        mut values: Values,
        described: &HashMap<String, Parameter>,
    ) -> Values {
        let alone = values.len() == 1;
        let refused = values.iter().filter_map(|(name, answer)| {
            let refusal = answer.as_ref().err().filter(|it| it.is_of_action())?;
            Some((name.clone(), refusal.clone()))
        });
        let refused: Vec<_> = refused.collect();
        for some in refused.chunks(AT_ONCE) {
            let decided = some.iter().map(|(name, refusal)| async move {
                if !described.contains_key(name) && self.is_missing(name).await {
                    return (name.clone(), Err(Failure::missing().after(refusal.clone())));
                }
                let asked = std::slice::from_ref(name);
                let answer = if alone {
                    Err(refusal.clone())
                } else {
                    let answer = self.parameters.values(asked).await;
                    answer.and_then(|mut it| {
                        it.remove(name).unwrap_or_else(|| Err(Failure::left_out()))
                    })
                };
                (name.clone(), answer)
            });
            values.extend(join_all(decided).await);
        }
        values
    }

    /// Whether nothing has a name, by the right to see whether it is taken. Who may not see it is not sure.
    pub(super) async fn is_missing(&self, name: &str) -> bool {
        let tags = self.parameters.tags(name).await;
        tags.is_err_and(|failure| failure.is_missing())
    }

    /// By the same action as a batch, since that is the one that was refused.
    pub(super) async fn delete_one_by_one(
        &self,
        coordinates: &[Coordinate],
        refusal: &Failure,
    ) -> Vec<Result<Deletion, Failure>> {
        let mut answers = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            let name = self.place.name(coordinate);
            let answer = if self.is_missing(&name).await {
                Ok(Deletion::AlreadyGone)
            } else if coordinates.len() == 1 {
                Err(refusal.clone())
            } else {
                match self
                    .parameters
                    .delete_many(std::slice::from_ref(&name))
                    .await
                {
                    Ok(deleted) if deleted.contains(&name) => Ok(Deletion::Deleted),
                    Ok(_) => self.why_not_deleted(&name).await,
                    Err(failure) => Err(failure),
                }
            };
            answers.push(answer);
        }
        answers
    }

    pub(super) async fn why_not_deleted(&self, name: &str) -> Result<Deletion, Failure> {
        match self.parameters.tags(name).await {
            Err(failure) if failure.is_missing() => Ok(Deletion::AlreadyGone),
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::new(
                ErrorKind::Unavailable,
                "AWS left it out of the deletion and does not say why",
            )),
        }
    }
}
