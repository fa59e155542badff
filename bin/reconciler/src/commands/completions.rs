//! `completions` and `man`.

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

/// Prints the manual: one page with every command.
pub(super) fn man(console: &Console) -> anyhow::Result<Exit> {
    let mut command = Cli::command();
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
