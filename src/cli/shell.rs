//! `tracegate completions` and `tracegate man`: what shells and manuals know of the command line, from its definition.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::exit::Exit;

#[derive(Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tracegate", &mut script);
        crate::output::text(String::from_utf8_lossy(&script));
        Exit::Pass
    }
}

/// The page of the program, followed by one section for each verb.
pub(super) fn man() -> Exit {
    match page() {
        Ok(page) => {
            crate::output::text(page);
            Exit::Pass
        }
        Err(error) => Exit::infrastructure(&error),
    }
}

fn page() -> io::Result<String> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let man = clap_mangen::Man::new(verb.clone());
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}
