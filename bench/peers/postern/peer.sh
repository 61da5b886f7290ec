#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Postern as built in this tree (POSTERN names another program). With SINK_TLS=1 the mail is secure mail: every
# connection's TLS is proved (certificate chain and name) before a message goes out, which no peer here does.
. "$(dirname "$0")/../lib.sh"
root=$PEERS/postern
top=$(cd "$here/../../.." && pwd)
postern=${POSTERN:-$top/build/postern}
case ${1:-} in
install) [ -x "$postern" ] || die "$postern is not built" ;;
version) "$postern" --version 2>/dev/null || echo unknown ;;
prepare)
    mkdir -p "$root"
    chmod 755 "$PEERS" "$root"
    discard "$root/state"
    mkdir -p "$root/state"
    chown nobody "$root/state"
    [ -e "$root/master.key" ] || "$postern" key new "$root/master.key"
    mode=none
    [ "$SINK_TLS" = 1 ] && mode=try
    hold=no
    [ "$HOLD" = 1 ] && hold=yes
    fill "$here/postern.conf" | sed -e "s|@MODE@|$mode|" -e "s|@HOLD_ALL@|$hold|" -e "s|@CERTS@|$BENCH_CERTS|" \
        -e "s|@STATE@|$root|g" -e "s|@ENCRYPT@|$([ "$SINK_TLS" = 1 ] && echo yes || echo no)|" >"$root/postern.conf"
    ;;
start)
    "$postern" serve -c "$root/postern.conf" >"$root/log" 2>&1 </dev/null &
    echo $! >"$root/pid" ;;
stop) [ -s "$root/pid" ] && kill "$(cat "$root/pid")" && for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$(cat "$root/pid")" 2>/dev/null || break; sleep 0.3; done || true ;;
queue) "$postern" status -c "$root/postern.conf" --json 2>/dev/null | grep -oE '"(queued|waiting|recipients)": *[0-9]+' | grep -oE '[0-9]+' | head -1 || echo 0 ;;
log) tail -n "${2:-20}" "$root/log" ;;
*) die "usage: peer.sh install|version|prepare|start|stop|queue|log" ;;
esac
