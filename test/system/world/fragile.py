# SPDX-License-Identifier: Apache-2.0
"""
A file system that becomes read-only, or fails, at a word: `fragile.py BACKING MOUNTPOINT SWITCH`.

It passes everything through to BACKING. As long as the file SWITCH holds an error's name (EROFS, EIO,
ENOSPC), every change is refused with that error: what the kernel does after a disk error, which a
remount cannot play while files are open for writing.
"""
import errno
import os
import subprocess
import sys

try:
    from fusepy import FUSE, FuseOSError, Operations, fuse_get_context
except ImportError:  # tests that need it are skipped
    Operations = object


class Fragile(Operations):
    def __init__(self, backing, switch):
        self.backing, self.switch = backing, switch

    def _path(self, path):
        return os.path.join(self.backing, path.lstrip('/'))

    def _change(self):
        try:
            with open(self.switch, encoding='ascii') as file:
                word = file.read().strip()
        except FileNotFoundError:
            return
        if word:
            raise FuseOSError(getattr(errno, word))

    def getattr(self, path, fh=None):
        status = os.lstat(self._path(path)) if fh is None else os.fstat(fh)
        return {name: getattr(status, name) for name in (
            'st_mode', 'st_ino', 'st_dev', 'st_nlink', 'st_uid', 'st_gid', 'st_size', 'st_atime', 'st_mtime',
            'st_ctime', 'st_blocks')}

    def readdir(self, path, fh):
        return ['.', '..'] + os.listdir(self._path(path))

    def statfs(self, path):
        status = os.statvfs(self._path(path))
        return {name: getattr(status, name) for name in (
            'f_bavail', 'f_bfree', 'f_blocks', 'f_bsize', 'f_favail', 'f_ffree', 'f_files', 'f_frsize', 'f_namemax')}

    def open(self, path, flags):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
            self._change()
        # The kernel may read pages of files opened for writing.
        wanted = os.O_RDWR if flags & os.O_ACCMODE == os.O_WRONLY else flags & os.O_ACCMODE
        return os.open(self._path(path), wanted | (flags & os.O_TRUNC))

    def create(self, path, mode, fi=None):
        self._change()
        made = os.open(self._path(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        os.fchown(made, *fuse_get_context()[:2])  # theirs who asked, not ours
        return made

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        self._change()
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        self._change()
        os.truncate(self._path(path) if fh is None else fh, length)

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        self._change()
        return 0

    def fsyncdir(self, path, datasync, fh):
        self._change()
        return 0

    def release(self, path, fh):
        os.close(fh)

    def unlink(self, path):
        self._change()
        os.unlink(self._path(path))

    def mkdir(self, path, mode):
        self._change()
        os.mkdir(self._path(path), mode)

    def rmdir(self, path):
        self._change()
        os.rmdir(self._path(path))

    def rename(self, old, new):
        self._change()
        os.rename(self._path(old), self._path(new))

    def chmod(self, path, mode):
        self._change()
        os.chmod(self._path(path), mode)

    def chown(self, path, uid, gid):
        self._change()
        os.chown(self._path(path), uid, gid)

    def utimens(self, path, times=None):
        os.utime(self._path(path), times)


class Mounted:
    """The same as a process of its own, mounted at mountpoint; switch(word) chooses the error, '' none."""

    def __init__(self, backing, mountpoint, switch):
        self.mountpoint, self.path = mountpoint, switch
        self.process = subprocess.Popen(['/usr/bin/python3', os.path.abspath(__file__), backing, mountpoint, switch],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)

    def ready(self):
        if self.process.poll() is not None:
            raise OSError(self.process.stderr.read().decode())
        return os.path.ismount(self.mountpoint)

    def switch(self, word):
        with open(self.path + '.new', 'w', encoding='ascii') as file:
            file.write(word)
        os.rename(self.path + '.new', self.path)

    def close(self):
        subprocess.run(['umount', '-l', self.mountpoint], check=False)
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


if __name__ == '__main__':
    os.umask(0)
    FUSE(Fragile(sys.argv[1], sys.argv[3]), sys.argv[2], foreground=True, nothreads=True, allow_other=True,
         default_permissions=True, big_writes=True)
