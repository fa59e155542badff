//! `adopt` and `clean`.

use std::path::PathBuf;

use clap::Args;
use cloakroom_reconcile::CleanGuard;

use super::operator::By;
use super::words::Words;
use crate::repeatable::repeated;

/// Arguments of `adopt`.
#[derive(Clone, Debug, Args)]
pub struct AdoptArgs {
    /// Which of the configured platforms; not needed where there is only one
    #[arg(value_name = "NAME")]
    pub platform: Option<String>,
    /// Only look: the plan that is shown cannot be confirmed
    #[arg(long, conflicts_with = "confirm")]
    pub dry_run: bool,
    /// Confirm the plan that was shown last, by its id or the first eight digits of that: from now on this
    /// platform may be cleaned
    #[arg(long, value_name = "PLAN_ID", value_parser = plan_id)]
    pub confirm: Option<String>,
    /// Write the whole plan as JSON to this file too
    #[arg(long, value_name = "FILE", conflicts_with = "confirm")]
    pub file: Option<PathBuf>,
    /// How many secrets the plan holds at most
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Who confirms it
    #[command(flatten)]
    pub by: By,
}

/// Arguments of `clean`.
#[derive(Clone, Debug, Args)]
pub struct CleanArgs {
    /// Which of the configured platforms; not needed where there is only one
    #[arg(value_name = "NAME")]
    pub platform: Option<String>,
    /// Only look; change nothing in the manager
    #[arg(long)]
    pub dry_run: bool,
    /// A guard that this one run may pass
    #[arg(long = "override", value_name = "GUARD", value_parser = guard_words())]
    pub overrides: Vec<CleanGuard>,
}

fn guard_words() -> Words<CleanGuard> {
    let guards = CleanGuard::ALL.into_iter();
    let passable = guards.filter(|guard| guard.can_be_passed());
    Words::new(passable.map(CleanGuard::as_str), guard)
}

fn guard(word: &str) -> Result<CleanGuard, String> {
    let known = CleanGuard::ALL
        .into_iter()
        .find(|guard| guard.as_str() == word);
    match known {
        Some(guard) if guard.can_be_passed() => Ok(guard),
        Some(guard) => Err(format!(
            "guard {guard} cannot be passed; it ends with `reconciler adopt`"
        )),
        None => {
            let known = CleanGuard::ALL.into_iter().map(CleanGuard::as_str);
            let told = repeated(word, known);
            Err(format!("there is no guard `{told}`; there is share"))
        }
    }
}

/// The id of a plan, or its beginning.
fn plan_id(text: &str) -> Result<String, &'static str> {
    let is_one = (8..=64).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_one
        .then(|| text.to_ascii_lowercase())
        .ok_or("a plan's id has 64 hexadecimal digits; the first eight are enough")
}
