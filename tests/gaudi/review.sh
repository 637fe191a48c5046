#!/usr/bin/env bash
# Plays the three commands of docs/review.md, from the hardware runner to the laptop, on a machine without Gaudi:
# recording stand-ins take the device's place on the runner's side, and the laptop's has none. They prove the
# harness, never Gaudi. Run from a clean repository; needs Rust and cargo-insta.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" CARGO_TERM_COLOR=never
unset CI INSTA_UPDATE INSTA_WORKSPACE_ROOT
cargo build --quiet
cp -r tests/gaudi/bin "$work/bin"
ln -s "$CARGO_TARGET_DIR/debug/tracegate" "$work/bin/tracegate"
git clone --quiet . "$work/runner"
git clone --quiet . "$work/laptop"

# The commands as the page has them.
mapfile -t commands < <(sed -n '/<!-- review flow -->/,/^```$/p' docs/review.md | grep -v '^```\|^#\|^<!--')
[ "${#commands[@]}" = 3 ] || { echo "docs/review.md has ${#commands[@]} commands, not 3"; exit 1; }
[ "${commands[2]}" = 'INSTA_PENDING_DIR="$PWD/review/pending" cargo insta review' ]

echo "1. the runner leaves its runs and what is to be reviewed"
(cd "$work/runner" && PATH="$work/bin:$PATH" bash -c "${commands[0]}") > "$work/1" 2>&1 || { cat "$work/1"; exit 1; }
grep 'test result: FAILED. 0 passed; 10 failed' "$work/1"
tar tzf "$work/runner/review.tgz" | grep -c 'review/pending/snapshots/gaudi/.*\.snap\.new$' | grep -x 10
if [ -d "$work/runner/snapshots/gaudi" ]; then echo "the runner's checkout must stay as it was"; exit 1; fi

echo "2. the laptop decides the same runs without a device: they are not reviewed yet"
cp "$work/runner/review.tgz" "$work/laptop/"
if (cd "$work/laptop" && bash -c "${commands[1]}") > "$work/2" 2>&1; then echo "unreviewed runs must not pass"; exit 1; fi
grep -c 'there is no reviewed snapshot' "$work/2" | grep -x 10

echo "3. accepted, they pass"
(cd "$work/laptop" && INSTA_PENDING_DIR="$PWD/review/pending" cargo insta accept) > "$work/3" 2>&1 || { cat "$work/3"; exit 1; }
(cd "$work/laptop" && ls snapshots/gaudi/*.snap | wc -l) | grep -x 10
(cd "$work/laptop" && bash -c "${commands[1]}") > "$work/4" 2>&1 || { cat "$work/4"; exit 1; }
grep 'test result: ok. 10 passed' "$work/4"

echo "and what a later runner does otherwise is named"
sed -i 's/^LaunchSyncTensorsGraph: 1$/LaunchSyncTensorsGraph: 2/' "$work/laptop/snapshots/gaudi/e2e_single_request.snap"
if (cd "$work/laptop" && bash -c "${commands[1]}") > "$work/5" 2>&1; then echo "a difference must fail"; exit 1; fi
grep -A1 'OP FEWER' "$work/5"
