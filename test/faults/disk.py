# SPDX-License-Identifier: Apache-2.0
"""
What a disk may hold after a power cut.

A recording (control.py) and the tree it began with give a Disk; Disk.cut(C, chance) is the tree that a cut at the
place C of the order may leave:

* Bytes and lengths: what was written (or cut off) by calls that ended before an fsync or fdatasync of the same file
  began is there when that sync ended, without an error, before C. Everything else may be there, wholly, partly (in
  sectors of 512 or 4096 bytes) or not at all, each call independently; the file may be as long as it would have become
  and hold zeros where nothing arrived. A cut-off length orders what comes before and after it, as in any journal.
* Names: made, renamed or removed for good when an fsync of their folder began after the call ended, and ended before C.
  An fdatasync of the folder is not believed. Anything else is kept or lost by chance. Syncing a file never saves its name.
* A sync that failed saves nothing, now or ever: what it should have saved is marked clean by the kernel and is lost at
  will, even if a later sync says yes.
* A call under way at C counts as one that no sync has covered.
"""
import os

from control import (ACK, CREATE, EXTEND, FLAG_DATA, FLAG_FOLDER, FLAG_NEW, FLAG_SYNCED, NEVER, RENAME, SYNC, TRUNCATE,
                     UNLINK, WRITE)

MODES = ('none', 'all', 'prefix', 'subset', 'torn', 'zeros')


class Tree:
    """Folders and files in memory: inode -> bytes, or -> {name: inode}."""

    def __init__(self, root):
        self.root, self.files, self.folders = root, {}, {}

    @staticmethod
    def read(path):
        tree = Tree(os.stat(path).st_ino)
        for folder, names, files in os.walk(path):
            entries = tree.folders.setdefault(os.stat(folder).st_ino, {})
            for name in names:
                entries[name] = os.stat(os.path.join(folder, name)).st_ino
            for name in files:
                whole = os.path.join(folder, name)
                status = os.lstat(whole)
                if status.st_mode & 0o170000 != 0o100000:
                    continue
                entries[name] = status.st_ino
                with open(whole, 'rb') as file:
                    tree.files[status.st_ino] = file.read()
        return tree

    def write(self, path, owner=None):
        """Lay it out in an empty folder."""
        self._write(self.root, path, owner)

    def _write(self, inode, path, owner):
        for name, child in self.folders[inode].items():
            whole = os.path.join(path, name)
            if child in self.folders:
                os.mkdir(whole, 0o700)
                self._write(child, whole, owner)
            else:
                fd = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                data = self.files.get(child, b'')
                if data:
                    os.write(fd, data)
                os.close(fd)
            if owner:
                os.chown(whole, *owner)

    def listing(self):
        """path -> bytes of each file, for comparing."""
        found = {}

        def walk(inode, path):
            for name, child in self.folders.get(inode, {}).items():
                if child in self.folders:
                    walk(child, f'{path}{name}/')
                else:
                    found[path + name] = bytes(self.files.get(child, b''))
        walk(self.root, '')
        return found


class Disk:
    def __init__(self, base, ops):
        self.base = base
        self._tell_apart(ops)
        self.by_file, self.names, syncs = {}, [], {}
        self.acks = []
        for op in ops:
            if op.kind == ACK:
                self.acks.append((op.start, op.data.decode('ascii')))
            elif op.kind == SYNC:
                syncs.setdefault(op.inode, []).append(op)
            elif op.result < 0:
                continue
            elif op.kind in (WRITE, TRUNCATE, EXTEND):
                if op.kind == WRITE and op.end < NEVER:
                    op.data = op.data[:op.result]
                self.by_file.setdefault(op.inode, []).append(op)
            elif op.kind in (CREATE, UNLINK, RENAME):
                self.names.append(op)
        for inode, found in self.by_file.items():
            for op in found:
                op.durable = self._durable(op, syncs.get(inode, ()))
        for op in self.names:
            folders = {op.other, op.inode} if op.kind == RENAME else {op.other}
            op.durable = max(self._name_durable(op, syncs.get(folder, ())) for folder in folders)
        self.syncs = syncs
        self.last = max([op.end if op.end < NEVER else op.start for op in ops] or [0]) + 1
        # Places where something is decided: cuts are drawn towards them.
        self.edges = sorted({place for op in ops for place in (op.start, op.end)
                             if place < NEVER and op.kind in (SYNC, ACK, TRUNCATE, UNLINK, CREATE, RENAME)})

    def _tell_apart(self, ops):
        """The number of a file that was removed may be given to a new one: those get numbers of our own."""
        known = set(self.base.files) | set(self.base.folders)
        now = {}
        for op in ops:
            if op.kind == CREATE and op.flags & FLAG_NEW and op.inode:
                if op.inode in known:
                    now[op.inode] = (op.inode, op.start)
                known.add(op.inode)
            if op.kind != RENAME:
                op.inode = now.get(op.inode, op.inode)

    @staticmethod
    def _durable(op, syncs):
        if op.kind == WRITE and op.flags & FLAG_SYNCED:
            return op.end
        for sync in syncs:
            if sync.result < 0 and op.kind == WRITE and op.start < sync.end:
                return NEVER
            if sync.start > op.end and sync.result == 0 and sync.end < NEVER:
                return sync.end
        return NEVER

    @staticmethod
    def _name_durable(op, syncs):
        for sync in syncs:
            if sync.start > op.end and sync.result == 0 and sync.end < NEVER and not sync.flags & FLAG_DATA:
                return sync.end
        return NEVER

    # ---- a cut ----

    def cut(self, place, chance=None, mode=None, name_mode=None):
        """The tree after a cut; without chance: what is there for certain, and nothing else."""
        is_mixed = mode is None  # then some files fare otherwise than the rest
        mode = 'none' if chance is None else mode or chance.choice(MODES)
        name_mode = 'none' if chance is None else name_mode or chance.choice(('none', 'all', 'prefix', 'subset'))
        # In a prefix everything up to one moment arrived, over all files, and nothing after it.
        until = chance.randint(0, place) if chance else 0
        if chance and chance.random() < 0.5:
            until = max(0, place - int(chance.expovariate(1 / 12)))
        tree = Tree(self.base.root)
        tree.folders = {inode: dict(entries) for inode, entries in self.base.folders.items()}
        self._names(tree, place, chance, name_mode, until)
        wanted = {child for entries in tree.folders.values() for child in entries.values()}
        tree.files = {inode: data for inode, data in self.base.files.items() if inode in wanted}
        for inode, ops in self.by_file.items():
            if inode in wanted:
                own = chance.choice(MODES) if chance and is_mixed and chance.random() < 0.3 else mode
                tree.files[inode] = self._content(self.base.files.get(inode, b''), ops, place, chance, own, until)
        return tree

    def _names(self, tree, place, chance, mode, until):
        for op in self.names:
            if op.start >= place:
                break
            if op.durable >= place and not (
                    mode == 'all' or mode == 'prefix' and op.start < until or
                    mode == 'subset' and chance.random() < 0.5):
                continue
            if op.kind == CREATE and op.inode:
                if op.flags & FLAG_FOLDER:
                    tree.folders.setdefault(op.inode, {})
                tree.folders.setdefault(op.other, {})[op.data.decode()] = op.inode
            elif op.kind == UNLINK:
                tree.folders.get(op.other, {}).pop(op.data.decode(), None)
            elif op.kind == RENAME:
                old, new = op.data.decode().split('\0')
                moved = tree.folders.get(op.inode, {}).pop(old, None)
                if moved is not None:
                    tree.folders.setdefault(op.other, {})[new] = moved

    @staticmethod
    def _content(base, ops, place, chance, mode, until):
        data, longest = bytearray(base), 0
        rate = chance.random() if chance else 0
        ops = [op for op in ops if op.start < place]
        last = next((op for op in reversed(ops) if op.durable >= place and op.start < until), None)
        is_stopped = False  # at a truncation that did not arrive: nothing behind it can be seen
        for op in ops:
            if op.durable < place:
                apply(data, op)
                continue
            if is_stopped or mode == 'none' or mode == 'prefix' and op.start >= until:
                continue
            if op.kind == TRUNCATE and mode in ('subset', 'torn', 'zeros') and chance.random() < 0.5:
                is_stopped = True
            elif op.kind == TRUNCATE or mode == 'all' or mode == 'prefix' and op is not last:
                apply(data, op)
            elif mode == 'zeros':
                # The length is a matter of metadata: it may be on disk before a single byte is.
                lengthen(data, op.offset + len(op.data))
                is_stopped = chance.random() < 0.1
            elif mode == 'subset':
                if chance.random() < rate:
                    apply(data, op)
            else:
                tear(data, op, chance, rate)
            longest = max(len(data), op.offset + len(op.data)) if op.kind != TRUNCATE else len(data)
        if mode in ('subset', 'torn') and chance.random() < 0.3:
            lengthen(data, longest)
        return data


def lengthen(data, size):
    if size > len(data):
        data.extend(bytes(size - len(data)))


def apply(data, op):
    if op.kind == WRITE:
        lengthen(data, op.offset)
        data[op.offset:op.offset + len(op.data)] = op.data
    elif op.kind == TRUNCATE:
        del data[op.offset:]
        lengthen(data, op.offset)
    else:
        lengthen(data, op.offset)


def tear(data, op, chance, rate):
    """Some sectors of the write, each by chance; a first part; or a last part."""
    sector = chance.choice((512, 4096))
    first, last = op.offset // sector, (op.offset + max(len(op.data), 1) - 1) // sector
    how = chance.random()
    edge = chance.randint(first, last + 1)
    for at in range(first, last + 1):
        keep = at < edge if how < 0.4 else at >= edge if how < 0.6 else chance.random() < rate
        if not keep:
            continue
        start, end = max(op.offset, at * sector), min(op.offset + len(op.data), (at + 1) * sector)
        lengthen(data, start)
        data[start:end] = op.data[start - op.offset:end - op.offset]
