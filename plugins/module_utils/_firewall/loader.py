# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The program on the host that loads the rules: at boot, when they change, when they are taken back.

It is POSIX sh and awk, so that it needs neither Ansible nor Python, and there is no second program that loads rules.
``HEARTH_ROOT`` re-roots its files, for tests.
"""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loading import LOADING
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import DOCKER
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.placing import PLACING

PROGRAM = "/usr/local/libexec/hearth-firewall"

_SHELL = r"""#!/bin/sh
# Load, keep and take back the firewall rules of hearth.gpu_host: hearth-firewall COMMAND
#   load [FOLDER]   make the rules what FOLDER says; without FOLDER, what was kept last
#   boot            the same with what was kept last; if that fails, the rescue rules that stand beside it
#   docker          put the jump from Docker's chain back in its place
#   commit FOLDER   keep FOLDER, a folder beside this one's others, for the next boot
#   undo            go back to what was kept before; a second time, forth again
# It touches chains whose name begins with HEARTH-, jumps into them, and nothing else. It may be killed and run again.
set -u
PATH=${HEARTH_ROOT:+$HEARTH_ROOT/stubs:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
umask 077
export PATH LC_ALL
base=${HEARTH_ROOT:-}/etc/hearth/firewall
run=${HEARTH_ROOT:-}/run/hearth
folder=
backend=
rescue=
bare=

say() { echo "hearth-firewall: $*" >&2; }
die() {
    say "$*"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
shout() {
    say "$*"
    echo "$*" >>"$run/firewall.failed"
    # A log may not answer yet, and there is still another family to load.
    limit=
    has timeout && limit='timeout 5'
    # shellcheck disable=SC2086  # it is two words, or none
    has logger && $limit logger -t hearth-firewall -p auth.crit -- "$*"
}
# What a boot could not load is loaded now: the unit shall not stay failed.
mended() {
    [ -e "$run/firewall.failed" ] || return 0
    rm -f "$run/firewall.failed"
    ! has systemctl || systemctl reset-failed hearth-firewall.service 2>/dev/null || :
}

# shellcheck disable=SC2016  # it is awk
placing='@PLACING@'

@LOADING@

# --- commands ---

# Both families, whatever becomes of the other: a rollback must not stop half-way.
load() {
    failed=
    if ! backend=$(backend_of "$folder/backend" "$run/firewall.backend" "$base/current/backend"); then
        # What every host has is good enough for the rescue rules.
        backend=iptables
        "$1" 6
        "$1" 4
        return 1
    fi
    for family in 6 4; do
        if list_in "$family" && place "$family" "$(file "rules$family")"; then
            list_done "$family" || failed=yes
        else
            failed=yes
            list_failed "$family"
            "$1" "$family"
        fi
    done
    leave_other || failed=yes
    [ -z "$failed" ]
}
nothing() { :; }
rescue() {
    shout "The IPv$1 rules in $folder could not be loaded at boot. See: journalctl -u hearth-firewall"
    if ! [ -s "$folder/rescue$1" ]; then
        shout "There are no rescue rules for IPv$1: everything that listens can be reached."
        return 0
    fi
    rescue=1
    if place "$1" "$folder/rescue$1"; then
        shout "The IPv$1 rescue rules are loaded instead: only the management networks can log in."
    else
        shout "The IPv$1 rescue rules could not be loaded either: everything that listens can be reached."
    fi
    rescue=
}
# Rules of ours in the other back end would still be asked, and are nobody's any more.
leave_other() {
    used=$backend
    if [ -s "$run/firewall.backend" ]; then
        backend=$(backend_of "$run/firewall.backend") || return 1
        if has "$backend" && has "$used" && [ "$(kind "$backend")" != "$(kind "$used")" ]; then
            here=$folder
            folder=/nonexistent
            place 6 /dev/null && place 4 /dev/null || return 1
            folder=$here
        fi
    fi
    backend=$used
    # What plain iptables is, update-alternatives may change. What it was has to be known then.
    ! has "iptables-$(kind "$used")" || used=iptables-$(kind "$used")
    echo "$used" >"$run/.firewall.backend" && mv "$run/.firewall.backend" "$run/firewall.backend"
}
docker() {
    [ -s "$run/firewall.backend" ] || [ -s "$base/current/backend" ] || return 0
    backend=$(backend_of "$run/firewall.backend" "$base/current/backend") || return 1
    folder=/nonexistent
    failed=
    for family in 6 4; do
        has "$(tool "$family")-restore" || continue
        hook "$family" || failed=yes
    done
    [ -z "$failed" ]
}
hook() {
    if [ "$1" = 6 ] && ! [ -e /proc/net/if_inet6 ]; then return 0; fi
    place "$1" /dev/null 1
}
link() { readlink "$base/$1" || :; }
point() {
    if [ -n "$2" ]; then
        ln -sfn "$2" "$base/.$1" && mv -T "$base/.$1" "$base/$1"
    else
        rm -f "$base/$1"
    fi
}
# The old one first: killed in between, the next run finds both the same and goes on.
commit() {
    name=${1%/}
    name=${name##*/}
    here=$(cd "$1" 2>/dev/null && pwd -P)
    if [ -z "$here" ] || [ -L "$base/$name" ] || [ "$here" != "$(cd "$base/$name" && pwd -P)" ]; then
        die "$1 is no folder in $base"
    fi
    old=$(link current)
    sync -f "$base" 2>/dev/null || sync
    if [ "$old" != "$name" ]; then
        { point previous "$old" && point current "$name"; } || die "$name could not be kept"
    fi
    previous=$(link previous)
    for other in "$base"/????????????; do
        case ${other##*/} in
            "$name" | "$previous" | *[!0-9a-f]*) ;;
            *) rm -rf "$other" ;;
        esac
    done
}
undo() {
    old=$(link current)
    new=$(link previous)
    folder=$base/$new
    if [ -z "$new" ]; then
        # Before the first, there was no firewall of ours.
        folder=$base/$old
        bare=yes
    elif ! [ -d "$folder" ]; then
        die "not taken back: $folder is gone. The rules stay as they are"
    fi
    load nothing || die "not taken back: see above"
    { point current "$new" && point previous "$old"; } || die "taken back, but the next boot does not know"
    echo "The firewall of hearth.gpu_host is ${new:-off}; it was ${old:-off}."
}

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

case ${1-}:$# in
    load:[12] | boot:1 | docker:1 | undo:1 | commit:2) ;;
    *) usage ;;
esac
mkdir -p "$run" || die "there is no $run to work in"
exec 9>"$run/firewall.lock" || die "$run/firewall.lock cannot be written"
# Being locked out is worse than two of us at work: each looks again at what it has done.
flock -w 20 9 || say "another one has been at work for 20 s: going on beside it"
made=$run/firewall.made
[ -f "$made" ] || : >"$made" || die "$made cannot be written"

case $1 in
    load)
        folder=$(cd "${2:-$base/current}" 2>/dev/null && pwd) || die "there is no folder ${2:-$base/current}"
        load nothing && mended
        ;;
    boot)
        rm -f "$run/firewall.failed"
        if [ -z "$(link current)" ]; then
            say "nothing is kept in $base: nothing to load"
            exit 0
        fi
        folder=$base/current
        [ -d "$folder" ] || { shout "$folder is gone: no rules are loaded"; exit 1; }
        load rescue
        ;;
    docker) docker ;;
    commit) commit "$2" ;;
    undo) undo ;;
esac
"""

LOADER = _SHELL.replace("@PLACING@", PLACING).replace("@LOADING@", LOADING.strip())
"""The text of :data:`PROGRAM`."""

UNIT = f"""\
[Unit]
Description=Baseline firewall of hearth.gpu_host (its own chains only)
Documentation=file:{PROGRAM}
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target sysinit.target shutdown.target
After=local-fs.target systemd-modules-load.service hearth-guard.service
After=ufw.service nftables.service netfilter-persistent.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
StandardError=journal+console
TimeoutStartSec=180
ExecStart={PROGRAM} boot
ExecReload={PROGRAM} load
# There is no ExecStop: stopping must neither open nor close anything.

[Install]
WantedBy=sysinit.target
"""
"""Loads what is kept before the network is up. Its link in ``sysinit.target.wants`` enables it."""


def unit_text(late_nftables: bool) -> str:
    """Return the text of our unit.

    :param late_nftables: ``nftables.service`` begins after ``sysinit.target``, as in EL. Then we cannot be after it
        and before that target: systemd breaks such a circle by leaving one out, and that would be us.
    """
    return UNIT.replace(" nftables.service", "") if late_nftables else UNIT


DOCKER_DROPIN = f"""\
# Docker does not always put its hook back where it belongs; {DOCKER} hangs on it.
[Service]
ExecStartPost=-{PROGRAM} docker
"""
