//! The script that an operator would write: list the manager, then for each secret describe it and ask
//! the database whether anything refers to it, one after the other. It has the same clients.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::pass::Stage;

/// What Airbyte's index tables are for; both columns are indexed.
const QUERY: &str = "SELECT EXISTS (SELECT 1 FROM secret_config c \
     JOIN secret_reference r ON r.secret_config_id = c.id \
     WHERE c.secret_storage_id = '00000000-0000-0000-0000-000000000000' \
     AND c.external_coordinate = $1)";

/// What would find the secrets too that older releases wrote into a configuration and nowhere else. It
/// reads every configuration.
const THOROUGH: &str =
    "SELECT EXISTS (SELECT 1 FROM actor WHERE configuration::text LIKE '%' || $1 || '%')";

/// How many secrets it tells of together: it takes minutes, and whoever waits should know that it goes on.
const TOLD: u64 = 5_000;

/// What a run found.
pub struct Script {
    pub queries: u64,
    /// Secrets that a connector is in need of and the script would delete.
    pub wrongly_unused: u64,
    /// How long the thorough query takes for one secret.
    pub thorough_query: Duration,
}

impl Script {
    pub async fn run(stage: &Stage) -> Self {
        let backend = stage.manager.at(stage.proxy.url()).await;
        let named = backend.named().unwrap();
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let page = named.list_named(next.as_ref()).await.unwrap();
            names.extend(page.secrets.into_iter().map(|it| it.name));
            next = page.next;
            if next.is_none() {
                break;
            }
        }

        let mut database = PgConnection::connect(&stage.database.url()).await.unwrap();
        let mut unused = Vec::new();
        let mut queries: u64 = 0;
        let all = names.len();
        for name in names {
            let described = named.describe_named(std::slice::from_ref(&name)).await;
            let described = described.into_iter().next().unwrap().unwrap();
            let in_use: bool = sqlx::query_scalar(QUERY)
                .bind(&name)
                .fetch_one(&mut database)
                .await
                .unwrap();
            queries += 1;
            if queries.is_multiple_of(TOLD) {
                println!("script: {queries} of {all} secrets");
            }
            if !in_use && described.changed.is_some() {
                unused.push(name);
            }
        }
        let mentioned: HashSet<String> = stage
            .airbyte
            .secrets()
            .filter(|it| !it.tombstone)
            .map(|it| it.coordinate.to_string())
            .collect();
        let wrongly_unused = unused.iter().filter(|it| mentioned.contains(*it)).count();
        let begun = Instant::now();
        let _: bool = sqlx::query_scalar(THOROUGH)
            .bind(unused.first())
            .fetch_one(&mut database)
            .await
            .unwrap();
        Self {
            queries,
            wrongly_unused: wrongly_unused as u64,
            thorough_query: begun.elapsed(),
        }
    }
}
