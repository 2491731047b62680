#!/usr/bin/env bash
# servers.sh DIR: unpacks the distribution's redis-server and valkey-server into
# DIR/redis and DIR/valkey and prints the folders of their programs, joined by a
# colon, as HASHSLOT_SERVERS wants them. What is there already stays.
#
# Nothing but shared libraries is installed, so no service is enabled and no
# port is taken. For a package that the distribution has in its -backports suite
# only, its own description of where packages are is copied to a private folder,
# with the suite changed.
set -euo pipefail
mkdir -p "${1:?usage: servers.sh DIR}"
dir=$(cd "$1" && pwd)
sudo=()
[[ $(id -u) == 0 ]] || sudo=(sudo)

fail() {
	echo "servers.sh: $*" >&2
	exit 1
}

# backports adds what points apt-get at the -backports suite, and at nothing else,
# to its options.
backports() {
	local codename
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mkdir -p "$dir/apt/parts" "$dir/apt/lists/partial"
	# The stanza of the main suite: not that of -security, which is elsewhere.
	awk -v suite="$codename" -v RS= -v ORS='\n\n' '
		$0 ~ "(^|\n)Suites:([^\n]* )?" suite "( |\n|$)" {
			sub("Suites:[^\n]*", "Suites: " suite "-backports"); print }
	' /etc/apt/sources.list.d/*.sources >"$dir/apt/parts/backports.sources"
	[[ -s $dir/apt/parts/backports.sources ]] || fail "no .sources file has the suite $codename"
	apt+=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/apt/parts"
		-o "Dir::State::Lists=$dir/apt/lists")
	"${sudo[@]}" apt-get "${apt[@]}" update -qq
}

# unpack NAME PACKAGE...: into DIR/NAME.
unpack() {
	local name=$1 deb
	shift
	[[ ! -x $dir/$name/usr/bin/$name-server ]] || return 0
	rm -rf "$dir/$name.debs"
	mkdir -p "$dir/$name.debs"
	apt=(-o APT::Sandbox::User=root)
	apt-cache show "$@" >/dev/null 2>&1 || backports
	(cd "$dir/$name.debs" && apt-get "${apt[@]}" download -qq "$@" >&2) ||
		{ # the lists are older than the archive
			"${sudo[@]}" apt-get "${apt[@]}" update -qq
			(cd "$dir/$name.debs" && apt-get "${apt[@]}" download -qq "$@" >&2)
		}
	for deb in "$dir/$name.debs"/*.deb; do
		dpkg -x "$deb" "$dir/$name"
	done
	[[ -x $dir/$name/usr/bin/$name-server ]] || fail "no $name-server in $*"
	libraries "$name" "${apt[@]}"
}

# libraries NAME APT-OPTION...: what the loader misses, by the packages' own
# list of what they depend on.
libraries() {
	local name=$1 deb missing
	shift
	missing=$(ldd "$dir/$name/usr/bin/$name-server" "$dir/$name/usr/bin/$name-cli" | grep 'not found' || true)
	[[ -n $missing ]] || return 0
	local packages
	packages=$(for deb in "$dir/$name.debs"/*.deb; do dpkg-deb -f "$deb" Depends; done |
		tr ',|' '\n\n' | sed -E 's/\(.*//; s/[[:space:]]//g' | grep '^lib' | sort -u)
	# The libraries come from the distribution's own suites.
	# shellcheck disable=SC2086
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >&2
	missing=$(ldd "$dir/$name/usr/bin/$name-server" "$dir/$name/usr/bin/$name-cli" | grep 'not found' || true)
	[[ -z $missing ]] || fail "$name misses $missing"
}

ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || "${sudo[@]}" apt-get update -qq
unpack redis redis-server redis-tools
unpack valkey valkey-server valkey-tools
for name in redis valkey; do
	"$dir/$name/usr/bin/$name-server" --version >&2
done
echo "$dir/redis/usr/bin:$dir/valkey/usr/bin"
