#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Exim (Debian's light daemon: the heavy one links Perl and databases, which every delivery would load), in a tree of its own.
. "$(dirname "$0")/../lib.sh"
root=$PEERS/exim/root
case ${1:-} in
install) debian_root "$root" exim4-daemon-light ;;
version) chroot "$root" exim4 -bV | sed -n '1s/.*version \([0-9.]*\).*/\1/p' ;;
prepare)
    tls='hosts_avoid_tls = *'
    [ "$SINK_TLS" = 1 ] && tls='hosts_require_tls = *'
    q=false
    # queue first, runners deliver: in single probes 1.5 times as fast as one delivery process for each
    # message as it arrives (EXIM_QUEUE_ONLY=0 EXIM_RUNNER=-q30s), which forks and executes for each
    if [ "$HOLD" = 1 ] || [ "${EXIM_QUEUE_ONLY:-1}" = 1 ]; then q=true; fi
    listen='tls_advertise_hosts =' dkim='' router='  driver = manualroute\n  domains = *\n  route_list = * 127.0.0.1'
    cp "$BENCH_CERTS"/*.pem "$BENCH_CERTS"/sink.* "$root/etc/exim4/" # exim reads them after its chroot
    chroot "$root" sh -c 'chown Debian-exim /etc/exim4/*.pem /etc/exim4/sink.*'
    [ "$LISTEN_TLS" = 1 ] && listen='tls_advertise_hosts = *\ntls_resumption_hosts = *\ntls_certificate = /etc/exim4/sink.crt\ntls_privatekey = /etc/exim4/sink.key'
    [ "$DKIM" = none ] || dkim="  dkim_domain = bench.test\n  dkim_selector = s1\n  dkim_private_key = /etc/exim4/dkim-$DKIM.pem"
    if [ "$MANY" = 1 ]; then
        router='  driver = dnslookup\n  domains = *\n  ignore_target_hosts = <; 0.0.0.0'
        echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
    fi
    fill "$here/exim4.conf" | sed -e "s|@TLS@|$tls|" -e "s|@QUEUE_ONLY@|$q|" -e "s|@LISTEN@|$listen|" -e "s|@DKIM@|$dkim|" -e "s|@ROUTER@|$router|" \
        -e "s|@PER_CONN@|$([ "$PER_CONN" = 1 ] && echo 1 || echo 500)|" -e "s|@RETRY@|$([ "$QUICK_RETRY" = 1 ] && echo 1s || echo 1m)|" >"$root/etc/exim4/exim4.conf"
    discard "$root/var/spool/exim4" "$root/var/log/exim4"
    mkdir -p "$root/var/spool/exim4" "$root/var/log/exim4" "$root/run/exim4"
    chroot "$root" chown -R Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4 /run/exim4
    ;;
start)
    if [ "$HOLD" = 1 ]; then chroot "$root" exim4 -bd; else chroot "$root" exim4 -bd ${EXIM_RUNNER:--q1s}; fi ;;
stop) [ -s "$root/run/exim4/exim.pid" ] && kill "$(cat "$root/run/exim4/exim.pid")" || true ;;
queue) find "$root/var/spool/exim4/input" -name '*-H' 2>/dev/null | wc -l ;;
log) tail -n "${2:-20}" "$root"/var/log/exim4/* ;;
*) die "usage: peer.sh install|version|prepare|start|stop|queue|log" ;;
esac
