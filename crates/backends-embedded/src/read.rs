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
    ) -> Result<HashMap<Coordinate, Result<FullRow, Failure>>, Failure> {
        Ok(self
            .table
            .full_rows(coordinates)
            .await?
            .into_iter()
            .collect())
    }

    pub(crate) fn read(
        &self,
        found: Option<&Result<FullRow, Failure>>,
    ) -> Result<StoredSecret, Failure> {
        let full = found
            .ok_or_else(missing)?
            .as_ref()
            .map_err(Failure::clone)?;
        if let Some(failure) = waiting(&full.row) {
            return Err(failure);
        }
        Ok(StoredSecret {
            value: self.open(full)?,
            mark: Some(full.row.mark.clone()),
        })
    }

    pub(crate) async fn try_describe(
        &self,
        coordinates: &[Coordinate],
    ) -> Result<HashMap<Coordinate, Result<Row, Failure>>, Failure> {
        Ok(self.table.rows(coordinates).await?.into_iter().collect())
    }

    pub(crate) async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let after = match page {
            None => "",
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
        let next = last.map(|(coordinate, _)| PageToken(coordinate.as_str().into()));
        // A mark that cannot be read is none; who asks for the secret by its name is told why.
        let readable = rows.into_iter().filter_map(|(_, row)| row.ok());
        Ok(ListPage {
            secrets: readable.map(Row::into_description).collect(),
            next,
        })
    }
}
