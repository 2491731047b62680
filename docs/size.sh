#!/usr/bin/env bash
# Prints what hashslot adds to a program, in bytes, and how long its packages take when
# the program starts: the tables of performance.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off

cat >go.mod <<MOD
module size

go 1.25.0

require github.com/hashslot/hashslot v0.9.0

replace github.com/hashslot/hashslot => $root
MOD
program() { # NAME IMPORTS BODY
	mkdir "$1"
	printf 'package main\n\nimport (\n%s\n)\n\nfunc main() {\n%s\n}\n' "$2" "$3" >"$1/main.go"
}
dial='fmt.Println(net.Dial("tcp", os.Args[0]))'
of='println(hashslot.Of(os.Args[0]))'
router='var r topology.Router
view, err := topology.ParseNodes(os.Args[0], topology.Origin{})
r.Apply(view, 0)
redirect, _ := topology.ParseRedirect(os.Args[0], topology.Origin{})
shard, seen := r.ForKey(os.Args[0])
println(err, shard, r.Moved(redirect, nil, seen).Refresh)'
net='"fmt"; "net"; "os"'
program nothing '"os"' 'println(os.Args[0])'
program nothing+of '"os"; "github.com/hashslot/hashslot"' "$of"
program client "$net" "$dial"
program client+of "$net"'; "github.com/hashslot/hashslot"' "$dial; $of"
program client+router "$net"'; "github.com/hashslot/hashslot/slotmap/topology"' "$dial
$router"
go mod tidy 2>/dev/null

size() { # NAME ARG...
	go build -trimpath -o "$1/program" "${@:2}" "./$1"
	stat -c %s "$1/program"
}
echo '| program | with symbols | stripped (`-s -w`) | stripped, purego |'
echo '|---|---:|---:|---:|'
for name in nothing nothing+of client client+of client+router; do
	printf '| %s | %d | %d | %d |\n' "$name" "$(size $name)" "$(size $name -ldflags='-s -w')" "$(size $name -ldflags='-s -w' -tags=purego)"
done
size client+router >/dev/null
for _ in 1 2 3 4 5; do
	GODEBUG=inittrace=1 ./client+router/program 2>&1 >/dev/null | grep -E 'hashslot|cpuid|x/sys' | sed 's/ @.* ms, / /'
	echo
done
