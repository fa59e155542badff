//! Laws of where secrets are kept, under whose keys and with which labels.

use std::time::Duration;

use cloakroom_core::{DeleteMode, ErrorKind, PutOutcome, Result, SecretBackend as _};
use google_cloud_secretmanager_v1::model::Secret;

use crate::double::{Double, Project, backend, request};
use crate::laws;

laws![
    a_regional_secret_lives_in_its_location,
    replicas_and_keys_are_where_they_were_asked_for,
    what_everybody_may_see_is_on_the_secret,
    an_ephemeral_lives_a_minute_at_least,
    a_mark_fits_whatever_the_deployment_is_called,
];

fn key(place: &str) -> String {
    format!("projects/p/locations/{place}/keyRings/r/cryptoKeys/k")
}

async fn seen(project: &Project, name: String) -> Secret {
    let get = project.others().await.get_secret().set_name(name);
    get.send().await.unwrap()
}

async fn a_regional_secret_lives_in_its_location(double: Double) -> Result<()> {
    let project = double.project();
    let mut settings = project.settings();
    settings.location = Some("europe-west3".to_owned());
    settings.kms_keys = vec![key("europe-west3")];
    let (regional, global) = (backend(settings), project.backend());
    let request = request("value");
    let coordinate = &request.mark.coordinate;
    assert_eq!(regional.put(&request).await?, PutOutcome::Created);
    assert_eq!(global.put(&request).await?, PutOutcome::Created);
    assert_eq!(regional.list(None).await?.secrets.len(), 1);

    let name = format!(
        "projects/{}/locations/europe-west3/secrets/{coordinate}",
        project.name
    );
    let secret = seen(&project, name).await;
    assert!(secret.replication.is_none());
    let encryption = secret.customer_managed_encryption.unwrap_or_default();
    assert_eq!(encryption.kms_key_name, key("europe-west3"));

    regional
        .delete(coordinate, DeleteMode::Recoverable(Duration::ZERO), None)
        .await?;
    assert_eq!(global.get(coordinate).await?.value, request.value);
    regional.restore(coordinate).await?;
    assert_eq!(regional.get(coordinate).await?.value, request.value);
    regional.delete(coordinate, DeleteMode::Final, None).await?;
    assert_eq!(
        regional.get(coordinate).await.unwrap_err().kind(),
        ErrorKind::Missing
    );
    Ok(())
}

async fn replicas_and_keys_are_where_they_were_asked_for(double: Double) -> Result<()> {
    let project = double.project();
    let places = ["us-east1".to_owned(), "us-west1".to_owned()];
    let mut replicated = project.settings();
    replicated.replica_locations = places.to_vec();
    replicated.kms_keys = places.iter().rev().map(|place| key(place)).collect();
    let mut automatic = project.settings();
    automatic.kms_keys = vec![key("global")];
    let (first, second) = (request("value"), request("value"));
    backend(replicated).put(&first).await?;
    backend(automatic).put(&second).await?;

    let secret = seen(&project, project.secret(&first.mark.coordinate)).await;
    let replication = secret.replication.unwrap();
    let replicas = &replication.user_managed().unwrap().replicas;
    for (replica, place) in replicas.iter().zip(&places) {
        assert_eq!(&replica.location, place);
        let encryption = replica.customer_managed_encryption.as_ref().unwrap();
        assert_eq!(encryption.kms_key_name, key(place));
    }
    let secret = seen(&project, project.secret(&second.mark.coordinate)).await;
    let replication = secret.replication.unwrap();
    let encryption = &replication.automatic().unwrap().customer_managed_encryption;
    assert_eq!(encryption.as_ref().unwrap().kms_key_name, key("global"));
    Ok(())
}

async fn what_everybody_may_see_is_on_the_secret(double: Double) -> Result<()> {
    let project = double.project();
    let mut settings = project.settings();
    settings.labels = [("team".to_owned(), "data".to_owned())].into();
    let request = request("value");
    backend(settings).put(&request).await?;
    let secret = seen(&project, project.secret(&request.mark.coordinate)).await;
    assert_eq!(secret.labels["team"], "data");
    assert_eq!(secret.labels["cloakroom"], "managed");
    assert_eq!(
        secret.labels["cloakroom-store"],
        request.mark.store.to_string()
    );
    let coordinate = request.mark.coordinate.as_str();
    assert_eq!(secret.annotations["cloakroom-coordinate"], coordinate);
    assert_eq!(secret.annotations["cloakroom-deployment"], "tests");
    assert_eq!(secret.version_destroy_ttl.unwrap().seconds(), 7 * 24 * 3600);
    Ok(())
}

/// Google takes no expiry closer than a minute.
async fn an_ephemeral_lives_a_minute_at_least(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, mut request) = (project.backend(), request("value"));
    request.native_expiry = Some(Duration::from_millis(1500));
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let described = backend.describe(&request.mark.coordinate).await?;
    let (expires, created) = (described.native_expiry.unwrap(), described.created.unwrap());
    assert!(expires.duration_since(created).as_secs() >= 60);
    double
        .control(&format!("{}/advance?seconds=70", project.name))
        .await;
    assert_eq!(project.count().await, 0);
    Ok(())
}

async fn a_mark_fits_whatever_the_deployment_is_called(double: Double) -> Result<()> {
    let project = double.project();
    let (backend, mut request) = (project.backend(), request("value"));
    request.mark.deployment = "Produktion \"Süd\" / 生産 🧥\n".repeat(40);
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let described = backend.describe(&request.mark.coordinate).await?;
    assert_eq!(described.mark, Some(request.mark));
    Ok(())
}
