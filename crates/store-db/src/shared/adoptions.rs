//! Which plan was shown for a platform, and what an operator confirmed.

use cloakroom_core::platform::{Confirmation, PlatformScope, ShownPlan};
use cloakroom_core::{Error, ErrorKind, Result, Timestamp};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::{Failure, corrupt, printable};

const TABLE: &str = "platform_adoptions";
const CONFIRM: &str = "confirm the plan";

impl Store {
    pub(crate) async fn show_plan(&self, platform: &str, plan: &ShownPlan) -> Result<()> {
        in_transaction!(self, "remember a plan", |tx| show_within(
            &mut tx, platform, plan
        )
        .await
        .map(Ending::Keep))
    }

    pub(crate) async fn confirm(
        &self,
        platform: &str,
        plan: &ShownPlan,
        by: &str,
    ) -> Result<Confirmation> {
        in_transaction!(self, CONFIRM, |tx| self
            .confirm_plan_within(&mut tx, platform, plan, by)
            .await
            .map(Ending::Keep))
    }

    async fn confirm_plan_within(
        &self,
        conn: &mut Conn,
        platform: &str,
        plan: &ShownPlan,
        by: &str,
    ) -> Result<Confirmation, Failure> {
        let mut query = Query::new(
            "SELECT platform AS name, shown_plan, shown_scope FROM platform_adoptions \
             WHERE platform = ",
        );
        query.push_bind(platform).push(dialect::FOR_UPDATE);
        let row = query.build().fetch_optional(&mut *conn).await?;
        let shown = row.as_ref().map(shown).transpose()?.flatten();
        let plan = &check(platform, shown, plan)?;
        let now = self.moment(conn).await?;
        let by = printable(by);
        let mut query = Query::new("UPDATE platform_adoptions SET confirmed_plan = ");
        query
            .push_bind(plan.id.as_str())
            .push(", confirmed_scope = ")
            .push_bind(written(&plan.scope)?)
            .push(", confirmed_by = ")
            .push_bind(by.as_str())
            .push(", confirmed_at = ")
            .push_bind(now)
            .push(" WHERE platform = ")
            .push_bind(platform);
        execute_exactly(conn, query, TABLE, platform, 1).await?;
        Ok(Confirmation {
            plan: plan.id.clone(),
            scope: plan.scope.clone(),
            by,
            at: Timestamp::from_millisecond(now)
                .map_err(|_| corrupt(TABLE, "confirmed_at", platform))?,
        })
    }

    pub(crate) async fn confirmation(&self, platform: &str) -> Result<Option<Confirmation>> {
        let confirmation = async {
            let mut conn = self.read.acquire().await?;
            confirmation_within(&mut conn, platform, "").await
        };
        confirmation
            .await
            .map_err(|failure| told("read a confirmation", failure))
    }
}

/// The confirmation, kept as it is until the transaction ends where `lock` says so.
pub(super) async fn confirmation_within(
    conn: &mut Conn,
    platform: &str,
    lock: &'static str,
) -> Result<Option<Confirmation>, Failure> {
    let mut query = Query::new(
        "SELECT platform AS name, confirmed_plan, confirmed_scope, confirmed_by, confirmed_at \
         FROM platform_adoptions WHERE confirmed_plan IS NOT NULL AND platform = ",
    );
    query.push_bind(platform).push(lock);
    let row = query.build().fetch_optional(conn).await?;
    row.as_ref().map(confirmed).transpose()
}

/// Digits of a plan's id that are enough for an operator to say which one they read.
const ENOUGH: usize = 8;

/// The plan that was shown, if it is the one that is meant.
fn check(platform: &str, shown: Option<ShownPlan>, plan: &ShownPlan) -> Result<ShownPlan, Failure> {
    let is_meant = |shown: &ShownPlan| {
        let is_enough = plan.id.len() >= ENOUGH.min(shown.id.len());
        is_enough && shown.id.starts_with(&plan.id)
    };
    let refuse = |message: String| {
        let error = Error::new(ErrorKind::Conflict, CONFIRM, message);
        Err(error.with_coordinate(platform).into())
    };
    match shown {
        None => refuse("no plan was shown for this platform; `reconciler adopt` shows one".into()),
        Some(shown) if !is_meant(&shown) => refuse(format!(
            "it is not the plan that was shown last ({}), or fewer than {ENOUGH} digits of its id; \
             look at that one first",
            shown.id
        )),
        Some(shown) if shown.scope != plan.scope => refuse(format!(
            "it was made for another {}; have a new one shown",
            shown.scope.differences(&plan.scope).join(", another ")
        )),
        Some(shown) => Ok(shown),
    }
}

async fn show_within(conn: &mut Conn, platform: &str, plan: &ShownPlan) -> Result<(), Failure> {
    let scope = written(&plan.scope)?;
    let mut query =
        Query::new("INSERT INTO platform_adoptions (platform, shown_plan, shown_scope) ");
    query.push_values([plan], |mut row, plan| {
        row.push_bind(platform)
            .push_bind(plan.id.as_str())
            .push_bind(scope.as_str());
    });
    query.push(
        " ON CONFLICT (platform) DO UPDATE SET shown_plan = excluded.shown_plan, \
         shown_scope = excluded.shown_scope",
    );
    execute_exactly(conn, query, TABLE, platform, 1).await
}

fn written(scope: &PlatformScope) -> Result<String, Failure> {
    let text = serde_json::to_string(scope).map_err(|error| {
        Error::new(
            ErrorKind::Invalid,
            "write a platform's scope",
            "it is not JSON",
        )
        .with_source(error)
    })?;
    Ok(printable(&text))
}

fn shown(row: &Row) -> Result<Option<ShownPlan>, Failure> {
    let reader = Reader::new(TABLE, row);
    let id: Option<String> = reader.get("shown_plan")?;
    let scope = reader.optional_word("shown_scope", |it| serde_json::from_str(it).ok())?;
    Ok(id.zip(scope).map(|(id, scope)| ShownPlan { id, scope }))
}

fn confirmed(row: &Row) -> Result<Confirmation, Failure> {
    let reader = Reader::new(TABLE, row);
    Ok(Confirmation {
        plan: reader.get("confirmed_plan")?,
        scope: reader.word("confirmed_scope", |it| serde_json::from_str(it).ok())?,
        by: reader.get("confirmed_by")?,
        at: reader.time("confirmed_at")?,
    })
}
