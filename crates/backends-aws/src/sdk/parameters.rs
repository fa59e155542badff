//! The requests to Parameter Store.

use std::collections::HashMap;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{
    ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag,
};
use cloakroom_core::{ErrorKind, SecretValue, Timestamp};

use super::answer::{failure, time};
use super::session::{Session, client};
use crate::failure::Failure;
use crate::settings::AwsSettings;

/// The most that DescribeParameters gives on one page.
const PAGE: i32 = 50;

/// One account's Parameter Store in one region.
pub(crate) struct Parameters {
    session: Session<Client>,
}

/// A parameter to be written.
pub(crate) struct NewParameter<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a SecretValue,
    pub(crate) kms_key: Option<&'a str>,
    pub(crate) description: &'a str,
    /// Only where nothing is replaced.
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) advanced: bool,
    /// Policies as JSON.
    pub(crate) policies: Option<String>,
    /// Whether it takes the place of the one that has the name.
    pub(crate) replaces: bool,
}

/// All but the value and the tags.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Whether its value is encrypted.
    pub(crate) secure: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) version: i64,
    pub(crate) changed: Option<Timestamp>,
    /// Policies as JSON, one each.
    pub(crate) policies: Vec<String>,
}

/// What was answered for each name.
pub(crate) type Values = HashMap<String, Result<SecretValue, Failure>>;

/// Which parameters a description is asked of.
pub(crate) enum Asked<'a> {
    /// Those of these very names, at most 50.
    Names(&'a [String]),
    /// Those whose names begin so and that bear this tag with this value.
    Tagged {
        prefix: &'a str,
        key: &'a str,
        value: &'a str,
    },
    /// Those whose names begin so, however many levels they have.
    Under(&'a str),
}

impl Parameters {
    pub(crate) fn new(settings: AwsSettings) -> Self {
        Self {
            session: Session::new("Parameter Store", settings, |config, settings| {
                client!(aws_sdk_ssm, config, &settings.endpoint_url)
            }),
        }
    }

    /// Writes a parameter of type SecureString, with tags and policies in one step. The number of the
    /// version it made is 1 where nothing had the name.
    pub(crate) async fn put(&self, new: &NewParameter<'_>) -> Result<i64, Failure> {
        let Some(text) = new.value.expose_text() else {
            return Err(Failure::new(
                ErrorKind::Unsupported,
                "Parameter Store takes text only, and the value is not UTF-8",
            ));
        };
        let tags: Vec<_> = new
            .tags
            .iter()
            .map(|(key, value)| tag(key, value))
            .collect::<Result<_, _>>()?;
        let tier = if new.advanced {
            ParameterTier::Advanced
        } else {
            ParameterTier::Standard
        };
        self.session
            .call(|client| {
                let request = client
                    .put_parameter()
                    .name(new.name)
                    .value(text)
                    .r#type(ParameterType::SecureString)
                    .description(new.description)
                    .tier(tier.clone())
                    .overwrite(new.replaces)
                    .set_key_id(new.kms_key.map(str::to_owned))
                    .set_policies(new.policies.clone())
                    .set_tags((!tags.is_empty()).then(|| tags.clone()));
                async move {
                    let put = request.send().await;
                    put.map(|it| it.version).map_err(|error| failure(&error))
                }
            })
            .await
    }

    /// The values under at most ten names. `Missing` are those that AWS names as such; a name that is not
    /// in the answer was not answered for.
    pub(crate) async fn values(&self, names: &[String]) -> Result<Values, Failure> {
        self.session
            .call(|client| async move {
                let request = client.get_parameters().with_decryption(true);
                let read = request.set_names(Some(names.to_vec())).send().await;
                let read = read.map_err(|error| failure(&error))?;
                let missing = read.invalid_parameters.unwrap_or_default().into_iter();
                let mut answers: Values = missing.map(|it| (it, Err(Failure::missing()))).collect();
                let read = read.parameters.unwrap_or_default().into_iter();
                let read = read.filter_map(|it| Some((it.name?, Ok(it.value?.into()))));
                answers.extend(read);
                Ok(answers)
            })
            .await
    }

    /// A page of descriptions, and where the next one begins. AWS may give a page of none that is
    /// not the last.
    pub(crate) async fn describe(
        &self,
        asked: &Asked<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<Parameter>, Option<String>), Failure> {
        let filters = match asked {
            Asked::Names(names) => vec![filter("Name", "Equals", names)?],
            Asked::Under(prefix) => by_prefix(prefix, "Recursive")?.into_iter().collect(),
            Asked::Tagged { prefix, key, value } => {
                let tag = filter(&format!("tag:{key}"), "Equals", &[(*value).to_owned()])?;
                let under = by_prefix(prefix, "OneLevel")?;
                under.into_iter().chain([tag]).collect()
            }
        };
        let filters = &filters;
        let page = self
            .session
            .call(|client| async move {
                let request = client
                    .describe_parameters()
                    .max_results(PAGE)
                    .set_parameter_filters(Some(filters.clone()))
                    .set_next_token(token.map(str::to_owned));
                request.send().await.map_err(|error| failure(&error))
            })
            .await?;
        let found = page.parameters.unwrap_or_default().into_iter();
        let found = found.filter_map(|it| {
            let policies = it.policies.unwrap_or_default().into_iter();
            Some(Parameter {
                name: it.name?,
                description: it.description.unwrap_or_default(),
                secure: it.r#type == Some(ParameterType::SecureString),
                kms_key: it.key_id,
                version: it.version,
                changed: time(it.last_modified_date.as_ref()),
                policies: policies.filter_map(|policy| policy.policy_text).collect(),
            })
        });
        let next = page.next_token.filter(|token| !token.is_empty());
        Ok((found.collect(), next))
    }

    /// The tags under a name, which need no right to read its value. `Missing` where there is none.
    pub(crate) async fn tags(&self, name: &str) -> Result<Vec<(String, String)>, Failure> {
        self.session
            .call(|client| async move {
                let request = client
                    .list_tags_for_resource()
                    .resource_type(ResourceTypeForTagging::Parameter)
                    .resource_id(name);
                let tags = request.send().await.map_err(|error| failure(&error))?;
                let tags = tags.tag_list.unwrap_or_default().into_iter();
                Ok(tags.map(|tag| (tag.key, tag.value)).collect())
            })
            .await
    }

    /// Adds tags to what has a name. `Missing` where there is none.
    pub(crate) async fn tag(&self, name: &str, tags: &[(String, String)]) -> Result<(), Failure> {
        let tags = tags.iter().map(|(key, value)| tag(key, value));
        let tags: Vec<_> = tags.collect::<Result<_, _>>()?;
        let tags = &tags;
        self.session
            .call(|client| async move {
                let request = client
                    .add_tags_to_resource()
                    .resource_type(ResourceTypeForTagging::Parameter)
                    .resource_id(name)
                    .set_tags(Some(tags.clone()));
                let done = request.send().await;
                done.map(drop).map_err(|error| failure(&error))
            })
            .await
    }

    /// Deletes one.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), Failure> {
        self.session
            .call(|client| async move {
                let done = client.delete_parameter().name(name).send().await;
                done.map(drop).map_err(|error| failure(&error))
            })
            .await
    }

    /// Deletes at most ten; gives the names of those it deleted.
    pub(crate) async fn delete_many(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        self.session
            .call(|client| async move {
                let request = client.delete_parameters();
                let done = request.set_names(Some(names.to_vec())).send().await;
                let done = done.map_err(|error| failure(&error))?;
                Ok(done.deleted_parameters.unwrap_or_default())
            })
            .await
    }
}

/// Names so far below a path where the prefix is one, and otherwise whatever begins with it.
fn by_prefix(prefix: &str, depth: &str) -> Result<Option<ParameterStringFilter>, Failure> {
    let path = prefix.strip_suffix('/').filter(|path| !path.is_empty());
    Ok(match path {
        Some(path) => Some(filter("Path", depth, &[path.to_owned()])?),
        None if prefix.is_empty() => None,
        None => Some(filter("Name", "BeginsWith", &[prefix.to_owned()])?),
    })
}

fn filter(key: &str, option: &str, values: &[String]) -> Result<ParameterStringFilter, Failure> {
    let filter = ParameterStringFilter::builder()
        .key(key)
        .option(option)
        .set_values(Some(values.to_vec()));
    filter.build().map_err(|_| incomplete())
}

fn tag(key: &str, value: &str) -> Result<Tag, Failure> {
    let tag = Tag::builder().key(key).value(value);
    tag.build().map_err(|_| incomplete())
}

fn incomplete() -> Failure {
    Failure::new(ErrorKind::Invalid, "a request to AWS was left incomplete")
}
