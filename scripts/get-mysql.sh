#!/usr/bin/env bash
# Fetch Oracle MySQL from Debian's unstable suite into a folder of its own. Nothing is installed, no root is needed: the
# server runs through its own dynamic loader with its own libraries.
# usage: get-mysql.sh FOLDER      afterwards FOLDER/mysqld runs the server
# exit:  0 it is there, 3 the package cannot be fetched here, anything else is an error
set -euo pipefail

folder=${1:?usage: get-mysql.sh FOLDER}
[ -x "$folder/mysqldump" ] && exit 0

cannot() { echo "MYSQL CANNOT BE FETCHED HERE: $1" >&2; exit 3; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/lists/partial "$work"/archives/partial "$work"/packages
: > "$work/status"

mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 | tr -d ' ') || true
[ -n "${mirror:-}" ] || cannot "no Debian mirror in this machine's apt sources"
keyring=$(ls /usr/share/keyrings/debian-archive-keyring.* 2>/dev/null | head -n 1) || true
[ -n "${keyring:-}" ] || cannot "no Debian keyring"
echo "deb [signed-by=$keyring] $mirror unstable main" > "$work/sources.list"

apt() {
  apt-get -q -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$work/lists" \
    -o "Dir::State::status=$work/status" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" \
    -o APT::Sandbox::User=root "$@"
}
apt update > "$work/log" 2>&1 || cannot "the list of the unstable suite: $(tail -n 1 "$work/log")"
packages=$(apt install --no-install-recommends -s mysql-server-core mysql-client-core 2> "$work/log" |
  awk '/^Inst/ && $2 !~ /perl/ {print $2}') || cannot "mysql-server-core: $(tail -n 1 "$work/log")"
[ -n "$packages" ] || cannot "mysql-server-core is not in the unstable suite"
# shellcheck disable=SC2086  # a list of names
(cd "$work/packages" && apt download $packages > "$work/log" 2>&1) || cannot "$(tail -n 1 "$work/log")"

rm -rf "$folder/root"
mkdir -p "$folder/root"
for package in "$work"/packages/*.deb; do dpkg -x "$package" "$folder/root"; done
libraries=$(echo "$folder"/root/usr/lib/*-linux-gnu)
for program in sbin/mysqld bin/mysql bin/mysqldump; do
  target="$folder/${program#*/}"
  printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
    "$(echo "$libraries"/ld-linux-*.so.*)" "$libraries" "$folder/root/usr/$program" > "$target.new"
  chmod +x "$target.new" && mv "$target.new" "$target"
done
