#!/bin/bash
#
# Gets the Consul that the tests run against and prints the path of its program: version 1.8.7, which Debian 11 has as a
# package and Debian 12 does not. It is a single file that needs nothing else, so it is unpacked, not installed.
#
# The package comes by apt from the mirror that this machine uses already, signatures checked, with a sources list, lists
# and a cache of its own below build/: the machine's own apt is not changed in any way, and root is not needed. Once
# unpacked it is there for good, and no network is needed any more.

set -euo pipefail

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

release=bullseye
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
folder=$PWD/build/consul
program=$folder/usr/bin/consul
work=

fail() {
    printf 'consul.sh: %s\n' "$*" >&2
    exit 1
}

# The addresses of this machine's own Debian mirrors, the likely one first: its sources may be in either of apt's two
# formats, so apt is asked what it has made of them.
mirrors() {
    local codename
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    apt-get indextargets --format "\$(RELEASE) \$(COMPONENT) \$(REPO_URI)" 'Identifier: Packages' |
        awk -v own="$codename" '$2 == "main" && $1 == own { print $3 }' | sort -u
}

# apt with nothing but folders of our own; what it says is shown only when it fails.
own_apt() {
    local log=$work/apt.log
    apt-get -q \
        -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
        -o Dir::Log="$work" -o APT::Sandbox::User= -o APT::Get::List-Cleanup=false \
        -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
        -o APT::Update::Error-Mode=any "$@" >"$log" 2>&1 || {
        sed 's/^/consul.sh: apt: /' "$log" >&2
        return 1
    }
}

download_from() { # MIRROR
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$1" "$release" >"$work/sources.list"
    own_apt update && (cd "$work/package" && own_apt download consul)
}

download() {
    local mirror
    for mirror in $(mirrors); do
        if download_from "$mirror"; then
            return 0
        fi
    done
    return 1
}

get() {
    local needed
    for needed in apt-get dpkg-deb; do
        command -v "$needed" >/dev/null || fail "$needed is missing: Consul is a package of Debian's"
    done
    [ -r "$keyring" ] || fail "$keyring is missing (package debian-archive-keyring)"
    work=$(mktemp -d build/consul.XXXXXX)
    work=$PWD/$work
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/package" "$work/unpacked"
    : >"$work/status"
    download || fail "no mirror of this machine's could give the package consul of Debian $release"
    dpkg-deb --extract "$work"/package/consul_*.deb "$work/unpacked"
    "$work/unpacked/usr/bin/consul" version >/dev/null || fail 'the program in the package does not run'
    rm -rf "$folder"
    mv -T "$work/unpacked" "$folder"
}

is_there() {
    [ -x "$program" ] && "$program" version >/dev/null 2>&1
}

# Several tests may come at once: the first one fetches, the others wait for it.
if ! is_there; then
    mkdir -p build
    exec 9>build/consul.lock
    flock 9
    is_there || get 9>&-
fi
printf '%s\n' "$program"
