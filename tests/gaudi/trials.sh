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
grep -c 'there is no committed snapshot' "$work/unreviewed" | grep -x 10

echo "accepted once, the lane passes again and again"
run "$work/bin:/usr/bin:/bin" always > "$work/accepting" 2>&1 || { cat "$work/accepting"; exit 1; }
run "$work/bin:/usr/bin:/bin" no | tee "$work/reviewed" | grep 'test result: ok. 10 passed' || { cat "$work/reviewed"; exit 1; }
grep -c -- '--use-template profile_api --hw-trace off' "$work/bin/calls"
grep -- '--use-template profile_api_with_nics --fuser on --trace-analyzer on' "$work/bin/calls" | head -1
