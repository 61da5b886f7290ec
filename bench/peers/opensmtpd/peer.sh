#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# OpenSMTPD from Debian, in a tree of its own.
. "$(dirname "$0")/../lib.sh"
root=$PEERS/opensmtpd/root
case ${1:-} in
install) debian_root "$root" opensmtpd ;;
version) chroot "$root" dpkg-query -W -f '${Version}\n' opensmtpd ;;
prepare)
    relay="smtp+notls://127.0.0.1:$SINK_PORT"
    [ "$SINK_TLS" = 1 ] && relay="smtp+tls://127.0.0.1:$SINK_PORT\" tls no-verify #"
    fill "$here/smtpd.conf" | sed -e "s|@RELAY@|$relay|" >"$root/etc/smtpd.conf"
    echo opensmtpd.bench.test >"$root/etc/mailname"
    discard "$root/var/spool/smtpd"
    mkdir -p "$root/var/spool/smtpd" "$root/run" "$root/var/lib/opensmtpd/empty"
    chmod 711 "$root/var/spool/smtpd"
    [ -e "$root/var/run/smtpd.sock" ] && rm -f "$root/var/run/smtpd.sock"
    true
    ;;
start)
    chroot "$root" env ${OPENSMTPD_PRELOAD:+LD_PRELOAD=$OPENSMTPD_PRELOAD} smtpd -d </dev/null >"$root/var/log/smtpd.log" 2>&1 &
    if [ "$HOLD" = 1 ]; then
        for _ in $(seq 40); do sleep 0.3; chroot "$root" smtpctl pause mta >/dev/null 2>&1 && break; done
    fi ;;
stop) true ;; # bench.py ends the processes of the group by their ids
queue) find "$root/var/spool/smtpd/queue" -name message -type f 2>/dev/null | wc -l ;;
log) tail -n "${2:-20}" "$root/var/log/smtpd.log" ;;
*) die "usage: peer.sh install|version|prepare|start|stop|queue|log" ;;
esac
