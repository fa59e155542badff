//! Where OpenMetadata's clients find what a file does not say: the environment, or Airflow's settings.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use super::airflow::{self, Airflow, SECTION};
use super::source::Source;
use super::template::{expand, only_variable, unset};
use super::{Notes, Written};

/// Where Airflow looks for some settings of its own instead: a command's output, or another store.
const ELSEWHERE: [&str; 2] = ["_cmd", "_secret"];

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
    airflow: Airflow,
    /// Variables that are not set, and whether each has a default.
    unset: RefCell<BTreeMap<String, bool>>,
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
            airflow: airflow.map(Airflow::read).transpose()?.unwrap_or_default(),
            unset: RefCell::default(),
        })
    }

    /// A text with its variables replaced.
    pub(super) fn expand(&self, text: &str) -> String {
        self.unset.borrow_mut().extend(unset(text, self.lookup));
        expand(text, self.lookup)
    }

    /// Tells which variables were not set, since OpenMetadata may have them set to something else.
    pub(super) fn tell_unset(&self, notes: &mut Notes) {
        for (by_default, taken) in [(false, "as empty"), (true, "by their defaults")] {
            let unset = self.unset.borrow();
            let names = unset.iter().filter(|(_, it)| **it == by_default);
            let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
            if !names.is_empty() {
                notes.remark(format!(
                    "variables that are not set here, and taken {taken}: {}; where OpenMetadata has them set, set \
                     them and import again",
                    names.join(", ")
                ));
            }
        }
    }

    /// The secrets manager that a section names.
    pub(super) fn manager(&self, source: &mut Source, key: &str) -> anyhow::Result<Option<String>> {
        let Some(named) = source.text(key)? else {
            return Ok(None);
        };
        let manager = self.expand(&named);
        match only_variable(&named) {
            Some(variable) if manager.trim().is_empty() => bail!(
                "`{key}` is the variable `{variable}`, which is empty or not set here: set it as OpenMetadata has it, \
                 and import again"
            ),
            _ => Ok(Some(manager)),
        }
    }

    /// Takes out what is left of the settings of all managers, and tells in one which of them say anything else than the
    /// file that ships.
    pub(super) fn tell_of_others(
        &self,
        source: &mut Source,
        settings: &[(Setting, &str)],
        notes: &mut Notes,
    ) {
        let says_something = |source: &mut Source, it: Setting, shipped: &str| {
            let Ok(text) = source.text(it.parameter) else {
                return true;
            };
            let text = text.map(Zeroizing::new);
            let text = text.map(|it| Zeroizing::new(expand(&it, self.lookup)));
            text.is_some_and(|it| !["", shipped].contains(&it.trim()))
        };
        let mut told = Vec::new();
        for (it, shipped) in settings {
            if says_something(source, *it, shipped) {
                told.push(format!("`{}`", it.parameter));
            }
        }
        if !told.is_empty() {
            notes.remark(format!(
                "of other managers, and left out: {}",
                told.join(", ")
            ));
        }
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
    pub(super) fn told(
        &self,
        source: &mut Source,
        it: Setting,
        notes: &mut Notes,
    ) -> anyhow::Result<Option<String>> {
        let text = source.text(it.parameter)?.map(|it| self.expand(&it));
        let set = |text: &String| !text.trim().is_empty();
        match text.filter(set) {
            Some(text) => Ok(Some(text)),
            None => self.loaded(it, notes),
        }
    }

    fn loaded(&self, it: Setting, notes: &mut Notes) -> anyhow::Result<Option<String>> {
        let found = match self.loader {
            Loader::Airflow => self.of_airflow(it, notes)?,
            Loader::Noop | Loader::Env => None,
        };
        let found = found.map(|found| found.in_full(self.lookup)).transpose()?;
        if let Some(variable) = found.as_deref().and_then(|it| airflow::first_variable(it)) {
            bail!(
                "`{}` of Airflow refers to the variable `{variable}`, which is not set here: set it as Airflow \
                 has it, and import again",
                it.airflow
            );
        }
        let in_environment = || it.variables.iter().find_map(|name| (self.lookup)(name));
        Ok(found
            .map(|it| it.to_string())
            .or_else(in_environment)
            .filter(|text| !text.trim().is_empty()))
    }

    /// What Airflow has for a setting, as it is written: its variables come before its file.
    fn of_airflow(&self, it: Setting, notes: &mut Notes) -> anyhow::Result<Option<OfAirflow>> {
        let key = it.airflow;
        let variable = airflow::variable_of(key);
        let found = match (self.lookup)(&variable) {
            Some(text) => Some(OfAirflow {
                key,
                text: Zeroizing::new(text),
                variable: Some(variable),
            }),
            None => self.airflow.get(key)?.map(|text| OfAirflow {
                key,
                text,
                variable: None,
            }),
        };
        if found.is_none() {
            self.tell_of_elsewhere(key, notes);
        }
        Ok(found)
    }

    fn tell_of_elsewhere(&self, key: &str, notes: &mut Notes) {
        for other in ELSEWHERE.map(|suffix| format!("{key}{suffix}")) {
            let is_set = (self.lookup)(&airflow::variable_of(&other)).map(Zeroizing::new);
            if is_set.is_some() || self.airflow.has(&other) {
                notes.remark(format!(
                    "`{other}` in [{SECTION}] is not carried over: Airflow runs commands, and asks other \
                     stores, for settings of its own alone, and finds no `{key}` there"
                ));
            }
        }
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
                .is_some_and(|text| !Zeroizing::new(expand(text, self.lookup)).trim().is_empty());
            *place = if is_set {
                Some(Written(variable()))
            } else {
                self.secret_of_airflow(it, notes)?
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
    fn secret_of_airflow(&self, it: Setting, notes: &mut Notes) -> anyhow::Result<Option<Written>> {
        if self.loader != Loader::Airflow {
            return Ok(None);
        }
        let Some(found) = self.of_airflow(it, notes)? else {
            return Ok(None);
        };
        let full = found.in_full(self.lookup)?;
        if full.trim().is_empty() {
            return Ok(None);
        }
        // A variable that is not set is none: what looks like one is the secret.
        let says_it_all = |name: &String| {
            let value = (self.lookup)(name).map(Zeroizing::new);
            value.is_some_and(|value| value == full)
        };
        let variable = if full == found.text {
            found.variable
        } else {
            airflow::lone_variable(&found.text).filter(says_it_all)
        };
        Ok(Some(Written(variable)))
    }
}

/// What Airflow has for a setting, before the variables in it are put in.
struct OfAirflow {
    key: &'static str,
    text: Zeroizing<String>,
    /// The variable that it is the text of.
    variable: Option<String>,
}

impl OfAirflow {
    fn in_full(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Zeroizing<String>> {
        let full = airflow::expanded(&self.text, lookup);
        full.with_context(|| format!("`{}` of Airflow", self.key))
    }
}
