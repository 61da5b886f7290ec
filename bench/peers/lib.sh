# SPDX-License-Identifier: Apache-2.0
# Shared by the peer scripts. The contract is in ../README.md. Variables given by bench.py:
#   PEERS      where peers are installed        PEER_PORT  port the peer listens on (127.0.0.1)
#   SINK_PORT  port of the sink (127.0.0.1)     SINK_TLS   1: STARTTLS required on the way out
#   HOLD       1: accept and keep, deliver nothing
#   LISTEN_TLS 1: offer STARTTLS to those who send       PER_CONN    1: a new connection for each message sent on
#   DKIM       none, rsa or ed25519                      QUICK_RETRY 1: what was put off is tried again after a second
#   SESSIONS   how many there will be at a time
#   MANY       1: deliver by MX (a name server is on 127.0.0.1:53, hosts on port SINK_PORT) instead of to the sink
set -eu
: "${PEERS:=/opt/peers}" "${PEER_PORT:=2500}" "${SINK_PORT:=2600}" "${SINK_TLS:=0}" "${HOLD:=0}" "${LISTEN_TLS:=0}" "${PER_CONN:=0}" "${DKIM:=none}" "${QUICK_RETRY:=0}" "${MANY:=0}" "${SESSIONS:=20}"
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "$0: $*" >&2; exit 1; }
# discard PATH...: put old spools aside; bench.py deletes them after the last run. Not rm: thousands of
# deletions just before a run slowed servers that make files for each message by up to a factor of four on ext4
# (its inode allocator steps over inodes deleted a short while ago; see ../README.md).
discard() {
    mkdir -p "$PEERS/.trash"
    for x; do if [ -e "$x" ]; then mv "$x" "$(mktemp -d "$PEERS/.trash/XXXXXX")/"; fi; done
}
# fill FILE: copy a template, with @NAME@ replaced
fill() {
    sed -e "s|@PEER_PORT@|$PEER_PORT|g" -e "s|@SINK_PORT@|$SINK_PORT|g" -e "s|@ROOT@|${root:-}|g" -e "s|@HOLD@|$HOLD|g" -e "s|@CERTS@|${BENCH_CERTS:-}|g" "$1"
}
# debian_root DIR PACKAGES: a small Debian tree of its own, so that conflicting mail servers
# can be installed side by side; uses the package sources of the host
debian_root() {
    dir=$1 pkgs=$2
    [ -e "$dir/.complete" ] && return 0
    rm -rf "$dir"
    mkdir -p "$PEERS/dl" "$PEERS/tools" "$(dirname "$dir")"
    if ! command -v mmdebstrap >/dev/null && [ ! -x "$PEERS/tools/usr/bin/mmdebstrap" ]; then
        (cd "$PEERS/dl" && apt-get download mmdebstrap && dpkg -x mmdebstrap_*.deb "$PEERS/tools")
    fi
    mm=$(command -v mmdebstrap || echo "$PEERS/tools/usr/bin/mmdebstrap")
    opts=
    for f in /etc/apt/apt.conf.d/*; do
        if grep -qiE 'proxy|acquire::https?' "$f"; then opts="$opts --aptopt=$f"; fi
    done
    src=
    for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ -z "$src" ] && [ -s "$f" ] && src=$f
    done
    [ -n "$src" ] || die "no package sources found"
    # shellcheck disable=SC2086
    "$mm" --mode=root --variant=apt --include="$pkgs" $opts --aptopt='APT::Install-Recommends "false"' \
        "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$dir" "$src"
    : >"$dir/.complete"
}
