//! Commands as text for people to read and paste. tracegate itself never runs a shell.

use std::borrow::Cow;

use super::model::{Command, Course, PORT, Plan, PortSource, RUN};

/// A command as one line, quoted for a POSIX shell; placeholders stay as they are.
pub(super) fn line(command: &Command) -> String {
    words(command, |word| {
        let rest = word.replace(RUN, "").replace(PORT, "");
        if rest != word && (rest.is_empty() || quote(&rest) == rest) { word.to_owned() } else { quote(word) }
    })
    .join(" ")
}

/// A line in which the placeholders are shell variables.
fn variable(command: &Command) -> String {
    words(command, expanded).join(" \\\n    ")
}

/// The variables and the arguments, each quoted.
fn words(command: &Command, quoted: impl Fn(&str) -> String) -> Vec<String> {
    let variables = command.env.iter().map(|(key, value)| format!("{key}={}", quoted(value)));
    variables.chain(command.argv.iter().map(|word| quoted(word))).collect()
}

/// A word as a shell reads it that has the placeholders as variables.
fn expanded(word: &str) -> String {
    let places = [(RUN, "\"$RUN\""), (PORT, "\"$PORT\"")];
    let first =
        places.into_iter().filter_map(|(name, variable)| Some((word.find(name)?, name, variable))).min();
    let Some((at, name, variable)) = first else { return quote(word) };
    let part = |text: &str| if text.is_empty() { String::new() } else { expanded(text) };
    part(&word[..at]) + variable + &part(&word[at + name.len()..])
}

fn quote(word: &str) -> String {
    // No argument holds a NUL, which is all that could be wrong with one.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned)
}

impl Plan {
    /// The whole plan as a shell script with comments.
    #[must_use]
    pub fn to_script(&self) -> String {
        let mut script = format!(
            "#!/bin/sh\n# {}: {}, lane {}.\n# For people: tracegate runs these commands without a shell.\n",
            self.procedure, self.title, self.lane
        );
        for adaptation in &self.adaptations {
            script += &format!(
                "# manual:  {}\n# planned: {}\n# because: {} [{}]\n",
                adaptation.manual, adaptation.planned, adaptation.reason, adaptation.source
            );
        }
        script += "set -eu\nRUN=\"${RUN:-$PWD/run}\"\nPORT=\"${PORT:-8080}\"\nmkdir -p \"$RUN/traces\" \"$RUN/home\"\n\n";
        for command in &self.prepare {
            script += &format!("{}\n\n", variable(command));
        }
        if self.course.ends_by_itself() {
            return script + &self.ending_script();
        }
        script += &format!(
            "{} &\nSERVER=$!\ntrap 'kill \"$SERVER\" 2>/dev/null || true' EXIT\n\n",
            variable(&self.server)
        );
        if self.port == PortSource::Reported {
            script += "until [ -s \"$RUN/port\" ]; do kill -0 \"$SERVER\"; sleep 1; done\nPORT=$(cat \"$RUN/port\")\n";
        }
        script += "URL=\"http://127.0.0.1:$PORT\"\n";
        script += "until curl -sf \"$URL/health\"; do kill -0 \"$SERVER\"; sleep 1; done\n\n";
        script += &self.window_script();
        script + "\nkill \"$SERVER\"\nwait \"$SERVER\" || true\nls -l \"$RUN/traces\"\n"
    }

    /// A command that ends by itself, and where its traces are.
    fn ending_script(&self) -> String {
        let command = variable(&self.server);
        match self.course {
            Course::Script => format!(
                "# script.py lies in the run directory: RUN=… sh plan.sh\n{command}\nls -l \"$RUN/traces\"\n"
            ),
            _ => format!(
                "# Ends by an intended assertion, \"Finished profiling\".\nmkdir -p \"$RUN/cwd\"\ncd \"$RUN/cwd\"\n{command} || true\nls -l\n"
            ),
        }
    }

    /// What is sent. The workload of `vllm bench serve` has no form as `curl`; it is described.
    fn window_script(&self) -> String {
        if let Some(bench) = &self.bench_command {
            return format!("{}\n", variable(&bench.command));
        }
        let windowed = self.course == Course::Window;
        let mut script = if windowed { "curl -fsS -X POST \"$URL/start_profile\"\n" } else { "" }.to_owned();
        if let Some(bench) = &self.bench {
            script += &format!(
                "# Here tracegate sends {} requests of {} prompt tokens and {} output tokens, {} at once at most.\n",
                bench.num_prompts,
                bench.random_input_len,
                bench.random_output_len,
                bench.max_concurrency.map_or_else(|| "any number".to_owned(), |limit| limit.to_string())
            );
            script +=
                "# `vllm bench serve` sends the same: tracegate plan --client vllm prints its command.\n";
        }
        for request in &self.requests {
            let body = request.body(&self.served_model);
            script += &format!(
                "curl -fsS \"$URL/v1/completions\" -H 'Content-Type: application/json' -d {}\n",
                quote(&body.to_string())
            );
        }
        script + if windowed { "curl -fsS -X POST \"$URL/stop_profile\"\n" } else { "sleep 3\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a word holds, a shell that reads the line has the word.
    #[test]
    fn words_survive_a_shell() {
        for word in ["--port", "it's", "a;rm -rf $HOME", "", "{\"a\":\"b\"}", "x y", "--a=1,2"] {
            let command =
                Command { argv: vec![word.into()], env: [("K".to_owned(), word.to_owned())].into() };
            let read = shlex::split(&line(&command)).unwrap();
            assert_eq!(read, [format!("K={word}"), word.to_owned()]);
        }
    }

    #[test]
    fn placeholders_become_variables() {
        let argv = ["x", "{\"dir\":\"{run}/traces\"}", "{run}", "--port={port}"].map(str::to_owned).to_vec();
        let command = Command { argv, env: [].into() };
        assert_eq!(
            variable(&command),
            "x \\\n    '{\"dir\":\"'\"$RUN\"'/traces\"}' \\\n    \"$RUN\" \\\n    '--port='\"$PORT\""
        );
        assert_eq!(line(&command), "x '{\"dir\":\"{run}/traces\"}' {run} '--port={port}'");
    }
}
