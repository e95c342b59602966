# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The second part of the guard: how a change ends, and the dead man who sees to it."""

from __future__ import annotations

DECIDE = r"""# Four lines in a file of its own for each kind of change: token, result, time, reason.
record() {
    ( printf '%s\n' "$1" "$3" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$4" > "$state/.outcome.new" ) 2> /dev/null &&
        mv "$state/.outcome.new" "$state/outcome/$2" 2> /dev/null
}

# perform SCRIPT FOLDER MODE: the subshell keeps the lock while the script runs, even if this shell is killed.
perform() {
    log=$run/guard.out
    ( : > "$log" ) 2> /dev/null || log=/dev/null
    ( cd "$2" && limited 120 sh "./$1" "$3" < /dev/null > "$log" 2>&1 9>&-; exit $? )
    rc=$?
    said="its $1 ended with status $rc"
    [ "$log" = /dev/null ] || said="$said: $(tail -c 300 "$log" | tr '\n' ' ')"
    return $rc
}

# finish FOLDER RESULT WHY: a disk that was too full for the outcome has room once the folder is gone.
finish() {
    done_token=${1##*/}
    done_what=$(first "$1/guard.what")
    record "$done_token" "$done_what" "$2" "$3"
    recorded=$?
    rm -f "$run/reboot-holds/guard-$done_what"
    if [ "$(first "$1/guard.by")" = systemd ]; then
        limited 10 systemctl --no-block stop "hearth-guard-$done_token.timer" > /dev/null 2>&1 9>&-
    fi
    mv "$1" "$state/trash/$done_token" && rm -rf "$state/trash/$done_token"
    [ $recorded -eq 0 ] || record "$done_token" "$done_what" "$2" "$3" || warn "$done_token: $2, which cannot be noted"
    [ ! -e "$state/leave" ] || [ -n "$(waiting)" ] || remove_all
}

remove_all() {
    rm -f "$units/sysinit.target.wants/hearth-guard.service" "$units/hearth-guard.service"
    rm -f "$root/usr/local/sbin/hearth-guard" "$program"
    rm -rf "$state"
}

# undo FOLDER MODE WHY
undo() {
    undone=$(first "$1/guard.what")
    if perform rollback "$1" "$2"; then
        finish "$1" 'rolled back' "$3"
        warn "the change of $undone was taken back: $3"
        return 0
    fi
    record "${1##*/}" "$undone" 'rollback failed' "$said"
    warn "the change of $undone (${1##*/}) CANNOT BE TAKEN BACK: $said"
    return 1
}

# keep FOLDER MODE HOW
keep() {
    kept=$(first "$1/guard.what")
    if perform commit "$1" "$2"; then
        finish "$1" confirmed "$3"
        return 0
    fi
    record "${1##*/}" "$kept" 'confirmed, not kept' "$said"
    warn "the change of $kept (${1##*/}) was confirmed, but cannot be kept: $said"
    return 6
}

# settle TOKEN MODE WHY: bring whatever was begun to its end; what nobody confirmed is taken back.
settle() {
    find_change "$1" || return 0
    if [ "$where" = armed ]; then
        ( echo "$3" > "$folder/guard.why" ) 2> /dev/null
        # A disk that takes no rename any more is no reason to stay locked out.
        mv "$folder" "$state/undoing/$1" 2> /dev/null
        find_change "$1" || return 0
    fi
    if [ "$where" = confirming ]; then
        keep "$folder" "$2" 'confirmed; kept by the guard'
        return
    fi
    why=$(first "$folder/guard.why")
    undo "$folder" "$2" "${why:-$3}"
}

# expire TOKEN: the time is over. Without the lock in the end: being locked out is worse than doing it twice.
expire() {
    find_change "$1" || return 0
    over="nobody confirmed it within $(first "$folder/guard.window") s"
    pause=1
    # It does not give up: nobody else is there who would try.
    while :; do
        take_lock 130
        settle "$1" now "$over" && return 0
        drop_lock
        sleep $pause
        pause=$((pause < 30 ? pause * 2 : 60))
    done
}

# wait_for TOKEN: the dead man where there is no systemd. It counts its own seconds too: no clock can hold it up.
wait_for() {
    { echo -500 > "$proc/$$/oom_score_adj"; } 2> /dev/null
    find_change "$1" || return 0
    window=$(first "$folder/guard.window")
    until=$(first "$folder/guard.until")
    echo "$$ $(started $$)" > "$folder/guard.by.new" && mv "$folder/guard.by.new" "$folder/guard.by" || return 1
    ticks=0
    while find_change "$1" && [ "$ticks" -lt "$window" ]; do
        now=$(uptime_s)
        [ "${now:-0}" -lt "$until" ] || break
        sleep 1
        ticks=$((ticks + 1))
    done
    expire "$1"
}

start_dead_man() {
    if [ -d "$root/run/systemd/system" ]; then
        echo systemd > "$1/guard.by"
        limited 20 systemd-run --quiet --collect --unit="hearth-guard-${1##*/}" --on-active="$2s" \
            --timer-property=AccuracySec=100ms "$program" expire "${1##*/}" 9>&-
        return
    fi
    ( cd / && setsid "$program" wait "${1##*/}" < /dev/null > /dev/null 2>&1 9>&- & )
    patience=50
    while [ ! -s "$1/guard.by" ] && [ $patience -gt 0 ]; do
        sleep 0.1
        patience=$((patience - 1))
    done
}

"""
