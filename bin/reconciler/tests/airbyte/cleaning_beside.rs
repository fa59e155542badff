//! A second Airbyte whose secrets are in the same manager: what it mentions stays, and nothing goes while it
//! cannot be asked.

use cloakroom_testkit::airbyte::Deployment as Airbyte;
use serde_json::json;
use uuid::Uuid;

use crate::cleaning::{AGED, Stage, on_two_threads};
use crate::database::Database;
use crate::managers::Kind;

pub fn what_another_platform_mentions_stays(kind: Kind) {
    on_two_threads(async {
        let mut stage = Stage::new(kind).await;
        let all = stage.planted.names.len();
        let second = Database::create(&Airbyte::new(1, 8)).await;
        let is_noted = |name: &&String| {
            let orphans = 1_000..1_003;
            orphans
                .into_iter()
                .any(|it| name.contains(&Uuid::from_u128(it).to_string()))
        };
        let noted: Vec<String> = stage
            .planted
            .names
            .iter()
            .filter(is_noted)
            .cloned()
            .collect();
        assert_eq!(noted.len(), 3);
        second.execute("CREATE TABLE public.notes (v text)").await;
        second
            .execute(&format!("INSERT INTO notes VALUES ('{}')", noted.join(" ")))
            .await;
        for (key, value) in [
            ("TYPE", "airbyte"),
            ("BACKEND", "airbyte"),
            ("DATABASE__ENV", "STAGING_DATABASE_URL"),
        ] {
            let name = format!("CLOAKROOM_PLATFORMS__STAGING__{key}");
            stage.cloakroom.set(&name, value);
        }
        let due = stage.planted.superseded + stage.planted.orphaned + stage.planted.ahead;
        stage.json(&["report", "production"]);
        stage.execute(AGED);
        let (plan, _) = stage.json(&["adopt", "production"]);
        let id = plan["id"].as_str().unwrap();
        stage
            .run(&["adopt", "production", "--confirm", id, "--by", "ada"])
            .done();

        let clean = ["clean", "production", "--override", "share"];
        let (report, code) = stage.json(&clean);
        assert_eq!(code, Some(5), "nobody says where it is: {report:#}");
        let obstacle = &report["obstacles"][0];
        assert_eq!(obstacle["subject"], "platform staging");
        let reason = obstacle["detail"].to_string();
        assert!(reason.contains("STAGING_DATABASE_URL"), "{report:#}");
        let told = stage.run(&clean).stdout;
        assert!(
            told.contains("! platform staging: it has secrets"),
            "{told}"
        );
        assert_eq!(stage.there().await, all);

        stage.cloakroom.set("STAGING_DATABASE_URL", &second.url());
        let (report, code) = stage.json(&clean);
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["kept_by_others"], json!({"staging": 3}));
        let gone = usize::try_from(due).unwrap() - 3;
        assert_eq!(stage.there().await, all - gone);
        let told = stage.run(&clean).stdout;
        assert!(
            told.contains("3 secrets stay: platform staging mentions them"),
            "{told}"
        );
        stage.manager.clear(stage.planted.names.clone()).await;
        second.drop().await;
        stage.database.drop().await;
    });
}
