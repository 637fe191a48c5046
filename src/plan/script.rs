//! The manual's Python script as a procedure needs it: what it leaves to defaults is written out, and the ledger
//! is left where a server's clients leave it.

use serde_json::{Map, Value, json};

use super::build::Builder;
use super::model::{Command, RUN};

/// Flags of a server that have no meaning inside a script, each with its value.
const OF_A_SERVER: [&str; 1] = ["--served-model-name"];

/// Begins the line that holds what is sent, as a JSON string.
const REQUESTS: &str = "REQUESTS = ";
/// Begins the line that holds everything with a path in it, as a JSON string.
const PLACES: &str = "PLACES = ";

/// The script behind its parameters. In the places, and only there, `{run}` is its own directory: a prompt may
/// hold any text. vLLM starts its engine in another process, which imports the
/// script again: hence the guard at the end.
const BODY: &str = r#"RUN = os.path.dirname(os.path.abspath(__file__))
PLAN = json.loads(PLACES.replace("{run}", json.dumps(RUN)[1:-1])) | json.loads(REQUESTS)


def main():
    from vllm import LLM, SamplingParams

    llm = LLM(**PLAN["llm"])
    params = [SamplingParams(**each) for each in PLAN["sampling"]]
    llm.start_profile()
    sent = time.time_ns()
    outputs = llm.generate(PLAN["prompts"], params)
    done = time.time_ns()
    llm.stop_profile()
    with open(PLAN["ledger"], "w") as ledger:
        for request, output in enumerate(outputs):
            answer = output.outputs[0]
            served = {
                "request": request,
                "prompt_tokens": len(output.prompt_token_ids),
                "output_tokens": len(answer.token_ids),
                "cached_tokens": output.num_cached_tokens or 0,
                "sent_ns": sent,
                "token_ns": [],
                "done_ns": done,
                "finish_reason": answer.finish_reason,
            }
            ledger.write(json.dumps(served) + "\n")


if __name__ == "__main__":
    main()
"#;

impl Builder<'_> {
    /// The script and the command that runs it, made of the server's own flags.
    pub(super) fn script(&mut self, server: &Command) -> (String, Command) {
        let flags = server.argv.get(self.site.launcher.len()..).unwrap_or_default();
        let requests = &self.procedure.load.request;
        let sampling: Vec<Value> = requests
            .iter()
            .map(|request| json!({"max_tokens": request.max_tokens, "temperature": request.temperature}))
            .collect();
        let prompts: Vec<&String> = requests.iter().map(|request| &request.prompt).collect();
        let sent = json!({"prompts": prompts, "sampling": sampling});
        let places = json!({"llm": keywords(flags), "ledger": format!("{RUN}/client.jsonl")});
        self.adapt(
            "llm.generate([…]) without sampling parameters",
            "SamplingParams with max_tokens and temperature",
            "the defaults (16 tokens, temperature 1) changed between versions and change the traced operators",
            "measured on 0.32.0: greedy_argmax against fused_gumbel_argmax",
        );
        // A JSON string is a Python string, too.
        let text = format!(
            "# Written by tracegate from the procedure {}.\nimport json\nimport os\nimport time\n\n{REQUESTS}{}\n{PLACES}{}\n{BODY}",
            self.procedure.name,
            Value::from(sent.to_string()),
            Value::from(places.to_string()),
        );
        let mut argv = self.site.script.clone();
        argv.push(format!("{RUN}/script.py"));
        (text, Command { argv, env: server.env.clone() })
    }
}

/// The keyword arguments of `LLM` in a script of this crate.
pub(crate) fn keywords_of(script: &str) -> Option<Map<String, Value>> {
    let literal = script.lines().find_map(|line| line.strip_prefix(PLACES))?;
    let places: String = serde_json::from_str(literal).ok()?;
    let mut places: Map<String, Value> = serde_json::from_str(&places).ok()?;
    match places.remove("llm")? {
        Value::Object(keywords) => Some(keywords),
        _ => None,
    }
}

/// `--max-model-len 256 --enforce-eager` as keyword arguments of `LLM`, by the rules of vLLM's command line: a value may
/// stand behind `=`, several values are a list, and `--no-x` switches `x` off.
fn keywords(flags: &[String]) -> Map<String, Value> {
    let mut keywords = Map::new();
    let mut rest = flags.iter().peekable();
    while let Some(word) = rest.next() {
        let (flag, first) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        let mut values: Vec<Value> = first.into_iter().map(literal).collect();
        values.extend(std::iter::from_fn(|| rest.next_if(|word| !is_flag(word))).map(|text| literal(text)));
        if OF_A_SERVER.contains(&flag) {
            continue;
        }
        let name = flag.trim_start_matches('-').replace('-', "_");
        let (name, value) = match (name.strip_prefix("no_"), values.len()) {
            (Some(off), 0) => (off.to_owned(), Value::Bool(false)),
            (_, 0) => (name, Value::Bool(true)),
            (_, 1) => (name, values.remove(0)),
            _ => (name, Value::Array(values)),
        };
        keywords.insert(name, value);
    }
    keywords
}

/// A negative number is a value.
fn is_flag(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|first: char| first == '-' || first.is_alphabetic()))
}

fn literal(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Object(_) | Value::Array(_))) => value,
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_keywords() {
        let flags = [
            "--served-model-name",
            "facebook/opt-125m",
            "--model",
            "/m",
            "--load-format",
            "dummy",
            "--enforce-eager",
            "--max-model-len",
            "256",
            "--profiler-config",
            "{\"profiler\":\"torch\"}",
        ]
        .map(str::to_owned);
        assert_eq!(
            Value::Object(keywords(&flags)),
            json!({"model": "/m", "load_format": "dummy", "enforce_eager": true, "max_model_len": 256,
                "profiler_config": {"profiler": "torch"}})
        );
    }

    /// `seed=1` became the keyword, `--no-x` another keyword, and of a list the last value stayed.
    #[test]
    fn a_flag_has_the_value_that_the_server_would_give_it() {
        let of = |flags: &[&str]| {
            Value::Object(keywords(&flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>()))
        };
        assert_eq!(of(&["--seed=1", "--dtype=auto"]), json!({"seed": 1, "dtype": "auto"}));
        assert_eq!(of(&["--x={\"d\":\"a=b\"}"]), json!({"x": {"d": "a=b"}}));
        assert_eq!(of(&["--no-enable-prefix-caching"]), json!({"enable_prefix_caching": false}));
        assert_eq!(of(&["--sizes", "1", "2", "-4", "--eager"]), json!({"sizes": [1, 2, -4], "eager": true}));
        assert_eq!(of(&["--served-model-name=a", "b", "--seed", "2"]), json!({"seed": 2}));
    }
}
