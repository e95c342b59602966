# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The part of the loader that decides: what iptables-restore has to be told so that the live table becomes as wished.

It is awk, because the loader works where there is no Python: at boot, in a rollback, on the console. It reads the files
of a bundle and the live table, and prints a script for ``iptables-restore --noflush``: nothing when nothing is to be
done, so that the counters of what stays are kept. ``table.predict`` is its twin in Python.

Variables on its command line: ``family``; ``texts`` compares the rules of chains too, not only where things stand;
``rescue`` leaves everything out that the declared chains do not need; ``docker`` looks at Docker's hook only;
``accept`` takes every policy for ACCEPT.
"""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import PREFIX
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import (
    ABOVE,
    COMMENT,
    FINAL,
    OWN_JUMP,
)

_PROGRAM = r"""
function refuse(message) {
    print "hearth-firewall: IPv" family ": " message > "/dev/stderr"
    broken = 1
    exit 1
}
function own(chain) { return index(chain, "@PREFIX@") == 1 }
function unquoted(text) {
    gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
    return text
}
function target(text) {
    text = " " unquoted(text) " "
    return match(text, / -[jg] [^ ]+ /) ? substr(text, RSTART + 4, RLENGTH - 5) : ""
}
function our_jump(chain, text) { return !own(chain) && text ~ /@OWN_JUMP@/ }
function stays_above(text) { return text ~ /@ABOVE@/ }
function decides_all(text) {
    gsub(/@COMMENT@/, "", text)
    return text ~ /@FINAL@/
}
function of_docker(text, user) { return target(text) ~ /^DOCKER/ && target(text) != user || text ~ /-o docker0/ }

kind == "rules" && /^:/ { wanted[substr($1, 2)]; names[++named] = substr($1, 2); next }
kind == "rules" && /^-A / && ($2 in wanted) && own($2) { text[$2] = text[$2] $0 "\n"; next }
kind == "rules" { if (NF && !/^#/) refuse("this is no rule of ours: " $0); next }
kind == "jumps" { if ($1 == family) { from[++jumps] = $2; to[jumps] = $3; place[jumps] = $4 } next }
kind == "policies" { if ($1 == family) policy[$2] = accept ? "ACCEPT" : $3; next }
kind == "needs" { if ($1 == family) need[$2]; next }
kind == "made" { if ($1 == family) made[$2]; next }
/^# Table .*is incompatible/ { refuse("the table cannot be read: " $0) }
/^\*/ { filter = $1 == "*filter"; next }
filter && /^:/ { live[substr($1, 2)] = $2; lives[++living] = substr($1, 2); next }
filter && /^-A / {
    rule[$2, ++count[$2]] = substr($0, length($2) + 5)
    was[$2] = was[$2] $0 "\n"
}

END {
    if (broken) exit 1
    if (rescue) lessen()
    for (i = 1; i <= jumps; i++)
        if (!(to[i] in wanted)) refuse("a jump leads from " from[i] " into " to[i] ", which is not declared")
    if (docker) only_docker()
    else chains()
    hooks()
    for (i = 1; i <= jumps; i++) source[from[i]]
    for (i = 1; i <= living && !docker; i++) source[lives[i]]
    if (docker) source["FORWARD"]
    for (chain in source) if (!own(chain)) arrange(chain)
    out = head drops adds places tail
    if (out != "") printf "*filter\n%sCOMMIT\n", out
}

function lessen(  i, kept, name) {
    for (name in policy) delete policy[name]
    for (name in need) delete need[name]
    for (i = 1; i <= jumps; i++)
        if (to[i] in wanted) { from[++kept] = from[i]; to[kept] = to[i]; place[kept] = place[i] }
    jumps = kept
}
function only_docker() {
    jumps = 0
    if (!("HEARTH-DOCKER" in live)) exit 0
    from[jumps = 1] = "DOCKER-USER"; to[1] = "HEARTH-DOCKER"; place[1] = "first"
    need["DOCKER-USER"]
}
function chains(  i, k, name, where) {
    for (i = 1; i <= named; i++) {
        name = names[i]
        if (!(name in live) || (texts && was[name] != text[name])) {
            head = head ":" name " - [0:0]\n"
            adds = adds text[name]
        }
    }
    for (name in policy)
        if (live[name] != policy[name]) head = head ":" name " " policy[name] " [0:0]\n"
    for (i = 1; i <= living; i++) {
        name = lives[i]
        if (!own(name) || (name in wanted)) continue
        head = head "-F " name "\n"
        tail = tail "-X " name "\n"
    }
    for (i = 1; i <= living; i++) {
        where = lives[i]
        for (k = 1; k <= count[where] && !own(where); k++)
            if (astray(target(rule[where, k])) && !our_jump(where, rule[where, k]))
                refuse("a rule that is not of hearth.gpu_host leads into a chain that shall go. Remove it, then " \
                    "run this again: -D " where " " rule[where, k])
    }
}
function astray(name) { return own(name) && !(name in wanted) }
# Docker asks its hook only if the jump to it stands above its own rules, and does not always see to that itself.
function hooks(  name, i, ours, theirs) {
    for (name in need) {
        if (!(name in live)) head = head ":" name " - [0:0]\n"
        ours = theirs = 0
        for (i = count["FORWARD"]; i >= 1; i--) {
            if (rule["FORWARD", i] == "-j " name) ours = i
            if (of_docker(rule["FORWARD", i], name)) theirs = i
        }
        if (!ours || (theirs && theirs < ours)) hook = name
    }
    for (name in made) if (!named && !(name in need) && (name in live) && !docker && idle(name)) unhook = name
    if (unhook != "") tail = tail "-X " unhook "\n"
}
function idle(name,  i, k) {
    for (i = 1; i <= living; i++)
        if (lives[i] ~ /^DOCKER/ && lives[i] != name) return 0
    for (i = 1; i <= count[name]; i++) if (!our_jump(name, rule[name, i])) return 0
    for (i = 1; i <= living; i++)
        for (k = 1; k <= count[lives[i]]; k++)
            if (target(rule[lives[i], k]) == name && lives[i] " " rule[lives[i], k] != "FORWARD -j " name) return 0
    return 1
}
# The rules of a chain that others own: theirs as they are, our jumps where they belong.
function arrange(chain,  i, now, rest, all, top, cut, same) {
    split("", now); split("", theirs); split("", ours)
    if (!(chain in live) && !(chain in need) && chain !~ /^(INPUT|FORWARD|OUTPUT)$/) {
        print "hearth-firewall: IPv" family ": there is no chain " chain ", so nothing leads from it" > "/dev/stderr"
        return
    }
    if (chain == "FORWARD" && hook != "") {
        drops = drops repeated("-D FORWARD -j " hook, "-j " hook)
        drops = drops "-I FORWARD 1 -j " hook "\n"
        now[++all] = "-j " hook
    }
    # Where our other jumps belong is not looked at then.
    if (docker && chain == "FORWARD") return
    if (chain == "FORWARD" && unhook != "") drops = drops repeated("-D FORWARD -j " unhook, "-j " unhook)
    for (i = 1; i <= count[chain]; i++)
        if (chain != "FORWARD" || rule[chain, i] != "-j " hook && rule[chain, i] != "-j " unhook)
            now[++all] = rule[chain, i]
    for (i = 1; i <= all; i++) if (!our_jump(chain, now[i])) theirs[++rest] = now[i]
    for (top = 0; top < rest && stays_above(theirs[top + 1]);) top++
    for (cut = 1; cut <= rest && !decides_all(theirs[cut]);) cut++
    line_up(chain, rest, top, cut)
    same = lines == all
    for (i = 1; i <= all && same; i++) same = now[i] == final[i]
    if (same) return
    for (i = 1; i <= all; i++) if (our_jump(chain, now[i])) drops = drops "-D " chain " " now[i] "\n"
    for (i = 1; i <= lines; i++) if (i in ours) places = places "-I " chain " " i " " final[i] "\n"
}
function repeated(entry, word,  i, found) {
    for (i = 1; i <= count["FORWARD"]; i++) if (rule["FORWARD", i] == word) found = found entry "\n"
    return found
}
# Fill final and ours: first after the top, last before the cut, a number where it says, in ascending order.
function line_up(chain, rest, top, cut,  i, k, least) {
    lines = 0
    for (i = 1; i <= top; i++) final[++lines] = theirs[i]
    jumps_at(chain, "first")
    for (; i < cut; i++) final[++lines] = theirs[i]
    jumps_at(chain, "last")
    for (; i <= rest; i++) final[++lines] = theirs[i]
    split("", done)
    while (least = lowest(chain)) {
        i = place[least] > lines + 1 ? lines + 1 : place[least] + 0
        for (k = lines++; k >= i; k--) { final[k + 1] = final[k]; if (k in ours) { delete ours[k]; ours[k + 1] } }
        final[i] = "-j " to[least]
        ours[i]
        done[least]
    }
}
function jumps_at(chain, where,  i) {
    for (i = 1; i <= jumps; i++)
        if (from[i] == chain && place[i] == where) { final[++lines] = "-j " to[i]; ours[lines] }
}
function lowest(chain,  i, found) {
    for (i = 1; i <= jumps; i++)
        if (from[i] == chain && place[i] ~ /^[0-9]+$/ && !(i in done) && (!found || before(i, found))) found = i
    return found
}
function before(a, b) {
    return place[a] + 0 < place[b] + 0 || (place[a] + 0 == place[b] + 0 && to[a] "" < to[b] "")
}
"""

PLACING = (
    _PROGRAM.replace("@PREFIX@", PREFIX)
    .replace("@ABOVE@", ABOVE)
    .replace("@COMMENT@", COMMENT)
    .replace("@FINAL@", FINAL)
    .replace("@OWN_JUMP@", OWN_JUMP)
)
