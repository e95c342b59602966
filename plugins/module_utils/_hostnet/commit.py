# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The script with which the guard keeps a move: it puts the files of the network's manager in their places. Pure.

It needs a shell only, may be run again after having been cut off anywhere, and works at boot before there is a network.
A file that somebody has changed since the move is not overwritten; when one cannot be put in place, all are put back.
"""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Persistence
from ansible_collections.hearth.gpu_host.plugins.module_utils._textfile import BACKUP_DIR, backup_path

FOLDER = "hostnet"
"""Where the files wait, in the folder of the guarded change."""

_SCRIPT = r"""set -u
trap '' HUP INT PIPE
PATH=${HEARTH_ROOT:+$HEARTH_ROOT/stubs:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
mode=${1:-now}
root=${HEARTH_ROOT:-}
backups=$root@BACKUPS@

# keep FILE NAME: as every file is kept that this collection replaces.
keep() {
    mkdir -p "$backups" || return 1
    if [ ! -e "$backups/$2.original" ]; then
        cp "$1" "$backups/.$2.new" && mv "$backups/.$2.new" "$backups/$2.original" || return 1
    fi
    cp "$1" "$backups/.$2.new" && mv "$backups/.$2.new" "$backups/$2.previous"
}

# write SOURCE TARGET MODE: whole, or not at all.
write() {
    name=${2##*/}
    beside=${2%/*}/.$name.hearth-new
    # The mask is for what is new here, not for folders that others read.
    ( umask 022 && mkdir -p "${2%/*}" ) && cp "$1" "$beside" && chmod "$3" "$beside" || return 1
    if [ -e "$2" ]; then chown --reference="$2" "$beside" || return 1; fi
    sync "$beside" && mv "$beside" "$2" && sync "${2%/*}"
}

# place NUMBER PATH MODE BACKUP
place() {
    target=$root$2
    if [ -L "$target" ]; then target=$(readlink -f "$target"); fi
    new=@FOLDER@/$1.after
    old=@FOLDER@/$1.before
    if [ -e "$new" ]; then
        if cmp -s "$new" "$target"; then return 0; fi
    elif [ ! -e "$target" ]; then
        return 0
    fi
    if [ -e "$old" ]; then cmp -s "$old" "$target"; else [ ! -e "$target" ]; fi ||
        { echo "$2 was changed meanwhile, so it is left alone"; return 1; }
    if [ -e "$target" ]; then keep "$target" "$4" || return 1; fi
    if [ -e "$new" ]; then write "$new" "$target" "$3"; else rm -f "$target"; fi
}

# back NUMBER PATH MODE BACKUP: only what holds what we wrote.
back() {
    target=$root$2
    if [ -L "$target" ]; then target=$(readlink -f "$target"); fi
    new=@FOLDER@/$1.after
    old=@FOLDER@/$1.before
    if [ -e "$new" ]; then cmp -s "$new" "$target"; else [ ! -e "$target" ]; fi || return 0
    if [ -e "$old" ]; then write "$old" "$target" "$3"; else rm -f "$target"; fi
}

each() {
@EACH@}

check() {
    @CHECK@
}

each place && check || { each back; exit 1; }
[ "$mode" = now ] || exit 0
@SETTLE@exit 0
"""


def staged(persistence: Persistence, before: t.Mapping[str, str | None]) -> dict[str, str]:
    """Return the files that wait in the folder of the guarded change.

    :param before: what the files hold now; ``None`` for one that is not there.
    """
    found = {}
    for number, (path, text) in enumerate(persistence.files.items()):
        old = before.get(path)
        found.update({f"{FOLDER}/{number}.before": old} if old is not None else {})
        found.update({f"{FOLDER}/{number}.after": text} if text is not None else {})
    return found


def commit_text(persistence: Persistence, modes: t.Mapping[str, int]) -> str:
    """Return the script.

    :param modes: the modes that the files shall have; 0644 for those that are not named.
    """
    each = "".join(
        f'    "$1" {number} {shlex.quote(path)} {modes.get(path, 0o644):04o} {shlex.quote(_backup(path))} || return 1\n'
        for number, path in enumerate(persistence.files)
    )
    settle = f"rm -f {shlex.join(sorted(persistence.runtime))}\n" if persistence.runtime else ""
    words = {
        "@BACKUPS@": BACKUP_DIR,
        "@FOLDER@": FOLDER,
        "@EACH@": each or "    :\n",
        "@CHECK@": _check(persistence),
        "@SETTLE@": settle + persistence.settle,
    }
    script = _SCRIPT
    for word, text in words.items():
        script = script.replace(word, text)
    return script


def _backup(path: str) -> str:
    return backup_path(path)[len(BACKUP_DIR) + 1 :].rpartition(".")[0]


def _check(persistence: Persistence) -> str:
    if not persistence.check:
        return ":"
    tool, command = shlex.quote(persistence.check[0]), shlex.join(persistence.check)
    return (
        f"command -v {tool} > /dev/null || return 0\n"
        f'    [ -n "$({command} 2> /dev/null)" ] || {{ echo "{tool} does not understand the files"; return 1; }}'
    )
