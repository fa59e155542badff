//! What is known here by name is held against OpenMetadata's own published client: every property that this takes for
//! a password. A new release shows what is missing.
#![expect(
    clippy::unwrap_used,
    reason = "a trial fails by panicking; the lint knows only #[test]"
)]

#[expect(dead_code, reason = "the laws of the source stand on the rest of it")]
#[path = "laws/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::env;

use cloakroom_core::platform::DefectKind;
use cloakroom_store_openmetadata::{Base, Ids};
use cloakroom_testkit::openmetadata::{CLIENT, Deployment, passwords_of_client};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

use support::{Bench, Server, naming};

const LIST: &str = "[]";
const MAP: &str = "{}";

/// A name, the variables it needs, and what is run.
type Law = (&'static str, Vec<&'static str>, fn() -> Result<(), Failed>);

fn main() {
    let arguments = Arguments::from_args();
    let must = env::var("CI").is_ok_and(|ci| ci == "true");
    let database = Server::Postgres.variable();
    let laws: [Law; 2] = [
        (
            "no_id_of_a_password_is_taken_for_anothers",
            vec![CLIENT],
            no_id_of_a_password_is_taken_for_anothers,
        ),
        (
            "every_password_in_clear_is_found",
            vec![CLIENT, database],
            every_password_in_clear_is_found,
        ),
    ];
    let trials = laws.map(|(law, needs, obey)| {
        let missing = needs.into_iter().find(|name| env::var_os(name).is_none());
        match (missing, must) {
            (None, _) => Trial::test(law, obey),
            (Some(name), true) => {
                Trial::test(law, move || Err(format!("{name} is not set").into()))
            }
            (Some(name), false) => {
                Trial::test(format!("{law} ({name} is not set)"), || Ok(())).with_ignored_flag(true)
            }
        }
    });
    libtest_mimic::run(&arguments, trials.into()).exit();
}

/// Whose a password is, and the way to it in the entity.
struct Password {
    owner: String,
    way: Vec<String>,
}

impl Password {
    fn all() -> Result<Vec<Self>, Failed> {
        let told = passwords_of_client(&env::var_os(CLIENT).unwrap())?;
        assert!(told.len() > 500, "{} are not all of them", told.len());
        let password = |(owner, way)| Self { owner, way };
        Ok(told.into_iter().map(password).collect())
    }

    /// The id that OpenMetadata gives it; none where the way leads through a list.
    fn id(&self, ids: &Ids) -> Option<String> {
        let name = "x";
        let base = match self.owner.as_str() {
            "pipeline of its own" => Base::Pipeline(name),
            "workflow of its own" => Base::Workflow(name),
            "bot" => Base::Bot(name),
            kind => Base::Service { kind, name },
        };
        let key = |it| if it == MAP { "key" } else { it };
        let way: Vec<&str> = self.way.iter().map(|it| key(it.as_str())).collect();
        match way.as_slice() {
            way if way.contains(&LIST) => None,
            ["openMetadataServerConnection", way @ ..] => {
                Some(ids.build(Base::ServerConnection, way))
            }
            way => Some(ids.build(base, way)),
        }
    }

    /// The table of such entities; services of every type stand in one for all.
    fn table(&self) -> &'static str {
        match self.owner.as_str() {
            "pipeline of its own" => "ingestion_pipeline_entity",
            "workflow of its own" => "automations_workflow",
            "bot" => "user_entity",
            _ => "dbservice_entity",
        }
    }

    /// Where in the entity it is.
    fn pointer(&self) -> String {
        let root = match self.table() {
            "dbservice_entity" => "/connection/config",
            "user_entity" => "/authenticationMechanism",
            _ => "",
        };
        let step = |it: &String| match it.as_str() {
            LIST => "/0".to_owned(),
            MAP => "/key".to_owned(),
            it => format!("/{it}"),
        };
        let way: String = self.way.iter().map(step).collect();
        format!("{root}{way}")
    }

    /// An entity that has it in clear, and nothing else.
    fn in_clear(&self, number: usize) -> Value {
        let pointer = self.pointer();
        let steps = pointer[1..].rsplit('/');
        let mut entity = steps.fold(json!("in clear"), |inner, step| match step {
            "0" => json!([inner]),
            step => json!({ step: inner }),
        });
        entity["id"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
        entity["name"] = json!("x");
        entity
    }
}

/// Where no tags tell, such a secret would be another deployment's, and stay for ever.
fn no_id_of_a_password_is_taken_for_anothers() -> Result<(), Failed> {
    let ids = Ids::new(naming())?;
    let all = Password::all()?;
    let foreign = all.iter().filter_map(|it| it.id(&ids));
    let foreign: BTreeSet<String> = foreign.filter(|id| ids.may_be_anothers(id)).collect();
    assert_eq!(foreign, BTreeSet::new());
    Ok(())
}

fn every_password_in_clear_is_found() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let all = Password::all()?;
    let url = env::var(Server::Postgres.variable())?;
    let bench = Bench::new(Server::Postgres, &url, "client::passwords");
    runtime.block_on(async {
        bench.make().await;
        bench.fill(&Deployment::new(0, naming())).await;
        let rows = all.iter().enumerate().map(|(number, it)| {
            let (table, entity) = (it.table(), it.in_clear(number));
            format!("INSERT INTO {table} (json, nameHash) VALUES ('{entity}', '{number}');")
        });
        bench.sql(&rows.collect::<String>()).await;
        let (found, report) = bench.scan().await;
        assert_eq!(report.obstacles, []);
        let clear = found.defects.iter();
        let clear = clear.filter(|it| it.kind == DefectKind::ClearText);
        let clear: BTreeSet<_> = clear
            .filter_map(|it| Some((it.row?, it.pointer.clone()?)))
            .collect();
        let missed = all.iter().enumerate().filter(|(number, it)| {
            let row = format!("00000000-0000-4000-8000-{number:012}")
                .parse()
                .unwrap();
            !clear.contains(&(row, it.pointer()))
        });
        let missed: BTreeSet<String> = missed
            .map(|(_, it)| format!("{}: {}", it.owner, it.pointer()))
            .collect();
        assert_eq!(missed, BTreeSet::new());
        bench.remove().await;
    });
    Ok(())
}
