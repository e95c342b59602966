# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Whole-file replacement that a crash cannot tear, with a backup of what was there."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

BACKUP_DIR = "/var/lib/hearth/backup"


def replace(host: Host, path: str, content: str, mode: int) -> None:
    """Make ``path`` hold exactly ``content``, or leave it as it was.

    The new file is complete and on disk before it takes the name (rename(2) is atomic within
    a file system), so a SIGKILL or a power cut leaves the old file or the new one, never half.
    A symbolic link is followed: the file that it names is replaced, the link stays.
    """
    target = os.path.realpath(host.path(path)) if host.root == "/" else host.path(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    _keep_file(host, path)
    _put(target, content.encode(), mode)


def remove(host: Host, path: str) -> None:
    """Remove ``path``, keeping a backup; a file that is already gone is no error."""
    if not host.exists(path):
        return
    _keep_file(host, path)
    os.unlink(host.path(path))
    _sync_folder(os.path.dirname(host.path(path)))


def backup_path(path: str, which: str = "previous") -> str:
    """Return where a replaced content of ``path`` is kept.

    :param which: ``previous`` for the content before the last change, ``original`` for the
        content before the first.
    """
    return os.path.join(BACKUP_DIR, f"{path.strip('/').replace('/', '!')}.{which}")


def keep(host: Host, path: str, content: bytes) -> None:
    """Keep a content of ``path`` that is about to go. Only root may read it: it may hold secrets."""
    os.makedirs(host.path(BACKUP_DIR), mode=0o700, exist_ok=True)
    original = host.path(backup_path(path, "original"))
    if not os.path.exists(original):
        _put(original, content, 0o600)
    _put(host.path(backup_path(path, "previous")), content, 0o600)


def _keep_file(host: Host, path: str) -> None:
    if os.path.exists(host.path(path)):
        with open(host.path(path), "rb") as stream:
            keep(host, path, stream.read())


def _put(target: str, content: bytes, mode: int) -> None:
    """Write a complete file beside ``target``, then let it take the name."""
    folder, name = os.path.split(target)
    # A name of its own per target: what a killed run left behind is replaced by the next one.
    # The dot keeps it out of drop-in folders, which read neither hidden files nor this suffix.
    temporary = os.path.join(folder, f".{name}.hearth-new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            _keep_owner(target, descriptor)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.rename(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder)


def _keep_owner(target: str, descriptor: int) -> None:
    if os.path.exists(target):
        status = os.stat(target)
        os.fchown(descriptor, status.st_uid, status.st_gid)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
