//! Commands as text for people to read and paste. tracegate itself never runs a shell.

use super::model::{Command, PORT, Plan, RUN};

/// A command as one line, quoted for a POSIX shell.
pub(super) fn line(command: &Command) -> String {
    let variables = command.env.iter().map(|(key, value)| format!("{key}={}", quote(value)));
    let words = command.argv.iter().map(|word| quote(word));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
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
        script += "RUN=\"${RUN:-$PWD/run}\"; PORT=\"${PORT:-8080}\"\nmkdir -p \"$RUN/traces\"\n\n";
        for command in &self.prepare {
            script += &format!("{}\n\n", variable(command));
        }
        script += &format!("{} &\n\n", variable(&self.server));
        script += "until curl -sf \"http://127.0.0.1:$PORT/health\"; do sleep 1; done\n";
        if let Some(bench) = &self.bench_command {
            script += &format!("{}\nkill %1; wait\n", variable(&bench.command));
            return script;
        }
        script += "curl -X POST \"http://127.0.0.1:$PORT/start_profile\"\n";
        if let Some(bench) = &self.bench {
            script += &format!(
                "# {} requests of {} prompt tokens and {} output tokens, {} at once at most, as `vllm bench serve` sends them\n",
                bench.num_prompts,
                bench.random_input_len,
                bench.random_output_len,
                bench.max_concurrency.map_or_else(|| "any number".to_owned(), |limit| limit.to_string())
            );
        }
        for request in &self.requests {
            let body = serde_json::json!({
                "model": self.served_model, "prompt": request.prompt,
                "max_tokens": request.max_tokens, "temperature": request.temperature,
            });
            script += &format!(
                "curl \"http://127.0.0.1:$PORT/v1/completions\" -H 'Content-Type: application/json' -d {}\n",
                quote(&body.to_string())
            );
        }
        script += "curl -X POST \"http://127.0.0.1:$PORT/stop_profile\"\nkill %1; wait\n";
        script
    }
}

/// A line in which the placeholders are shell variables.
fn variable(command: &Command) -> String {
    let open = |text: String| text.replace(RUN, "'\"$RUN\"'").replace(PORT, "'\"$PORT\"'");
    let quoted = |word: &String| {
        if word.contains(RUN) || word.contains(PORT) {
            open(format!("'{}'", word.replace('\'', r"'\''"))).replace("''\"", "\"").replace("\"''", "\"")
        } else {
            quote(word)
        }
    };
    let variables = command.env.iter().map(|(key, value)| format!("{key}={}", quoted(value)));
    let words = command.argv.iter().map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" \\\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quote("--port"), "--port");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("a;rm -rf $HOME"), "'a;rm -rf $HOME'");
        assert_eq!(quote(""), "''");
        let command = Command { argv: vec!["x".into(), "{\"dir\":\"{run}/traces\"}".into()], env: [].into() };
        assert_eq!(variable(&command), "x \\\n    '{\"dir\":\"'\"$RUN\"'/traces\"}'");
    }
}
