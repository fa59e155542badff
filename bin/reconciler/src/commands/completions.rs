//! `completions` and `man`.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output::Console;

/// Prints completions.
pub(super) fn completions(shell: Shell, console: &Console) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "reconciler", &mut script);
    console.bytes(&script)?;
    Ok(Exit::Done)
}

/// Prints the manual, every command on one page; or writes a page for each command into a folder,
/// so that `man reconciler-document-put` finds it.
pub(super) fn man(folder: Option<&Path>, console: &Console) -> anyhow::Result<Exit> {
    let mut command = Cli::command();
    if let Some(folder) = folder {
        let shown = folder.display();
        std::fs::create_dir_all(folder).with_context(|| format!("make the folder {shown}"))?;
        clap_mangen::generate_to(command, folder)
            .with_context(|| format!("write the manual to {shown}"))?;
        console.note(format_args!("the manual is in {shown}"));
        return Ok(Exit::Done);
    }
    command.build();
    let mut page = Vec::new();
    let manual = clap_mangen::Man::new(command.clone());
    manual.render(&mut page)?;
    render_subcommands(&command, &mut page)?;
    console.bytes(&page)?;
    Ok(Exit::Done)
}

fn render_subcommands(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let name = sub.get_bin_name().unwrap_or(sub.get_name()).to_uppercase();
        page.extend(format!(".SH \"{name}\"\n").bytes());
        let man = clap_mangen::Man::new(sub.clone());
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        render_subcommands(sub, page)?;
    }
    Ok(())
}
