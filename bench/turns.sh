#!/usr/bin/env bash
# Compares the speed of the checkout with that of another commit, by turns on this
# machine, and prints what changed as Markdown. The exit status is 1 if a case is
# slower than noise explains, and 2 if the two cannot be compared. PASSES is the number
# of passes, 6 by default and at least 3.
#
#     bench/turns.sh COMMIT [FLAG OF COMPARE]...
#     PASSES=3 bench/turns.sh main -work 'one key' -reps 11
#
# Both are measured by the checkout's own benchmarks, unless these do not compile with
# the other commit: then it is measured by those that it has.
set -euo pipefail
cd "$(dirname "$0")/.."

base=${1:?which commit to compare with}
shift
passes=${PASSES:-6}
# What go test -bench runs; the rest is measured by compare.
benchmarks='^Benchmark(Of|Batch|Checksum|LookupDependent|Split|CommandRoute|Parse|Route)$/^(len=(8|16|64)|unpredictable.*|tag.*|keys=256|bytes=(64|1024|16384)|owners=(16|1000)|command=.*|reply=.*|by=.*)$'

work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"

build() { # CHECKOUT NAME
	go build -C "$1/bench/compare" -o "$work/$2.compare" . && go test -C "$1" -c -o "$work/$2.test" ./bench
}
build . head
rm -rf "$work/base/bench"
cp -R bench "$work/base/bench"
if ! build "$work/base" base 2>"$work/log"; then
	echo "The benchmarks of the checkout do not compile with $base; those of $base are used for it." >&2
	rm -rf "$work/base/bench"
	git -C "$work/base" checkout --quiet -- .
	build "$work/base" base
fi

for pass in $(seq "$passes"); do
	for side in base head; do
		echo "pass $pass of $passes: $side" >&2
		checkout=.
		[[ $side == head ]] || checkout=$work/base
		(cd "$checkout/bench/compare" && "$work/$side.compare" "$@" -passes 1 -add -o "$work/$side.results" 2>"$work/log") || { cat "$work/log" >&2; exit 2; }
		"$work/$side.test" -test.run '^$' -test.bench "$benchmarks" -test.benchtime 10ms >>"$work/$side.txt"
	done
done

echo '## Beside other libraries, by turns'
echo
status=0
(cd bench/compare && "$work/head.compare" -passes 0 -add -o "$work/head.results" -baseline "$(echo "$work"/base.results/*.json)" 2>"$work/log") || status=$?
((status < 2)) || cat "$work/log" >&2
echo
echo '## go test -bench, by turns, in the words of benchstat'
echo
echo '```'
go run golang.org/x/perf/cmd/benchstat@latest base="$work/base.txt" head="$work/head.txt"
echo '```'
exit "$status"
