#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# OpenSMTPD calls neither fsync nor fdatasync before it answers 250 (its rows show no disk flush), and
# has no setting for it. This is the same server with a preloaded rename() that flushes what it moved, so that
# its figures can stand beside those of servers that keep what they acknowledged.
. "$(dirname "$0")/../lib.sh"
root=$PEERS/opensmtpd/root
real=$here/../opensmtpd/peer.sh
case ${1:-} in
install)
    "$real" install
    ${CC:-cc} -O2 -shared -fPIC -o "$root/usr/lib/syncrename.so" "$here/../../src/syncrename.c" -ldl ;;
start) OPENSMTPD_PRELOAD=/usr/lib/syncrename.so exec "$real" start ;;
*) exec "$real" "$@" ;;
esac
