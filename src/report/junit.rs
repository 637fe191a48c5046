//! JUnit: a suite for each lane, a case for each check of each run. An infrastructure error is an `error`, never a
//! `failure`.

use super::page::Reported;
use crate::judge::Answer;
use std::collections::BTreeMap;

/// The document.
pub(crate) fn junit(runs: &[Reported]) -> String {
    let mut lanes: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for run in runs {
        lanes.entry(run.plan.lane.name()).or_default().extend(cases(run));
    }
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tracegate\">\n");
    for (lane, cases) in lanes {
        let count = |kind: &str| cases.iter().filter(|case| case.kind == Some(kind)).count();
        text += &format!(
            "  <testsuite name=\"{lane}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
            cases.len(),
            count("failure"),
            count("error"),
            count("skipped")
        );
        for case in cases {
            text += &case.text();
        }
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

struct Case {
    class: String,
    name: String,
    /// `failure`, `error` or `skipped`.
    kind: Option<&'static str>,
    message: String,
    properties: Vec<(String, String)>,
}

impl Case {
    fn text(&self) -> String {
        let mut text =
            format!("    <testcase classname=\"{}\" name=\"{}\">\n", xml(&self.class), xml(&self.name));
        if !self.properties.is_empty() {
            text += "      <properties>\n";
            for (name, value) in &self.properties {
                text += &format!("        <property name=\"{}\" value=\"{}\"/>\n", xml(name), xml(value));
            }
            text += "      </properties>\n";
        }
        if let Some(kind) = self.kind {
            text += &format!("      <{kind} message=\"{}\"/>\n", xml(&self.message));
        }
        text + "    </testcase>\n"
    }
}

fn cases(run: &Reported) -> Vec<Case> {
    let class = format!("{}::{}", run.plan.lane.trial_prefix(), run.plan.procedure);
    let case = |name: &str, kind, message: &str| Case {
        class: class.clone(),
        name: format!("{}.{name}", run.name()),
        kind,
        message: message.to_owned(),
        properties: Vec::new(),
    };
    let decided = match &run.decided {
        Err(error) => return vec![case("run", Some("error"), &error.to_string())],
        Ok(decided) => decided,
    };
    let mut cases: Vec<Case> = decided
        .verdict
        .checks
        .iter()
        .map(|check| match &check.answer {
            Answer::Holds(_) => case(&check.name, None, ""),
            Answer::Fails(detail) => case(&check.name, Some("failure"), detail),
            Answer::CannotSay(reason) => case(&check.name, Some("skipped"), reason),
        })
        .collect();
    if let Some(first) = cases.first_mut() {
        first.properties = properties(run);
    }
    cases
}

fn properties(run: &Reported) -> Vec<(String, String)> {
    let mut all = vec![("run_directory".to_owned(), run.directory.path().display().to_string())];
    if let Ok(decided) = &run.decided {
        for trace in &decided.observed.traces {
            all.push(("trace".to_owned(), trace.file.clone()));
            let rank = trace.rank.map_or_else(String::new, |rank| format!(".rank{rank}"));
            all.extend(
                trace
                    .gaps
                    .iter()
                    .map(|(pair, gap)| (format!("gap.{pair}.p50_ns{rank}"), gap.p50_ns.as_ns().to_string())),
            );
        }
    }
    all
}

/// Text for an attribute. XML 1.0 has no control characters, not even escaped.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in crate::text::inert(text, 4_000).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_xml() {
        assert_eq!(xml("a<b>\"&\n\u{1}"), "a&lt;b&gt;&quot;&amp;&#10;\u{fffd}");
    }
}
