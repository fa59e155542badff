//! No request names more than AWS takes in one. The emulator looks at one of these limits only, so the
//! law stands in AWS's stead and counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cloakroom_backends_aws::{Authentication, AwsSettings};
use cloakroom_core::{Coordinate, DeleteMode, SecretValue};
use cloakroom_testkit::canary::{MARKER, marked};
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::own::{Outcome, outcome, request};
use crate::server::{Aws, REGION};

/// The operation, where its request has a list of names, and how many AWS takes (API reference).
const LIMITS: [(&str, &str, usize); 5] = [
    ("secretsmanager.BatchGetSecretValue", "/SecretIdList", 20),
    ("secretsmanager.ListSecrets", "/Filters/0/Values", 10),
    ("AmazonSSM.GetParameters", "/Names", 10),
    ("AmazonSSM.DeleteParameters", "/Names", 10),
    (
        "AmazonSSM.DescribeParameters",
        "/ParameterFilters/0/Values",
        50,
    ),
];

/// How many names each request of an operation had, in the order they came.
type Counts = Arc<Mutex<BTreeMap<&'static str, Vec<usize>>>>;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |service: Aws| {
        let name = format!("{}::limits::no_request_names_too_many", service.name());
        Trial::test(name, move || {
            outcome(no_request_names_too_many(service)).map_err(Failed::from)
        })
    };
    [Aws::SecretsManager, Aws::ParameterStore].map(trial).into()
}

async fn no_request_names_too_many(service: Aws) -> Outcome {
    let counts = Counts::default();
    let counting = Arc::clone(&counts);
    let aws = Service::start(move |asked| answer(asked, &counting)).await?;
    let backend = service.connect(settings(service, &aws)).await?;
    let named = backend.named().unwrap();
    for many in [1, 2, 9, 10, 11, 20, 21, 50, 51, 101] {
        let coordinates: Vec<Coordinate> =
            (0..many).map(|_| request("x").mark.coordinate).collect();
        let names: Vec<_> = coordinates.iter().map(ToString::to_string).collect();
        let mut failed = Vec::new();
        let read = backend.get_many(&coordinates).await;
        failed.extend(read.into_iter().filter_map(Result::err));
        let read = named.read_named(&names).await;
        failed.extend(read.into_iter().filter_map(Result::err));
        let described = backend.describe_many(&coordinates).await;
        failed.extend(described.into_iter().filter_map(Result::err));
        let described = named.describe_named(&names).await;
        failed.extend(described.into_iter().filter_map(Result::err));
        let deleted = backend.delete_many(&coordinates, DeleteMode::Final).await;
        failed.extend(deleted.into_iter().filter_map(Result::err));
        assert!(failed.is_empty(), "{many}: {failed:?}");
        // Two batches of values, one of them by coordinates: none is asked for twice.
        let counted = std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner));
        for (operation, _, most) in LIMITS {
            let requests = counted.get(operation).map_or(&[][..], Vec::as_slice);
            assert!(
                requests.iter().all(|it| it <= &most),
                "{many}: {operation} {requests:?}"
            );
        }
        let read = match service {
            // One by itself goes by GetSecretValue, and its mark by DescribeSecret.
            Aws::SecretsManager if many % 20 == 1 => many - 1 + many,
            Aws::SecretsManager | Aws::ParameterStore => 2 * many,
        };
        let values = [
            "secretsmanager.BatchGetSecretValue",
            "AmazonSSM.GetParameters",
        ];
        let asked = values.iter().filter_map(|it| counted.get(it)).flatten();
        assert_eq!(asked.sum::<usize>(), read, "{many}: {counted:?}");
    }
    Ok(())
}

pub(crate) fn settings(service: Aws, aws: &Service) -> AwsSettings {
    let key = || -> Arc<SecretValue> { Arc::new(marked("key")) };
    AwsSettings {
        account: Some("123456789012".to_owned()),
        endpoint_url: Some(aws.url()),
        authentication: Authentication::Keys {
            access_key_id: key(),
            secret_access_key: key(),
            session_token: None,
        },
        name_prefix: service.prefix(),
        ..AwsSettings::new(REGION)
    }
}

/// As an AWS that has whatever it is asked for, and counts.
fn answer(asked: &Asked, counts: &Counts) -> Answer {
    let operation = asked.header("x-amz-target").unwrap_or_default();
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    let mut names = Vec::new();
    if let Some((operation, list, _)) = LIMITS.into_iter().find(|it| it.0 == operation) {
        let list = body.pointer(list).and_then(Value::as_array);
        names.extend(list.into_iter().flatten().filter_map(Value::as_str));
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(operation).or_default().push(names.len());
    }
    let secret = |name: &str| json!({ "ARN": name, "Name": name, "SecretString": MARKER });
    let parameter = |name: &&str| json!({ "Name": name, "Value": MARKER, "Version": 1 });
    let secrets = || -> Value { names.iter().map(|it| secret(it)).collect() };
    let parameters = || -> Value { names.iter().map(parameter).collect() };
    let told = match operation.rsplit('.').next().unwrap_or_default() {
        "BatchGetSecretValue" => json!({ "SecretValues": secrets(), "Errors": [] }),
        "ListSecrets" => json!({ "SecretList": secrets() }),
        "GetSecretValue" | "DescribeSecret" => {
            secret(body["SecretId"].as_str().unwrap_or_default())
        }
        "DeleteSecret" => json!({}),
        "GetParameters" | "DescribeParameters" => json!({ "Parameters": parameters() }),
        "DeleteParameters" => json!({ "DeletedParameters": names }),
        "ListTagsForResource" => json!({ "TagList": [] }),
        _ => return Answer::json(400, r#"{"__type": "ValidationException"}"#),
    };
    Answer::json(200, told.to_string())
}
