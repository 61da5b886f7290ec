#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Postfix from Debian, in a tree of its own.
. "$(dirname "$0")/../lib.sh"
root=$PEERS/postfix/root
case ${1:-} in
install) debian_root "$root" postfix,ssl-cert ;;
version) chroot "$root" postconf -h mail_version ;;
prepare)
    fill "$here/main.cf" | sed "s|@PROCESSES@|$((SESSIONS > 200 ? SESSIONS + 50 : 250))|" >"$root/etc/postfix/main.cf"
    [ "$HOLD" = 1 ] && fill "$here/main.hold.cf" >>"$root/etc/postfix/main.cf"
    [ "$SINK_TLS" = 1 ] && fill "$here/main.tls.cf" >>"$root/etc/postfix/main.cf"
    cp "$BENCH_CERTS/ca.pem" "$BENCH_CERTS/sink.crt" "$BENCH_CERTS/sink.key" "$root/etc/postfix/"
    [ "$LISTEN_TLS" = 1 ] && cat "$here/main.listen.cf" >>"$root/etc/postfix/main.cf"
    [ "$PER_CONN" = 1 ] && cat "$here/main.perconn.cf" >>"$root/etc/postfix/main.cf"
    [ "$QUICK_RETRY" = 1 ] && cat "$here/main.retry.cf" >>"$root/etc/postfix/main.cf"
    if [ "$MANY" = 1 ]; then
        cat "$here/main.many.cf" >>"$root/etc/postfix/main.cf"
        mkdir -p "$root/var/spool/postfix/etc"
        echo 'nameserver 127.0.0.1' | tee "$root/etc/resolv.conf" >"$root/var/spool/postfix/etc/resolv.conf"
    fi
    fill "$here/master.cf" >"$root/etc/postfix/master.cf"
    for q in incoming active deferred defer hold maildrop bounce corrupt flush trace saved; do discard "$root/var/spool/postfix/$q"; done
    rm -f "$root/var/log/maillog" "$root"/var/lib/postfix/*.db
    chroot "$root" postfix set-permissions >/dev/null 2>&1 || true
    chroot "$root" postfix check 2>/dev/null || true
    ;;
start) chroot "$root" postfix start ;;
stop) chroot "$root" postfix stop >/dev/null 2>&1 || true ;;
queue) find "$root"/var/spool/postfix/{incoming,active,deferred,hold,maildrop} -type f 2>/dev/null | wc -l ;;
log) tail -n "${2:-20}" "$root/var/log/maillog" ;;
*) die "usage: peer.sh install|version|prepare|start|stop|queue|log" ;;
esac
