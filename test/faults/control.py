# SPDX-License-Identifier: Apache-2.0
"""The driver's end of the fault shim (shim.h): the shared page, the rules, the logs."""
import ctypes
import errno
import mmap
import os
import struct

ROLE_BITS = {name: 1 << at for at, name in enumerate(
    ('other', 'supervisor', 'keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office', 'scout'))}
ROLE_NAMES = list(ROLE_BITS)
CALL_BITS = {name: 1 << at for at, name in enumerate(
    ('open', 'open_any', 'read', 'write', 'sync', 'truncate', 'unlink', 'rename', 'mkdir', 'alloc', 'send', 'recv',
     'accept', 'socket', 'connect', 'fork', 'push'))}
ACTIONS = {'fail': 0, 'short': 1, 'die_before': 2, 'die_after': 3}

CONTROL_MAGIC, LOG_MAGIC = 0x31544c55414653, 0x31474f4c53
CONTROL_BYTES, RULES = 4096, 16
HEAD = struct.Struct('<QQIIIIII')       # magic, stamp, recording, delay, factor, armed, alloc armed, unused
RULE = struct.Struct('<IIIIiIIIIII')    # armed, roles, calls, action, error, first, every, times, permille, seen, fired
LOG_HEAD = struct.Struct('<QIIQII')     # magic, pid, role, used, full, unused
RECORD = struct.Struct('<IHHQQQQQQqII')  # size, kind, flags, start, end, at, inode, other, offset, result, len, unused

CREATE, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, ACK, EXTEND = range(1, 9)
FLAG_FOLDER, FLAG_NEW, FLAG_DATA, FLAG_SYNCED = 1, 2, 4, 8
NEVER = 1 << 62


class Op:
    """One recorded call. durable: the stamp from which a power cut can no longer undo it."""
    __slots__ = ('kind', 'flags', 'start', 'end', 'at', 'inode', 'other', 'offset', 'result', 'data', 'durable',
                 'role', 'pid', 'old')

    def __repr__(self):
        return (f'<{ROLE_NAMES[self.role]} {self.start}-{self.end if self.end < NEVER else "…"} kind {self.kind} '
                f'inode {self.inode} other {self.other} offset {self.offset} len {len(self.data)} -> {self.result}>')


class Shim:
    """
    folder   gets the control page and the logs; a new one for each recording
    state    the state folder of the server
    library  faults.so
    """

    def __init__(self, folder, state, library):
        self.folder, self.state = folder, state
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, 'control')
        with open(path, 'wb') as file:
            file.write(HEAD.pack(CONTROL_MAGIC, 0, 0, 0, 0, 0, 0, 0).ljust(CONTROL_BYTES, b'\0'))
        os.chmod(path, 0o666)
        with open(path, 'r+b') as file:
            self.page = mmap.mmap(file.fileno(), CONTROL_BYTES)
        self.environment = {'LD_PRELOAD': library, 'FAULTS_DIR': folder, 'FAULTS_STATE': state}
        # An atomic step on shared memory is what Python lacks; the C library's lock-free add is the shim's own.
        self.native = ctypes.CDLL(library)
        self.native.shim_stamp_at.restype = ctypes.c_uint64
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.page))

    def stamp(self):
        """The next place in the one order of everything."""
        return self.native.shim_stamp_at(ctypes.c_void_p(self.address))

    def set_number(self, at, value):
        struct.pack_into('<I', self.page, at, value)

    def record(self, on, sync_delay_us=0, checkpoint_factor=0):
        self.set_number(20, sync_delay_us)
        self.set_number(24, checkpoint_factor)
        self.set_number(16, 1 if on else 0)

    # ---- rules ----

    def rule(self, number, roles, calls, error='EIO', action='fail', first=1, every=0, times=0, permille=0):
        """Arm a rule; roles and calls are names or lists of names."""
        bits = lambda words, table: sum(table[word] for word in ([words] if isinstance(words, str) else words))
        calls = bits(calls, CALL_BITS)
        at = HEAD.size + number * RULE.size
        RULE.pack_into(self.page, at, 0, bits(roles, ROLE_BITS), calls, ACTIONS[action],
                       getattr(errno, error), first, every, times, permille, 0, 0)
        self.set_number(at, 1)
        self.set_number(28, 1)
        if calls & CALL_BITS['alloc']:
            self.set_number(32, 1)

    def counts(self, number):
        """(calls that the rule fits, how often it fired)"""
        found = RULE.unpack_from(self.page, HEAD.size + number * RULE.size)
        times = found[7]
        return found[9], min(found[10], times) if times else found[10]

    def clear(self):
        self.set_number(28, 0)
        self.set_number(32, 0)
        for number in range(RULES):
            self.set_number(HEAD.size + number * RULE.size, 0)

    # ---- logs ----

    def read(self):
        """Every recorded call of every process, in order."""
        ops = []
        for name in os.listdir(self.folder):
            if name.startswith('log-'):
                ops += read_log(os.path.join(self.folder, name))
        ops.sort(key=lambda op: op.start)
        return ops

    def forget_logs(self):
        for name in os.listdir(self.folder):
            if name.startswith('log-'):
                os.unlink(os.path.join(self.folder, name))


def read_log(path):
    with open(path, 'rb') as file:
        head = file.read(LOG_HEAD.size)
        if len(head) < LOG_HEAD.size:
            return []
        magic, pid, role, used, full, _ = LOG_HEAD.unpack(head)
        if magic != LOG_MAGIC:
            return []
        assert not full, f'{path}: the log was too small'
        data = file.read(used)
    ops, at = [], 0
    while at + RECORD.size <= len(data):
        op = Op()
        (size, op.kind, op.flags, op.start, op.end, op.at, op.inode, op.other, op.offset, op.result, length,
         _) = RECORD.unpack_from(data, at)
        if size == 0:
            break
        op.data = data[at + RECORD.size:at + RECORD.size + length]
        op.role, op.pid, op.old = role, pid, None
        op.end = op.end or NEVER
        op.durable = NEVER
        if op.start:
            ops.append(op)
        at += size
    return ops
