//! The nightly rule by simulation, at full size: the table of `docs/history.md`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints what it measured")]

#[path = "../tests/it/simulation/mod.rs"]
mod simulation;

use simulation::{NOISES, RULES, score};

const TRIALS: u64 = 2_000;

fn main() {
    // `cargo test --benches` and `cargo bench --no-run` must not simulate for minutes.
    let trials = if std::env::args().any(|word| word == "--test") { 2 } else { TRIALS };
    print!("| rule |");
    NOISES.iter().for_each(|(name, _)| print!(" {name} |"));
    println!();
    for (name, metrics, alerts) in RULES {
        print!("| {name} |");
        for (_, noise) in NOISES {
            let score = score(noise, metrics, alerts, trials);
            print!(
                " {:.2} ({:.2}) / {:.1} / {} |",
                score.false_per_100, score.false_begun_per_100, score.caught, score.delay
            );
        }
        println!();
    }
}
