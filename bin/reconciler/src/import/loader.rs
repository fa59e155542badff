//! Where OpenMetadata's clients find what a file does not say: the environment, or Airflow's settings.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use super::source::Source;
use super::template::{expand, only_variable};
use super::{Notes, Written};

/// The section of airflow.cfg, and what its variables begin with.
const SECTION: &str = "openmetadata_secrets_manager";
const VARIABLES: &str = "AIRFLOW__OPENMETADATA_SECRETS_MANAGER__";

/// One setting by its three names.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    /// Under `parameters`.
    parameter: &'static str,
    /// In the environment; the first that is set.
    variables: &'static [&'static str],
    /// In Airflow's section.
    airflow: &'static str,
}

impl Setting {
    pub(super) const fn new(
        parameter: &'static str,
        variables: &'static [&'static str],
        airflow: &'static str,
    ) -> Self {
        Self {
            parameter,
            variables,
            airflow,
        }
    }
}

/// `secretsManagerLoader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    /// What the surroundings offer.
    Noop,
    /// Variables of the environment.
    Env,
    /// Airflow's section or its variables.
    Airflow,
}

/// What a file is read with.
pub(super) struct Surroundings<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    loader: Loader,
    /// What airflow.cfg says in the section; may be secret.
    airflow: BTreeMap<String, Zeroizing<String>>,
}

impl<'a> Surroundings<'a> {
    /// The text of airflow.cfg, where there is one, and whatever finds variables.
    pub(super) fn new(
        airflow: Option<&str>,
        lookup: &'a dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            lookup,
            loader: Loader::Noop,
            airflow: airflow.map(section).transpose()?.unwrap_or_default(),
        })
    }

    /// A text with its variables replaced.
    pub(super) fn expand(&self, text: &str) -> String {
        expand(text, self.lookup)
    }

    /// Takes the loader that a section names.
    pub(super) fn take_loader(
        &mut self,
        source: &mut Source,
        notes: &mut Notes,
    ) -> anyhow::Result<()> {
        let Some(named) = source.text("secretsManagerLoader")? else {
            return Ok(());
        };
        self.loader = match self.expand(&named).as_str() {
            "noop" | "" => Loader::Noop,
            "env" => Loader::Env,
            "airflow" => Loader::Airflow,
            _ => bail!("`secretsManagerLoader` is none of noop, airflow and env"),
        };
        if self.loader == Loader::Airflow && self.airflow.is_empty() {
            notes.remark(format!(
                "the loader is `airflow`: what it reads in [{SECTION}] of airflow.cfg is carried over with \
                 --airflow-cfg FILE"
            ));
        }
        Ok(())
    }

    /// A setting that is no secret: the file's, or what the loader finds.
    pub(super) fn told(&self, source: &mut Source, it: Setting) -> anyhow::Result<Option<String>> {
        let text = source.text(it.parameter)?.map(|it| self.expand(&it));
        let set = |text: &String| !text.trim().is_empty();
        Ok(text.filter(set).or_else(|| self.loaded(it)))
    }

    fn loaded(&self, it: Setting) -> Option<String> {
        let of_airflow = || {
            let variable = (self.lookup)(&variable(it.airflow));
            variable.or_else(|| self.airflow.get(it.airflow).map(|it| it.to_string()))
        };
        let found = match self.loader {
            Loader::Airflow => of_airflow(),
            Loader::Noop | Loader::Env => None,
        };
        let in_environment = || it.variables.iter().find_map(|name| (self.lookup)(name));
        found
            .or_else(in_environment)
            .filter(|text| !text.trim().is_empty())
    }

    /// Secrets that belong together, as far as they may be told: which variable each is in. Where all of
    /// them come out empty there are none, as if they did not stand there.
    pub(super) fn secrets<const N: usize>(
        &self,
        source: &mut Source,
        settings: [Setting; N],
        notes: &mut Notes,
    ) -> anyhow::Result<[Option<Written>; N]> {
        let mut found = [const { None }; N];
        let (mut is_any_set, mut unset) = (false, Vec::new());
        for (place, it) in found.iter_mut().zip(settings) {
            let text = source.text(it.parameter)?.map(Zeroizing::new);
            let variable = || text.as_ref().and_then(|text| only_variable(text));
            let is_set = text
                .as_ref()
                .is_some_and(|text| !Zeroizing::new(self.expand(text)).trim().is_empty());
            *place = if is_set {
                Some(Written(variable()))
            } else {
                self.secret_of_airflow(it)
            };
            is_any_set |= place.is_some();
            if place.is_none() && text.is_some() {
                *place = variable().map(|it| Written(Some(it)));
                unset.push(it.parameter);
            }
        }
        if is_any_set || unset.is_empty() {
            return Ok(found);
        }
        notes.remark(format!(
            "{}: empty, and left out; where OpenMetadata has its variable set, set it and import again",
            unset.join(" and ")
        ));
        Ok([const { None }; N])
    }

    /// The same where Airflow's settings are read.
    fn secret_of_airflow(&self, it: Setting) -> Option<Written> {
        if self.loader != Loader::Airflow {
            return None;
        }
        let variable = variable(it.airflow);
        let set = |text: &str| !text.trim().is_empty();
        if (self.lookup)(&variable)
            .map(Zeroizing::new)
            .is_some_and(|it| set(&it))
        {
            return Some(Written(Some(variable)));
        }
        let in_file = self.airflow.get(it.airflow);
        in_file.filter(|it| set(it)).map(|_| Written(None))
    }
}

fn variable(key: &str) -> String {
    format!("{VARIABLES}{}", key.to_ascii_uppercase())
}

/// What stands in our section of an airflow.cfg. Nothing of a line is ever repeated.
fn section(text: &str) -> anyhow::Result<BTreeMap<String, Zeroizing<String>>> {
    let mut found = BTreeMap::new();
    let mut inside = false;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end().strip_suffix(']') == Some(SECTION);
        } else if inside {
            let (key, value) = line
                .split_once(['=', ':'])
                .with_context(|| format!("line {} of airflow.cfg is no setting", number + 1))?;
            let value = Zeroizing::new(value.trim().to_owned());
            found.insert(key.trim().to_ascii_lowercase(), value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_section_is_read() {
        let text = "\u{feff}[core]\nkey = 1\n[openmetadata_secrets_manager]\n# a\n; b\nAWS_Region = x = y\n\
                    empty =\n[other]\naws_region = z\n";
        let found = section(text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(key, it)| (key.as_str(), it.as_str()))
            .collect();
        assert_eq!(found, [("aws_region", "x = y"), ("empty", "")]);
        assert!(section("[openmetadata_secrets_manager]\nno setting").is_err());
        assert!(section("garbled").unwrap().is_empty());
    }
}
