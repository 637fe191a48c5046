#!/usr/bin/env bash
# Compares tracegate with public tools on one synthetic trace: CPU time, wall time, memory, medians of five.
# Needs GNU time and gzip; with HTA=1 also Python, and the package HolisticTraceAnalysis from PyPI in an
# environment of its own (named by HTA_PYTHON, an interpreter that has it).
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
  cat > "$work/hta.py" <<'PY'
import sys
from hta.common.trace_file import *
from hta.common.trace_parser import parse_trace_file
meta, frame, *_ = parse_trace_file(sys.argv[1])
print(len(frame), int(round(frame["dur"].sum() * 1000)))
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
  measure 'HolisticTraceAnalysis parse_trace_file' 1 "$python" "$work/hta.py" "$trace"
  cat "$work/out"
fi
