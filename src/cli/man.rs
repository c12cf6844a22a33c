//! `idshift man`: a manual page for the program and one for each command, made from the options.

use super::options::{self, ManOptions};
use crate::run::{CommandError, Exit, exit_codes};
use crate::ui;
use clap_mangen::Man;
use std::io;
use std::path::Path;

pub(super) fn run(options: &ManOptions) -> Result<Exit, CommandError> {
    if let Some(folder) = &options.dir {
        write_all(folder).map_err(|why| {
            CommandError::usage(format!("{}: cannot be written: {why}", folder.display()))
        })?;
        return Ok(Exit::Success);
    }
    let page = match &options.command {
        None => page(options::command()),
        Some(name) => {
            let known = pages().find(|command| command.get_name() == format!("idshift-{name}"));
            page(known.ok_or_else(|| {
                CommandError::usage(format!("`{name}` is no command"))
                    .with_help("idshift -h lists the commands")
            })?)
        }
    };
    let page = page.map_err(|why| CommandError::usage(why.to_string()))?;
    ui::out_bytes(&page);
    Ok(Exit::Success)
}

/// The commands, each named as its page.
fn pages() -> impl Iterator<Item = clap::Command> {
    let whole = options::command();
    let commands: Vec<clap::Command> = whole.get_subcommands().cloned().collect();
    commands.into_iter().map(|command| {
        let name = format!("idshift-{}", command.get_name());
        let typed = format!("idshift {}", command.get_name());
        command
            .name(name)
            .bin_name(typed)
            .version(env!("CARGO_PKG_VERSION"))
            .after_long_help(format!("Exit codes:\n{}", exit_codes()))
    })
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for command in pages().chain([options::command()]) {
        let path = folder.join(format!("{}.1", command.get_name()));
        std::fs::write(path, page(command)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_the_program_and_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("idshift.1").contains("idshift\\-apply(1)"));
        let apply = read("idshift-apply.1");
        assert!(apply.contains("IDSHIFT_RATE"), "other names of settings");
        assert!(apply.contains("130"), "exit codes");
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, options::command().get_subcommands().count() + 1);
    }
}
