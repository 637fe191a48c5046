#!/usr/bin/env bash
# Compares tracegate with public tools on one synthetic trace: CPU time, wall time, memory, medians of five.
# Needs GNU time, gawk and gzip; with HTA=1 also traceinsight, which HolisticTraceAnalysis is called now, from PyPI
# (with pandas before 3) in an environment of its own: HTA_PYTHON names its interpreter.
# usage: benches/compare.sh [EVENTS]
set -euo pipefail
cd "$(dirname "$0")/.."
events=${1:-2000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --quiet
tracegate=$PWD/target/release/tracegate
trace=$work/rank0.1.pt.trace.json.gz
"$tracegate" synth --events "$events" -o "$trace" > /dev/null
echo "$events events asked for, $(stat -c %s "$trace") bytes as gzip, $(gzip -dc "$trace" | wc -c) inflated; $(nproc) cores"

# measure NAME RUNS COMMAND…
measure() {
  local name=$1 runs=$2; shift 2
  for _ in $(seq "$runs"); do
    command time -f '%U %S %e %M' -o "$work/time" "$@" > "$work/out"
    tail -1 "$work/time"
  done | awk -v name="$name" '
    { cpu[NR] = $1 + $2; wall[NR] = $3; memory[NR] = $4 }
    function median(list, count) { asort(list); return list[int((count + 1) / 2)] }
    END { printf "%-44s cpu %7.2f s   wall %7.2f s   memory %8.1f MB\n", name, median(cpu, NR), median(wall, NR), median(memory, NR) / 1024 }'
}

command -v gawk > /dev/null || { echo "gawk is needed for the medians"; exit 2; }
awk() { gawk "$@"; }
measure 'gzip -dc' 5 gzip -dc "$trace"
measure 'tracegate inspect --format json' 5 "$tracegate" inspect --format json "$trace"
cp "$work/out" "$work/inspect.json"
if [ "${HTA:-0}" = 1 ]; then
  python=${HTA_PYTHON:-python3}
  mkdir "$work/ranks"
  ln -s "$trace" "$work/ranks/rank0.json.gz"
  cat > "$work/load_with_hta.py" <<'PY'
import sys

from hta.trace_analysis import TraceAnalysis

frame = TraceAnalysis(trace_dir=sys.argv[1]).t.get_trace(0)
print("the table holds", len(frame), "events with a duration of", round(frame["dur"].sum() * 1000), "ns together")
PY
  cat > "$work/check.py" <<'PY'
import gzip, json, sys
events = json.load(gzip.open(sys.argv[1]))["traceEvents"]
durations = sum(round(event.get("dur", 0) * 1000) for event in events)
facts = json.load(open(sys.argv[2]))["traces"][0]
ours = (facts["events"], sum(total["duration_ns"] for total in facts["categories"].values()))
print("events and summed nanoseconds: json", (len(events), durations), "tracegate", ours)
sys.exit((len(events), durations) != ours)
PY
  "$python" "$work/check.py" "$trace" "$work/inspect.json"
  measure 'traceinsight (was HTA) TraceAnalysis(…)' 1 "$python" "$work/load_with_hta.py" "$work/ranks"
  tail -1 "$work/out"
fi
