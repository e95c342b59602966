# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The last part of the guard: what it can be told to do."""

from __future__ import annotations

VERBS = r"""# All of them now: a disk that is full when the time is over takes a rename, but not a new folder.
make_places() {
    for name in armed confirming undoing trash outcome; do
        mkdir -p "$state/$name" || return 1
    done
}

# arm TOKEN: everything is in new/TOKEN. From its rename on a reboot takes it back, from the dead man on time does.
arm() {
    for tool in flock setsid; do
        command -v $tool > /dev/null || { warn "$tool is missing (util-linux)"; exit 1; }
    done
    take_lock 20 || { warn "another hearth-guard is busy"; exit 75; }
    other=$(waiting)
    [ -z "$other" ] || { warn "another change waits to be decided: $other"; exit 7; }
    made=$state/new/$1
    window=$(first "$made/guard.window")
    now=$(uptime_s)
    what=$(first "$made/guard.what")
    if [ -z "$what" ] || [ -z "$now" ] || [ "${window:-0}" -le 0 ]; then warn "$made is not complete"; exit 1; fi
    hold=$run/reboot-holds/guard-$what
    {
        connection > "$made/guard.connection" && this_boot > "$made/guard.boot" && date +%s > "$made/guard.since" &&
            echo $((now + window)) > "$made/guard.until" &&
            rm -f "$state/leave" && mkdir -p "$run/reboot-holds" && make_places &&
            echo "a change of $what waits up to $window s to be confirmed: hearth-guard list" > "$hold" &&
            mv "$made" "$state/armed/$1"
    } || { rm -f "$hold"; warn "cannot arm in $state"; exit 1; }
    if ! start_dead_man "$state/armed/$1" "$window" || ! alive "$state/armed/$1"; then
        warn "the dead man does not wait: $1 is not armed"
        finish "$state/armed/$1" 'not armed' 'its timer did not start'
        exit 1
    fi
    pending
}

# What became of a change that waits no more.
answer() {
    for file in "$state"/outcome/*; do
        [ "$(first "$file")" = "$1" ] || continue
        { read -r _; read -r result; read -r since; read -r why; } < "$file"
        echo "$result at $since: $why"
        [ "$result" = confirmed ] || return 3
        return 0
    done
    echo "unknown: no such change waits here, and none is the last of its kind"
    return 4
}

# confirm TOKEN [HOW]: HOW (command, tcp) says that the caller has other proof than a connection of its own.
confirm() {
    take_lock 20 || { echo "busy: another hearth-guard holds $run/guard.lock"; return 75; }
    find_change "$1" || { answer "$1"; return; }
    if [ "$where" = undoing ]; then
        echo "being rolled back since: $(first "$folder/guard.why")"
        return 3
    fi
    before=$(first "$folder/guard.connection")
    now=$(connection)
    proof=${2:-command}
    [ -z "$before" ] || [ -z "$now" ] || [ "$before" = "$now" ] || proof="a new connection from ${now%% *}"
    if [ -z "${2-}" ] && [ -n "$before" ] && [ "$before" = "$now" ]; then
        echo "refused: this came over the connection that the change was made over ($before), which proves nothing"
        return 5
    fi
    if [ "$where" = armed ] && ! mv "$folder" "$state/confirming/$1"; then
        echo "not confirmed: $state cannot be written"
        return 1
    fi
    limited 10 sync "$state/confirming" "$state/armed" 2> /dev/null 9>&-
    if keep "$state/confirming/$1" now "by $proof"; then echo confirmed; return 0; fi
    echo "confirmed, not kept: $said"
    return 6
}

rollback() {
    take_lock 130 || echo "hearth-guard: going on without $run/guard.lock" >&2
    if ! find_change "$1"; then
        answer "$1"
        case $? in 0) return 3 ;; 3) return 0 ;; *) return 4 ;; esac
    fi
    if [ "$where" = confirming ]; then
        echo "it has been confirmed and is not taken back here; repeat hearth-guard confirm $1 to keep it"
        return 3
    fi
    settle "$1" now "$2" && echo 'rolled back'
}

# forget TOKEN: for what can be neither taken back nor kept. The host stays as it is.
forget() {
    take_lock 20 || { warn "another hearth-guard is busy"; return 75; }
    find_change "$1" || { answer "$1"; return; }
    [ "$where" != armed ] || { echo "it still waits: confirm it or roll it back"; return 3; }
    finish "$folder" forgotten "while $where"
    echo "forgotten; the host stays as it is"
}

boot() {
    rm -rf "$state"/new/* "$state"/trash/*
    worst=0
    for token in $(waiting); do
        find_change "$token" || continue
        mode=boot
        reason='the host was started anew before anybody confirmed it'
        if [ "$(first "$folder/guard.boot")" = "$(this_boot)" ]; then
            ! alive "$folder" || continue
            mode=now
            reason='nobody was left who would have waited for a confirmation'
        fi
        take_lock 30
        settle "$token" $mode "$reason" || settle "$token" $mode "$reason" || worst=1
        drop_lock
    done
    return $worst
}

# Tabs between: state, token, whether somebody waits, seconds left, since, what, who.
pending() {
    now=$(uptime_s)
    for token in $(waiting); do
        find_change "$token" || continue
        handle=no
        ! alive "$folder" || handle=yes
        until=$(first "$folder/guard.until")
        left=$((${until:-0} - ${now:-0}))
        [ $left -gt 0 ] || left=0
        what=$(first "$folder/guard.what")
        who=$(first "$folder/guard.who")
        since=$(first "$folder/guard.since")
        # One that ended meanwhile left nothing to be read.
        [ -d "$folder" ] || continue
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$where" "$token" $handle $left "$since" "$what" "$who"
    done
}

list() {
    pending | while IFS='	' read -r where token handle left since what who; do
        echo "$token: a change of $what by $who is $where."
        if [ "$handle" = yes ]; then
            echo "    $left s are left to confirm it, then it is taken back."
        else
            echo "    Nobody waits any more who would end it; a reboot does, or one of:"
        fi
        [ "$where" = confirming ] || echo "    hearth-guard rollback $token"
        [ "$where" = undoing ] || echo "    hearth-guard confirm $token"
        [ "$where" = armed ] || echo "    hearth-guard forget $token"
    done
    [ -n "$(waiting)" ] || echo 'Nothing waits to be confirmed.'
    for file in "$state"/outcome/*; do
        [ ! -f "$file" ] || echo "Last change of ${file##*/} ($(first "$file")): $(answer "$(first "$file")")"
    done
}

leave() {
    if [ -n "$(waiting)" ]; then : > "$state/leave"; else remove_all; fi
}

usage() {
    echo 'usage: hearth-guard list | confirm TOKEN | rollback TOKEN [WHY] | forget TOKEN' >&2
    exit 2
}

[ $# -gt 0 ] || set -- list
verb=$1
case $verb in
    list | pending | boot | leave) [ $# -le 1 ] || usage ;;
    arm | wait | expire | settle | confirm | rollback | forget)
        case ${2-} in '' | -* | *[!a-z0-9-]*) usage ;; esac
        ;;
    *) usage ;;
esac
[ "$(id -u)" = 0 ] || { echo 'hearth-guard: only root can see what waits' >&2; exit 77; }
# Half of it must not be all of it because the connection that ordered it went away.
[ "$verb" = list ] || trap '' HUP INT PIPE
case $verb in
    wait) wait_for "$2" ;;
    settle)
        take_lock 130
        settle "$2" now 'the run that made it died, and so did its dead man'
        ;;
    rollback) rollback "$2" "${3:-by hand}" ;;
    *) "$@" ;;
esac
"""
