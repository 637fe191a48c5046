#!/usr/bin/env bash
# Renders report pages in headless Chromium. Without arguments: makes the simulated month and the page of eight ranks
# (two minutes) and writes docs/report-*.png. `docs/screenshots.sh check PAGE`: loads the page of eight ranks once and
# checks the document that its script built.
set -euo pipefail
cd "$(dirname "$0")/.."

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "no Chromium here: apt-get install chromium" >&2
  exit 3
}
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
# Nothing is fetched, and nothing of the browser's own either.
browse() {
  "$chromium" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" "$@" 2> "$profile/log"
}
page() { TRACEGATE_WIDE_PAGE="$1" cargo test --quiet --test it eight_ranks; }
# name, page, size, further options
shot() {
  browse --window-size="$3" --screenshot="$PWD/docs/$1.png" "${@:4}" "file://$2"
  # 64 colours are plenty for charts and halve the files.
  if command -v pngquant > /dev/null; then pngquant --force --ext .png 64 "docs/$1.png"; fi
  ls -l "docs/$1.png"
}

if [ "${1:-}" = check ]; then
  dom="$profile/dom.html"
  browse --virtual-time-budget=5000 --dump-dom "file://$(realpath "$2")" > "$dom"
  wanted() { grep -qF -- "$1" "$dom" || { echo "the page lacks: $1" >&2; exit 1; }; }
  wanted 'data-ready="yes"'
  for rank in 0 1 2 3 4 5 6 7; do wanted "rank $rank: 1000 steps"; done
  wanted 'class="at"'
  wanted 'the largest of 916 gaps is 90.000 ms'
  wanted '&lt;img src=x onerror='
  if grep -q '<img' "$dom"; then echo "a title became markup" >&2; exit 1; fi
  if grep -q '<title>1</title>' "$dom"; then echo "a title was run as a script" >&2; exit 1; fi
  echo "the page is whole: $(wc -c < "$dom") bytes of document"
  exit 0
fi

month=$(mktemp -d)
trap 'rm -rf "$profile" "$month"' EXIT
TRACEGATE_MONTH="$month" cargo test --test it month -- --ignored
page "$month/wide.html"
shot report-month "$month/report.html" 1200,1150
shot report-month-dark "$month/report.html" 1200,1150 --blink-settings=preferredColorScheme=0
shot report-ranks "$month/wide.html" 1200,1720
