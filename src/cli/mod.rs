//! The headless program: subcommands over the same engine the window uses.
