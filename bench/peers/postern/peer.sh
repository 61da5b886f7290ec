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
    dkim='' per_conn=1000 retry='' ways='{"tls"}'
    [ "$DKIM" = none ] || dkim="dkim \"s1\" { key = \"$BENCH_CERTS/dkim-$DKIM.pem\" }"
    [ "$PER_CONN" = 1 ] && per_conn=1
    [ "$QUICK_RETRY" = 1 ] && retry='retry_first = 1s retry_max = 2s'
    # PORTAL=1: secure mail goes to the portal, and a notice to the sink
    [ "${PORTAL:-0}" = 1 ] && mode=try && ways='{"portal"}'
    {
        fill "$here/postern.conf" | sed -e "s|@MODE@|$mode|" -e "s|@HOLD_ALL@|$hold|" -e "s|@STATE@|$root|g" -e "s|@WAYS@|$ways|" \
            -e "s|@ENCRYPT@|$([ "$mode" = try ] && echo yes || echo no)|" -e "s|@DKIM@|$dkim|" -e "s|@PER_CONN@|$per_conn|" -e "s|@RETRY@|$retry|"
        if [ "$MANY" = 1 ]; then
            echo 'resolver { forward = {"127.0.0.1@53"} }'
        else
            echo "route \"*\" { host = \"sink.bench.test\" port = $SINK_PORT }"
            echo 'resolver { local_data = {"sink.bench.test. 3600 IN A 127.0.0.1"} }'
        fi
        if [ "${PORTAL:-0}" = 1 ]; then
            echo "portal { url = \"https://portal.bench.test\" address = \"127.0.0.1:8443\" certificate = \"$BENCH_CERTS/sink.crt\" key = \"$BENCH_CERTS/sink.key\" }"
        fi
    } >"$root/postern.conf"
    ;;
start)
    "$postern" serve -c "$root/postern.conf" >"$root/log" 2>&1 </dev/null &
    echo $! >"$root/pid" ;;
stop) [ -s "$root/pid" ] && kill "$(cat "$root/pid")" && for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$(cat "$root/pid")" 2>/dev/null || break; sleep 0.3; done || true ;;
queue) "$postern" status -c "$root/postern.conf" --json 2>/dev/null | grep -oE '"queue": *[0-9]+' | grep -oE '[0-9]+' | head -1 || echo 0 ;;
log) tail -n "${2:-20}" "$root/log" ;;
*) die "usage: peer.sh install|version|prepare|start|stop|queue|log" ;;
esac
