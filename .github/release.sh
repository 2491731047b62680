#!/usr/bin/env bash
# Builds the command for each platform into a folder, with SHA256SUMS. Two checkouts of
# one commit give the same bytes with the same Go, wherever they are: CI builds twice.
#
#     .github/release.sh DIR [PLATFORM...]
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
(($#)) || set -- linux/amd64 linux/arm64 darwin/arm64 windows/amd64
export CGO_ENABLED=0 GOFLAGS= GOWORK=off GOAMD64=v1 GOARM64=v8.0
for platform in "$@"; do
	export GOOS=${platform%/*} GOARCH=${platform#*/}
	name=hashslot-$GOOS-$GOARCH
	[[ $GOOS != windows ]] || name+=.exe
	# With -buildvcs, "hashslot version" prints the tag and the commit.
	go build -trimpath -buildvcs=true -o "$out/$name" ./cmd/hashslot
done
cd "$out"
sha256sum hashslot-* >SHA256SUMS
