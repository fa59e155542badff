//! The commands, one a file.

mod adopt;
mod apply;
mod audit;
mod backend;
mod bar;
mod clean;
mod completions;
mod config;
mod digests;
mod document;
mod ephemeral;
mod epoch;
mod fernet;
mod findings;
mod health;
mod input;
mod kept;
mod key;
mod let_go;
mod migrate_beside;
mod migrate_schema;
mod migrate_secrets;
mod migrate_told;
mod migrations;
mod moving;
mod moving_platform;
mod one_by_one;
mod outcome;
mod plan;
mod quarantine;
mod report;
mod restored;
mod run;
mod secret;
mod serve;
mod status;
mod sweep;
mod undo;
mod usage;

use crate::cli::{Cli, Command, FernetCommand, Global};
use crate::configuration::{self, Loaded};
use crate::demo;
use crate::exit::Exit;
use crate::output::Console;
use crate::telemetry;
use crate::wiring::{Context, Schema};

/// Runs a command.
pub async fn dispatch(cli: Cli, console: &Console) -> anyhow::Result<Exit> {
    let global = cli.global;
    match cli.command {
        Command::Completions { shell } => completions::completions(shell, console),
        Command::Man { folder } => completions::man(folder.as_deref(), console),
        Command::Config(command) => config::config(command, &global, console),
        Command::Demo(args) => {
            usage::no_file_for_the_demo(&global)?;
            telemetry::start(
                &configuration::Log::default(),
                global.log_level.as_deref(),
                "warn",
            )?;
            Box::pin(demo::run(args, console)).await
        }
        Command::Serve(args) => {
            let loaded = start(&global, "info")?;
            Box::pin(serve::serve(args, loaded.configuration)).await
        }
        Command::Health(args) => {
            let named = || configuration::listening(global.config.as_deref(), &variables().ok()?);
            health::health(args, || load(&global), named, console).await
        }
        Command::MigrateSchema => {
            let loaded = start(&global, "warn")?;
            migrate_schema::migrate_schema(loaded.configuration, console).await
        }
        Command::Key(command) => Box::pin(key::key(command, &global, console)).await,
        Command::Fernet(command) => {
            let loaded = start(&global, "warn")?;
            let FernetCommand::Rotate(args) = &command;
            usage::known_platform(args.platform.as_deref(), &loaded.configuration)?;
            Box::pin(fernet::fernet(command, &loaded.configuration, console)).await
        }
        command => {
            let loaded = start(&global, "warn")?;
            usage::check(&command, &loaded.configuration)?;
            let context =
                Context::open(loaded.configuration, Schema::CreateWhereChosenHere).await?;
            let done = with_context(command, &context, console).await;
            context.close().await;
            done
        }
    }
}

async fn with_context(
    command: Command,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        Command::Run(args) => run::run(args, context, console).await,
        Command::Plan(args) => plan::plan(args, context, console).await,
        Command::Apply(args) => apply::apply(args, context, console).await,
        Command::Status(args) => status::status(args, context, console).await,
        Command::Document(command) => document::document(command, context, console).await,
        Command::Ephemeral(command) => ephemeral::ephemeral(command, context, console).await,
        Command::Secret(command) => secret::secret(command, context, console).await,
        Command::Backend(command) => backend::backend(command, context, console).await,
        Command::Quarantine(command) => quarantine::quarantine(command, context, console).await,
        Command::Findings(args) => findings::findings(args, context, console).await,
        Command::Epoch(command) => epoch::epoch(command, context, console).await,
        Command::Sweep(args) => sweep::sweep(args, context, console).await,
        Command::Undo(args) => undo::undo(args, context, console).await,
        Command::Move(args) => moving::moving(args, context, console).await,
        Command::MigrateSecrets(args) => {
            Box::pin(migrate_secrets::migrate_secrets(args, context, console)).await
        }
        Command::Audit(command) => audit::audit(command, context, console).await,
        Command::Report(args) => Box::pin(report::report(args, context, console)).await,
        Command::Adopt(args) => Box::pin(adopt::adopt(args, context, console)).await,
        Command::Clean(args) => Box::pin(clean::clean(args, context, console)).await,
        Command::Serve(_)
        | Command::Demo(_)
        | Command::Health(_)
        | Command::MigrateSchema
        | Command::Key(_)
        | Command::Fernet(_)
        | Command::Config(_)
        | Command::Completions { .. }
        | Command::Man { .. } => anyhow::bail!("this command needs no store"),
    }
}

/// Reads the configuration of the command line and the environment.
fn load(global: &Global) -> anyhow::Result<Loaded> {
    configuration::load(global.config.as_deref(), &variables()?)
}

/// The environment. One of our variables that is not Unicode is refused: left out, it would leave in force what
/// it was to change.
fn variables() -> anyhow::Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (Ok(name), Err(_)) if configuration::is_override(&name) => {
                anyhow::bail!("the value of the environment variable {name} is not Unicode");
            }
            (Err(name), _) if name.as_encoded_bytes().starts_with(b"CLOAKROOM_") => anyhow::bail!(
                "the name of the environment variable {} is not Unicode",
                name.display()
            ),
            _ => {}
        }
    }
    Ok(variables)
}

/// Reads the configuration and starts logging.
fn start(global: &Global, usual_level: &str) -> anyhow::Result<Loaded> {
    let loaded = load(global)?;
    telemetry::start(
        &loaded.configuration.log,
        global.log_level.as_deref(),
        usual_level,
    )?;
    Ok(loaded)
}

/// Reads the configuration, starts logging and opens the store.
async fn open(global: &Global) -> anyhow::Result<Context> {
    let loaded = start(global, "warn")?;
    Context::open(loaded.configuration, Schema::CreateWhereChosenHere).await
}
