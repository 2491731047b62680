#!/usr/bin/env bash
# servers.sh DIR: unpacks servers of several versions into DIR and prints the
# folders of their programs, joined by colons, for HASHSLOT_SERVERS. Servers that
# are already in DIR stay.
#
#   redis, valkey    the distribution's own; valkey from its -backports suite
#   redis6           Redis 6.0, from bullseye
#   redis8, valkey9  with atomic slot migration: Redis 8.4 or later, from
#                    experimental, and Valkey 9, from forky
#
# The first two are required. Others that no suite offers, or that cannot be
# downloaded, are named on stderr and left out.
#
# The script installs only the shared libraries of the first two, so no service
# is enabled and no port is taken. A server of another suite has the libraries of
# that suite in its own folder, and runs by their loader. To find the packages of
# a suite, the script copies the distribution's own list of sources to a private
# folder and changes the suite.
set -euo pipefail
mkdir -p "${1:?usage: servers.sh DIR}"
dir=$(cd "$1" && pwd)
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
sudo=()
[[ $(id -u) == 0 ]] || sudo=(sudo)
own=(-o APT::Sandbox::User=root) # options of apt-get for the distribution's suites

say() { echo "servers.sh: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

# suites NAME SUITE...: sets apt to options that point apt-get at these suites
# only, and downloads their lists into DIR/apt/NAME.
suites() {
	local name=$1 lists=$dir/apt/$1
	shift
	rm -rf "$lists"
	mkdir -p "$lists/parts" "$lists/lists/partial"
	# The stanza of the main suite, not that of -security, whose packages are elsewhere.
	awk -v own="$codename" -v suites="$*" -v RS= -v ORS='\n\n' '
		$0 ~ "(^|\n)Suites:([^\n]* )?" own "( |\n|$)" {
			sub("Suites:[^\n]*", "Suites: " suites); print }
	' /etc/apt/sources.list.d/*.sources >"$lists/parts/$name.sources"
	[[ -s $lists/parts/$name.sources ]] || fail "no .sources file has the suite $codename"
	apt=("${own[@]}" -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$lists/parts"
		-o "Dir::State::Lists=$lists/lists" -o Dir::State::status=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
	apt-get "${apt[@]}" update -qq >&2
}

# download NAME PACKAGE...: downloads into DIR/NAME.debs, and unpacks into DIR/NAME.
download() {
	local name=$1 deb
	shift
	mkdir -p "$dir/$name.debs"
	(cd "$dir/$name.debs" && apt-get "${apt[@]}" download -qq "$@" >&2) || return 1
	for deb in "$dir/$name.debs"/*.deb; do
		dpkg -x "$deb" "$dir/$name"
	done
}

# needs NAME: prints the libraries that the packages in DIR/NAME.debs depend on.
needs() {
	local deb
	for deb in "$dir/$1.debs"/*.deb; do dpkg-deb -f "$deb" Depends; done |
		tr ',|' '\n\n' | sed -E 's/\(.*//; s/[[:space:]]//g' | grep -E '^(lib|lua)' | sort -u
}

# distributed NAME SERVER: gets a server of the distribution.
distributed() {
	local name=$1 packages=("$2-server" "$2-tools")
	bin=$dir/$name/usr/bin
	[[ ! -x $bin/$2-server ]] || return 0
	rm -rf "$dir/$name" "$dir/$name.debs"
	apt=("${own[@]}")
	apt-cache show "${packages[@]}" >/dev/null 2>&1 || suites "$name" "$codename-backports"
	download "$name" "${packages[@]}" ||
		{ # the lists are older than the archive
			"${sudo[@]}" apt-get "${apt[@]}" update -qq
			download "$name" "${packages[@]}"
		}
	[[ -x $bin/$2-server ]] || fail "no $2-server in ${packages[*]}"
	missing() { ldd "$bin/$2-server" "$bin/$2-cli" | grep 'not found'; }
	if missing "$@" >/dev/null; then
		# shellcheck disable=SC2046
		"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(needs "$name") >&2
		! missing "$@" >&2 || fail "$name misses libraries"
	fi
}

# another NAME SERVER VERSION SUITE...: gets a server from the first suite, if
# its version matches the pattern, and libraries from all suites.
another() {
	local name=$1 server=$2 pattern=$3 suite=$4 version loader libraries program
	shift 3
	bin=$dir/$name/bin
	[[ ! -x $bin/$server-cli ]] || return 0
	rm -rf "$dir/$name" "$dir/$name.debs"
	if ! suites "$name" "$@"; then
		say "no $name: the archive has no $suite"
		bin=
		return 0
	fi
	version=$(apt-cache "${apt[@]}" show "$server-server/$suite" 2>/dev/null | sed -nE 's/^Version: ([0-9]+:)?//p' | head -n 1)
	# shellcheck disable=SC2053
	if [[ $version != $pattern ]]; then
		say "no $name: $suite has $server-server ${version:-in no version}, and not $pattern"
		bin=
		return 0
	fi
	# shellcheck disable=SC2046
	if ! download "$name" "$server-server/$suite" "$server-tools/$suite" ||
		! download "$name" $(apt-cache "${apt[@]}" depends --recurse --important $(needs "$name") | grep -E '^(lib|lua)' | sort -u); then
		say "no $name: its packages could not be got"
		bin=
		return 0
	fi
	rm -rf "$dir/$name.debs" "$dir/apt/$name"
	loader=$(find "$dir/$name" -type f -name 'ld-*.so*' | head -n 1)
	libraries=$(find "$dir/$name" -name 'lib*.so.*' ! -name '*.py' -printf '%h\n' | sort -u | paste -sd:)
	mkdir -p "$bin"
	for program in "$server-server" "$server-cli"; do
		cat >"$bin/$program" <<-END
			#!/bin/sh
			exec '$loader' --library-path '$libraries' '$dir/$name/usr/bin/$program' "\$@"
		END
		chmod +x "$bin/$program"
	done
}

# add SERVER: adds the folder of the last server that was looked for, if it is there.
folders=
add() {
	[[ -n $bin ]] || return 0
	"$bin/$1-server" --version >&2
	folders+=${folders:+:}$bin
}

ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || "${sudo[@]}" apt-get update -qq
distributed redis redis
add redis
distributed valkey valkey
add valkey
another redis6 redis '6.*' bullseye
add redis
another redis8 redis '8.[4-9]*' experimental sid
add redis
another valkey9 valkey '9.*' forky
add valkey
echo "$folders"
