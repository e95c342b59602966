# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The part of the loader that works: what a folder says, one family's rules, one family's block list."""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import BLOCK_SETS

LOADING = r"""
# --- what a folder says ---

# Print where a file of the folder lies. A bare folder has only policies: those that were there before us, if known.
file() {
    case $bare:$1 in
        :*) set -- "$folder/$1" ;;
        yes:policies) set -- "$folder/before" "$folder/policies" ;;
        *) set -- ;;
    esac
    for file in "$@" /dev/null; do
        if [ -e "$file" ]; then break; fi
    done
    echo "$file"
}
backend_of() {
    word=
    for place in "$@"; do
        [ -n "$word" ] || ! [ -s "$place" ] || read -r word <"$place"
    done
    case $word in
        iptables | iptables-nft | iptables-legacy) echo "$word" ;;
        *)
            say "the back end '$word' of $1 is none of iptables, iptables-nft, iptables-legacy"
            return 1
            ;;
    esac
}
tool() { if [ "$1" = 4 ]; then echo "$backend"; else echo "ip6${backend#ip}"; fi; }
kind() { case $("$1" --version 2>&1) in *nf_tables*) echo nft ;; *) echo legacy ;; esac; }
# Whether the folder wants anything of a family.
wants() {
    [ -s "$(file "rules$1")" ] || grep -q "^$1 " "$(file jumps)" "$(file policies)" "$(file needs)"
}

# --- rules ---

save() {
    if [ "$(kind "$1")" = legacy ]; then
        # Asking for a table that is not there makes it, and the other tool then warns of it for ever.
        names=/proc/net/${1%tables*}_tables_names
        grep -qx filter "$names" 2>/dev/null || return 0
    fi
    "$1-save" -t filter
}
# Print what iptables-restore must be told: FAMILY RULES, and settings of the awk program.
script() {
    family=$1 rules=$2
    shift 2
    accept=$bare
    [ ! -e "$folder/before" ] || accept=
    awk -v family="$family" -v rescue="$rescue" -v accept="$accept" "$@" "$placing" \
        kind=rules "$rules" kind=jumps "$(file jumps)" kind=policies "$(file policies)" \
        kind=needs "$(file needs)" kind=made "$made" kind=live -
}
# One transaction; when it fails, the line that it fails at is shown.
restore() {
    said=$(printf '%s\n' "$2" | "$1-restore" -w 20 -n 2>&1) && return 0
    number=$(printf '%s\n' "$said" | sed -n 's/.*[Ll]ine:\{0,1\} \([0-9][0-9]*\).*/\1/p' | head -n 1)
    say "$1-restore failed, and nothing was changed: $said"
    [ -z "$number" ] || say "that line is: $(printf '%s\n' "$2" | sed -n "${number}p")"
    return 1
}
# Make one family what a file of rules says: FAMILY RULES. Others may change the table at the same time: look again.
place() {
    tool=$(tool "$1")
    if ! wants "$1" && { ! has "$tool-restore" || { [ "$1" = 6 ] && ! [ -e /proc/net/if_inet6 ]; }; }; then
        return 0
    fi
    for texts in 1 0 0 0; do
        live=$(save "$tool") || { say "$tool-save failed"; return 1; }
        todo=$(printf '%s\n' "$live" | script "$1" "$2" -v texts="$texts" -v docker="${3-}") || return 1
        [ -n "$todo" ] || return 0
        remember_made "$1" "$todo" || return 1
        restore "$tool" "$todo" || return 1
        forget_made "$1" "$todo" || return 1
    done
    say "the IPv$1 rules do not stay where they are put: who else changes them?"
    return 1
}
# Note whose chains we make, while the tables live: only these are ours to remove.
remember_made() {
    printf '%s\n' "$2" | sed -n "s/^:\([^ ]*\) - .*/$1 \1/p" | grep -v " HEARTH-" >>"$made"
    [ -f "$made" ]
}
forget_made() {
    gone=$(printf '%s\n' "$2" | sed -n "s/^-X \(.*\)/$1 \1/p" | grep -v " HEARTH-")
    [ -n "$gone" ] || return 0
    grep -vxF "$gone" "$made" >"$made.new"
    mv "$made.new" "$made"
}

# --- block lists ---

# A list is made beside the one that is in use, and takes its place when the rules are loaded.
list_in() {
    [ -s "$(file "sets$1")" ] || return 0
    has ipset || { say "there is no ipset, which the block list needs"; return 1; }
    name=@SET@$1
    ipset -q destroy "$name-new"
    sed -e "s/^create $name /create $name-new /" -e "s/^add $name /add $name-new /" "$folder/sets$1" |
        ipset restore -exist || return 1
    ipset -q -terse list "$name" >/dev/null || sed -n "/^create $name /p" "$folder/sets$1" | ipset restore
}
list_done() {
    name=@SET@$1
    has ipset || return 0
    if [ -s "$(file "sets$1")" ]; then
        ipset swap "$name-new" "$name" && ipset destroy "$name-new"
    elif ipset -q -terse list "$name" >/dev/null; then
        ipset destroy "$name" && return 0
        say "the list $name stays: a rule that is not of hearth.gpu_host uses it"
        return 1
    fi
}
list_failed() {
    has ipset || return 0
    ipset -q destroy "@SET@$1-new"
    # Only one that no rule uses goes.
    ipset -q destroy "@SET@$1"
    return 0
}
""".replace("@SET@", BLOCK_SETS[4].rstrip("4"))
