//! `VLLM_PT_PROFILE`: profiles one step of warm-up and ends by an intended assertion, before it serves.
//! From vllm-gaudi `hpu_model_runner.py:5748-5778, 6205` at 091bbadd, never from a real run.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::event_writer::{EventWriter, Slice, base_time};
use super::fault::Fault;
use super::options::StandinOptions;
use super::server::StandinError;
use super::trace_file::leave;

/// Plays the warm-up. Never returns a success: the real server asserts.
pub(super) fn run(options: &StandinOptions) -> Result<(), StandinError> {
    let asked = std::env::var("VLLM_PT_PROFILE").unwrap_or_default();
    std::thread::sleep(options.warmup());
    if options.fault == Some(Fault::ExitDuringBoot) {
        return Err(StandinError::ExitDuringBoot);
    }
    let Some((phase, graphs)) = parse(&asked) else {
        return Err(StandinError::Assertion(format!("VLLM_PT_PROFILE={asked:?} is no profile")));
    };
    if graphs == options.enforce_eager {
        return Err(StandinError::Assertion(
            "the graph flag must be the opposite of enforce_eager".to_owned(),
        ));
    }
    if options.fault != Some(Fault::NoTrace) {
        write_trace(&phase, options.fault)?;
    }
    if std::env::var_os("HABANA_PROFILE_WRITE_HLTV").is_some_and(|set| set == "1") {
        std::fs::write("standin_0.hltv", b"stand-in: no content\n")?;
    }
    Err(StandinError::Assertion("Finished profiling".to_owned()))
}

/// `<phase>_<bs>_<size>_<t|f>`.
fn parse(asked: &str) -> Option<(String, bool)> {
    let parts: Vec<&str> = asked.split('_').collect();
    let [phase @ ("prompt" | "decode"), batch, size, graphs @ ("t" | "f")] = parts[..] else { return None };
    let positive = |text: &str| text.parse::<u32>().is_ok_and(|number| number > 0);
    (positive(batch) && positive(size)).then(|| (phase.to_owned(), graphs == "t"))
}

/// Two steps of warm-up and one recorded: only `ProfilerStep#2` is in the trace.
fn write_trace(phase: &str, fault: Option<Fault>) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as i64;
    let pid = std::process::id();
    let window = (now - 60_000_000, now);
    let mut writer = EventWriter::begin(Vec::new(), base_time(now), &[("with_stack", "1".to_owned())])?;
    writer.metadata("process_name", pid, 0, window.0, "name", &Value::from("VLLM::EngineCore"))?;
    let mut slice = |cat: &str, name: &str, start: i64, end: i64| {
        let slice = Slice { cat, name, pid, tid: pid, start: window.0 + start, duration: end - start };
        writer.slice(slice, format_args!("\"External id\": 1"))
    };
    slice("user_annotation", "ProfilerStep#2", 1_000_000, 55_000_000)?;
    let runner = "vllm_gaudi/v1/worker/hpu_model_runner.py";
    slice("python_function", &format!("{runner}(5748): warmup_scenario"), 1_100_000, 54_000_000)?;
    if phase == "prompt" {
        let made = "vllm_gaudi/v1/attention/backends/hpu_attn.py(61): make_prefill_metadata";
        slice("python_function", made, 1_500_000, 1_900_000)?;
    } else {
        slice(
            "python_function",
            &format!("{runner}(3074): _create_decode_input_data"),
            1_500_000,
            2_100_000,
        )?;
    }
    slice("python_function", &format!("{runner}(3660): _execute_model_generic"), 3_000_000, 50_000_000)?;
    let json = writer.end(window, "tmpptprofile.json")?;
    leave(format!("standin_{pid}.{now}.pt.trace.json.gz").as_ref(), &json, true, fault)
}
