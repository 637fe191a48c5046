#!/usr/bin/env bash
# Another crate uses the harness: its procedures, its snapshots, its checks. Needs Rust.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}" INSTA_UPDATE=no
# The versions of the crate above: what is built there is used here.
cp "$root/Cargo.lock" Cargo.lock
work=$(mktemp -d)
trap 'rm -rf "$work" target' EXIT

fails() {
  local log=$1 code=0
  shift
  "$@" > "$log" 2>&1 || code=$?
  if [ "$code" = 0 ]; then echo "it must not pass: $*"; cat "$log"; exit 1; fi
}
says() { grep -F -- "$2" "$1" || { echo "not said: $2"; cat "$1"; exit 1; }; }

echo "five lines of main, a procedure, a snapshot and a check of its own pass"
cargo test --quiet --test procedures > "$work/passed" 2>&1 || { cat "$work/passed"; exit 1; }
says "$work/passed" 'test result: ok. 3 passed'

echo "a feature of its own turns a lane on"
cargo test --quiet --test procedures -- --list --ignored > "$work/off"
says "$work/off" 'gaudi::short_question: test'
cargo test --quiet --features gaudi --test procedures -- --list --ignored > "$work/on"
if grep gaudi "$work/on"; then echo "lane gaudi must be on"; exit 1; fi

echo "a failing check and a panicking one fail the trial under their names, and the run stays"
fails "$work/failed" cargo test --quiet --test wrong -- standin
says "$work/failed" 'FAIL  check:no_decode 2 decode steps, expected none'
says "$work/failed" 'FAIL  check:careless the check panicked: a second rank'
says "$work/failed" 'n/a   check:elsewhere no second rank'
says target/wrong/standin/short_question-1/verdict.json '"name": "check:careless"'
test -f target/wrong/standin/short_question-1/report.html

echo "they are asked again by a replay, and without them nobody says that they passed"
TRACEGATE_REPLAY="$PWD/target/wrong/standin/short_question-1" fails "$work/replayed" cargo test --quiet --test wrong -- standin
says "$work/replayed" 'FAIL  check:careless the check panicked: a second rank'
(cd "$root" && cargo build --quiet)
"$CARGO_TARGET_DIR/debug/tracegate" check target/wrong/standin/short_question-1 > "$work/checked"
says "$work/checked" 'n/a   check:careless asked in Rust by the harness that ran it'

echo "a procedure that is not there is refused"
CHOSEN=long_question fails "$work/unknown" cargo test --quiet --test wrong
says "$work/unknown" 'there is no procedure "long_question"; known are short_question'

echo "without a snapshot it does not pass; one accepted afresh lands in its own tree and is the committed one"
mkdir "$work/tree" && cp -r procedures "$work/tree/"
binary=$(cargo test --test procedures --no-run --message-format json 2> /dev/null |
  grep -o '"executable":"[^"]*/procedures-[^"]*"' | tail -1 | cut -d '"' -f 4)
fails "$work/unreviewed" env CARGO_MANIFEST_DIR="$work/tree" "$binary" standin
says "$work/unreviewed" "there is no reviewed snapshot $work/tree/snapshots/standin/short_question.snap"
CARGO_MANIFEST_DIR="$work/tree" INSTA_UPDATE=always "$binary" standin > "$work/accepted" 2>&1 || { cat "$work/accepted"; exit 1; }
diff snapshots/standin/short_question.snap "$work/tree/snapshots/standin/short_question.snap"
