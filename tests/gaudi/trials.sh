#!/usr/bin/env bash
# Runs the trials of lane gaudi on a machine without Gaudi: recording stand-ins take the places of hl-smi,
# hl-prof-config and Python. They prove the harness, never Gaudi. Run from the repository; needs Rust.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet
tracegate="$PWD/${CARGO_TARGET_DIR:-target}/debug/tracegate"
cp -r tests/gaudi/bin "$work/bin"
ln -s "$tracegate" "$work/bin/tracegate"

# The trials read procedures and snapshots from here, so that nothing is written into the repository.
mkdir "$work/tree" && cp -r procedures snapshots "$work/tree/"
cargo test --quiet --features gaudi --test harness --no-run
harness=$(cargo test --features gaudi --test harness --no-run --message-format json 2> /dev/null |
  grep -o '"executable":"[^"]*/harness-[^"]*"' | tail -1 | cut -d '"' -f 4)
run() { TMPDIR="$work" CARGO_MANIFEST_DIR="$work/tree" PATH="$1" INSTA_UPDATE="$2" "$harness" gaudi; }

echo "without the tools every trial fails at its first step"
if run "/usr/bin:/bin" no > "$work/without" 2>&1; then echo "it must not pass"; exit 1; fi
grep -c 'hl-smi is not on PATH' "$work/without" | grep -x 10
grep 'test result: FAILED. 0 passed; 10 failed' "$work/without"

echo "with them the whole lane runs; the first run of a lane has no snapshots and says so"
if run "$work/bin:/usr/bin:/bin" no > "$work/unreviewed" 2>&1; then echo "an unreviewed lane must not pass"; exit 1; fi
grep -c 'there is no reviewed snapshot' "$work/unreviewed" | grep -x 10

echo "accepted once, the lane passes again and again"
run "$work/bin:/usr/bin:/bin" always > "$work/accepting" 2>&1 || { cat "$work/accepting"; exit 1; }
run "$work/bin:/usr/bin:/bin" no | tee "$work/reviewed" | grep 'test result: ok. 10 passed' || { cat "$work/reviewed"; exit 1; }
grep -c -- '--use-template profile_api --hw-trace off' "$work/bin/calls"
grep -- '--use-template profile_api_with_nics --fuser on --trace-analyzer on' "$work/bin/calls" | head -1

echo "trials take turns on one server: as many boots as there are servers, and none is left"
# Servers and scripts that were started; the question for versions begins with -c.
boots() { grep '^python3 ' "$work/bin/calls" | grep -vc '^python3 -c'; }
keepers() { pgrep -f "^tracegate-keeper" | while read -r pid; do
  if tr '\0' '\n' < "/proc/$pid/environ" 2> /dev/null | grep -q "^TMPDIR=$work"; then echo "$pid"; fi; done; }
: > "$work/bin/calls"
run "$work/bin:/usr/bin:/bin" no | grep 'test result: ok. 10 passed'
boots | grep -x 8
test -z "$(keepers)"

echo "as processes of their own, four at a time, as nextest runs them"
: > "$work/bin/calls"
one() { NEXTEST=1 TMPDIR="$work" CARGO_MANIFEST_DIR="$work/tree" PATH="$work/bin:/usr/bin:/bin" INSTA_UPDATE=no "$harness" --exact "gaudi::$1"; }
pids=()
for name in async_single_request async_multiple_requests e2e_single_request e2e_multiple_requests; do
  one "$name" > "$work/$name.log" 2>&1 & pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || { cat "$work"/*_request*.log; exit 1; }; done
boots | grep -x 2
test -n "$(keepers)"

echo "a trial that is killed takes its server with it, and the next one boots another"
one async_single_request > "$work/killed.log" 2>&1 & victim=$!
sleep 0.2; kill -9 "$victim" 2> /dev/null || true
one async_single_request | grep 'test result: ok. 1 passed'

echo "when nobody comes any more the keeper ends, and its server with it"
for _ in $(seq 150); do test -z "$(keepers)" && break; sleep 0.2; done
test -z "$(keepers)"
if pgrep -f "tracegate-guard.*$work" > /dev/null; then echo "a guard is left"; exit 1; fi
