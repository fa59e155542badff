//! Reading, describing and listing.

use std::collections::HashMap;

use cloakroom_core::{Coordinate, ErrorKind, ListPage, PageToken, StoredSecret};

use crate::backend::EmbeddedBackend;
use crate::failure::Failure;
use crate::opening::{missing, waiting};
use crate::row::{FullRow, Row};

/// Secrets on one page of a listing.
const PAGE: u32 = 1_000;

impl EmbeddedBackend {
    pub(crate) async fn try_get(
        &self,
        coordinates: &[Coordinate],
    ) -> Result<HashMap<Coordinate, FullRow>, Failure> {
        let rows = self.table.full_rows(coordinates).await?;
        Ok(rows
            .into_iter()
            .map(|full| (full.row.mark.coordinate.clone(), full))
            .collect())
    }

    pub(crate) fn read(&self, found: Option<&FullRow>) -> Result<StoredSecret, Failure> {
        let full = found.ok_or_else(missing)?;
        if let Some(due) = full.row.purge {
            return Err(waiting(due));
        }
        Ok(StoredSecret {
            value: self.open(full)?,
            mark: Some(full.row.mark.clone()),
        })
    }

    pub(crate) async fn try_describe(
        &self,
        coordinates: &[Coordinate],
    ) -> Result<HashMap<Coordinate, Row>, Failure> {
        let rows = self.table.rows(coordinates).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.mark.coordinate.clone(), row))
            .collect())
    }

    pub(crate) async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let after = match page {
            None => {
                // All of it: the jobs list each backend again and again, and what expired by itself
                // never reaches a deletion. A listing takes as long as there are rows anyway.
                self.purge(usize::MAX).await;
                ""
            }
            Some(PageToken(token)) if Coordinate::from_stored(token).is_ok() => token,
            Some(_) => {
                return Err(Failure::new(
                    ErrorKind::Invalid,
                    "the page token is none of ours",
                ));
            }
        };
        let mut rows = self.table.page(after, PAGE + 1).await?;
        // The one too many only shows that there is another page.
        let more = rows.len() > PAGE as usize;
        rows.truncate(PAGE as usize);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| PageToken(row.mark.coordinate.as_str().into()));
        Ok(ListPage {
            secrets: rows.into_iter().map(Row::into_description).collect(),
            next,
        })
    }
}
