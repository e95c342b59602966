# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The first part of the guard: what it knows of processes, locks and places."""

from __future__ import annotations

TOOLS = r"""#!/bin/sh
# The dead man's handle of hearth.gpu_host: what nobody confirms in time is taken back.
# It needs neither Ansible nor Python.
# Where a change stands is where its folder is: new -> armed -> confirming or undoing -> gone. One rename decides.
set -u
umask 022
PATH=${HEARTH_ROOT:+$HEARTH_ROOT/stubs:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
root=${HEARTH_ROOT:-}
program=$root/usr/local/libexec/hearth-guard
units=$root/etc/systemd/system
state=$root/var/lib/hearth/guard
run=$root/run/hearth
proc=$root/proc
error=
[ -z "${JOURNAL_STREAM-}" ] || error='<3>'

limited() {
    if command -v timeout > /dev/null; then timeout -k 5 "$@"; else shift && "$@"; fi
}

# Called when all is done: a log may be slow to answer.
warn() {
    echo "${error}hearth-guard: $*" >&2
    [ -n "${JOURNAL_STREAM-}" ] || limited 5 logger -t hearth-guard -p daemon.err -- "$*" > /dev/null 2>&1 9>&-
}

# The shell itself complains about what cannot be opened, hence the braces.
first() {
    text=
    { IFS= read -r text < "$1"; } 2> /dev/null
    printf '%s' "$text"
}

uptime_s() {
    seconds=$(first "$proc/uptime")
    printf '%s' "${seconds%%.*}"
}

# status PID: the fields of a process from the third on, after its name, which may hold anything.
status() {
    text=$(cat "$proc/$1/stat" 2> /dev/null)
    printf '%s' "${text##*) }"
}

# started PID: when it began, in ticks since boot; nothing when it has ended. Pids are used again, the pair is not.
started() {
    case $(status "$1") in
        '' | Z*) ;;
        *) status "$1" | cut -d' ' -f20 ;;
    esac
}

# A container keeps the boot id of its machine, but not its first process.
this_boot() {
    printf '%s %s' "$(first "$proc/sys/kernel/random/boot_id")" "$(started 1)"
}

# The SSH connection that this process came over; sudo hides it from us, not from its own parents.
connection() {
    ancestor=$$
    while [ "${ancestor:-0}" -gt 1 ]; do
        found=$({ tr '\0' '\n' < "$proc/$ancestor/environ"; } 2> /dev/null | sed -n 's/^SSH_CONNECTION=//p')
        [ -z "$found" ] || break
        ancestor=$(status "$ancestor" | cut -d' ' -f2)
    done
    printf '%s' "$found"
}

# The kernel drops the lock with its holder, so no child may keep it: each is started with 9>&-.
take_lock() {
    mkdir -p "$run" 2> /dev/null
    ( : >> "$run/guard.lock" ) 2> /dev/null || return 1
    exec 9>> "$run/guard.lock"
    flock -w "$1" 9
}

drop_lock() {
    exec 9>&-
}

# find_change TOKEN: set $folder and $where. In the order in which a folder moves, so that a moving one is not missed.
find_change() {
    for where in armed confirming undoing; do
        folder=$state/$where/$1
        [ ! -d "$folder" ] || return 0
    done
    return 1
}

waiting() {
    for place in "$state"/armed/* "$state"/confirming/* "$state"/undoing/*; do
        [ ! -d "$place" ] || echo "${place##*/}"
    done
}

# alive FOLDER: whether somebody still waits who will take it back.
alive() {
    by=$(first "$1/guard.by")
    if [ "$by" = systemd ]; then
        name=hearth-guard-${1##*/}
        case $(limited 10 systemctl show -p SubState "$name.timer" 2> /dev/null 9>&-) in
            SubState=waiting | SubState=running) return 0 ;;
        esac
        limited 10 systemctl is-active --quiet "$name.service" > /dev/null 2>&1 9>&-
        return
    fi
    [ -n "$by" ] && [ "$(started "${by%% *}")" = "${by##* }" ]
}

"""
