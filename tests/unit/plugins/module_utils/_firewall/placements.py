# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where jumps go: tables before and after, for the prediction in Python and for the loader on a real kernel.

A case is loadable as it stands, in both families and with both tools: ``before_text`` goes into ``iptables-restore``,
the rules become a bundle, and ``iptables-save`` then says ``after``. Every case is a fixpoint: a second load of the
same rules changes nothing.
"""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    DOCKER,
    EARLY,
    FIRST,
    FORWARD,
    INPUT,
    LAST,
    Jump,
    Ruleset,
)

OUR_CHAINS = (
    (EARLY, ("-i lo -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")),
    (INPUT, ("-p tcp -m tcp --dport 22 -j ACCEPT", "-j DROP")),
)
OUR_LINES = tuple(f"-A {chain} {rule}" for chain, rules in OUR_CHAINS for rule in rules)
WANTED = Ruleset(OUR_CHAINS, (Jump("INPUT", EARLY, FIRST), Jump("INPUT", INPUT, LAST)))
TO_EARLY, TO_INPUT = f"-A INPUT -j {EARLY}", f"-A INPUT -j {INPUT}"


@dataclasses.dataclass(frozen=True)
class Placement:
    """One case. The lines are rules; a chain with no rule is a line of its own, such as ``:DOCKER-USER``."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    wanted: Ruleset = WANTED
    policies: tuple[tuple[str, str], ...] = ()
    policies_after: tuple[tuple[str, str], ...] = ()
    made: tuple[str, ...] = ()
    """Chains that the loader has noted as made by itself (its file firewall.made)."""

    @property
    def before_text(self) -> str:
        """The table before, as ``iptables-restore`` reads it."""
        return save_text(self.before, dict(self.policies))

    @property
    def after_text(self) -> str:
        """The table after, as ``iptables-save`` prints it, but for its comments."""
        return save_text(self.after, dict(self.policies_after or self.policies))


def save_text(lines: tuple[str, ...], policies: dict[str, str] | None = None) -> str:
    """Build a table out of rules, in ``iptables-save``'s order.

    Declares every chain that has rules, and ours where they are jumped to; others need a line such as ``:mine``.
    """
    built_in = ("INPUT", "FORWARD", "OUTPUT")
    mentioned = {line[1:] if line[0] == ":" else line.split()[1] for line in lines}
    mentioned |= {line.split()[-1] for line in lines if line.split()[-1].startswith("HEARTH-")}
    chains = [*built_in, *sorted(mentioned - set(built_in))]
    head = [
        f":{chain} {(policies or {}).get(chain, 'ACCEPT') if chain in built_in else '-'} [0:0]"
        for chain in chains
    ]
    rules = [line for chain in chains for line in lines if line.startswith(f"-A {chain} ")]
    return "\n".join(["*filter", *head, *rules, "COMMIT", ""])


def _input(*rules: str) -> tuple[str, ...]:
    return tuple(f"-A INPUT {rule}" for rule in rules)


def _case(name: str, before: tuple[str, ...], after: tuple[str, ...], *lines: str) -> Placement:
    """A case in INPUT, with our two usual jumps. ``lines`` are foreign ones that stand in both tables."""
    return Placement(name, (*_input(*before), *lines), (*_input(*after), *lines, *OUR_LINES))


_F2B = "-p tcp -m multiport --dports 22,2222 -j f2b-sshd"
_JE, _JI = f"-j {EARLY}", f"-j {INPUT}"
_SSH = "-p tcp -m tcp --dport 22 -j ACCEPT"
_DOCKER_CHAIN = ((DOCKER, ("-p tcp -m tcp --dport 8188 -j DROP",)),)
_DOCKER_LINE = f"-A {DOCKER} -p tcp -m tcp --dport 8188 -j DROP"
_DOCKER = Ruleset(_DOCKER_CHAIN, (Jump("DOCKER-USER", DOCKER, FIRST),), needs=("DOCKER-USER",))
_FORWARD_CHAIN = ((FORWARD, ("-j DROP",)),)

PLACEMENTS = (
    _case("nothing there", (), (_JE, _JI)),
    _case("already there", (_JE, _JI), (_JE, _JI)),
    _case("hand-made rules stay between", (_SSH, "-i eth9 -j DROP"), (_JE, _SSH, "-i eth9 -j DROP", _JI)),
    _case("our jumps the wrong way round", (_JI, _SSH, _JE), (_JE, _SSH, _JI)),
    _case("our jumps doubled", (_JE, _JI, _JE, _JI), (_JE, _JI)),
    _case("before an accept of everything", (_SSH, "-j ACCEPT", _SSH), (_JE, _SSH, _JI, "-j ACCEPT", _SSH)),
    _case("before a drop of everything", ("-j DROP",), (_JE, _JI, "-j DROP")),
    _case("before a return to the policy", (_SSH, "-j RETURN"), (_JE, _SSH, _JI, "-j RETURN")),
    _case("before a queue", ("-j NFQUEUE --queue-num 0",), (_JE, _JI, "-j NFQUEUE --queue-num 0")),
    _case(
        "a comment is no condition",
        ('-m comment --comment "the end: -s x" -j DROP',),
        (_JE, _JI, '-m comment --comment "the end: -s x" -j DROP'),
    ),
    _case(
        "a one-word comment is no condition",
        ("-m comment --comment end -j DROP",),
        (_JE, _JI, "-m comment --comment end -j DROP"),
    ),
    _case(
        "a comment with quotes is no condition",
        (r'-m comment --comment "the \"end\" \\ of it" -j DROP',),
        (_JE, _JI, r'-m comment --comment "the \"end\" \\ of it" -j DROP'),
    ),
    _case(
        "a comment does not end a chain",
        ('-p tcp -m comment --comment "not -j DROP" -j ACCEPT',),
        (_JE, '-p tcp -m comment --comment "not -j DROP" -j ACCEPT', _JI),
    ),
    _case("logging decides nothing", ("-j LOG",), (_JE, "-j LOG", _JI)),
    _case("before a goto", ("-g mine",), (_JE, _JI, "-g mine"), ":mine"),
    _case("after a jump to a chain that is not ours", ("-j mine",), (_JE, "-j mine", _JI), ":mine"),
    _case("below fail2ban", (_F2B, _SSH), (_F2B, _JE, _SSH, _JI), "-A f2b-sshd -j RETURN"),
    _case("fail2ban started after us", (_F2B, _JE, _SSH, _JI), (_F2B, _JE, _SSH, _JI), ":f2b-sshd"),
    _case("fail2ban further down is nobody's top", (_SSH, _F2B), (_JE, _SSH, _F2B, _JI), ":f2b-sshd"),
    _case(
        "below ufw's first chains",
        ("-j ufw-before-logging-input", "-j ufw-before-input", "-j ufw-after-input"),
        ("-j ufw-before-logging-input", "-j ufw-before-input", _JE, "-j ufw-after-input", _JI),
        ":ufw-before-logging-input",
        ":ufw-before-input",
        ":ufw-after-input",
    ),
    _case(
        "libvirt started after us", ("-j LIBVIRT_INP", _JE, _JI), ("-j LIBVIRT_INP", _JE, _JI), ":LIBVIRT_INP"
    ),
    _case(
        "below what Kubernetes keeps at the top",
        (
            '-m conntrack --ctstate NEW -m comment --comment "load balancer" -j KUBE-PROXY-FIREWALL',
            "-j KUBE-FIREWALL",
        ),
        (
            '-m conntrack --ctstate NEW -m comment --comment "load balancer" -j KUBE-PROXY-FIREWALL',
            "-j KUBE-FIREWALL",
            _JE,
            _JI,
        ),
        ":KUBE-PROXY-FIREWALL",
        ":KUBE-FIREWALL",
    ),
    _case("a conditional jump of a stranger stays", ("-i eth9 -j ACCEPT",), (_JE, "-i eth9 -j ACCEPT", _JI)),
    Placement(
        "a chain that is no longer wanted goes",
        (TO_EARLY, TO_INPUT, "-A HEARTH-OLD -j DROP"),
        (TO_EARLY, TO_INPUT, *OUR_LINES),
    ),
    Placement(
        "nothing wanted: all of ours goes",
        (TO_EARLY, "-A INPUT -i eth9 -j DROP", TO_INPUT, *OUR_LINES, "-A OUTPUT -j HEARTH-EARLY"),
        ("-A INPUT -i eth9 -j DROP",),
        Ruleset(),
    ),
    Placement("nothing wanted, nothing there", (), (), Ruleset()),
    Placement(
        "a policy is set, the others stay",
        (),
        (TO_EARLY, TO_INPUT, *OUR_LINES),
        dataclasses.replace(WANTED, policies=(("INPUT", "DROP"),)),
        (("FORWARD", "DROP"),),
        (("FORWARD", "DROP"), ("INPUT", "DROP")),
    ),
    Placement("a policy that is not managed stays", (), (), Ruleset(), (("INPUT", "DROP"),)),
    Placement(
        "forward, below Docker and before a final rule",
        (
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -i docker0 -j ACCEPT",
            "-A FORWARD -j DROP",
            ":DOCKER-USER",
        ),
        (
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -i docker0 -j ACCEPT",
            f"-A FORWARD -j {FORWARD}",
            "-A FORWARD -j DROP",
            ":DOCKER-USER",
            f"-A {FORWARD} -j DROP",
        ),
        Ruleset(_FORWARD_CHAIN, (Jump("FORWARD", FORWARD, LAST),)),
    ),
    Placement(
        "in DOCKER-USER before Docker's return",
        ("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"),
        (
            "-A FORWARD -j DOCKER-USER",
            f"-A DOCKER-USER -j {DOCKER}",
            "-A DOCKER-USER -j RETURN",
            _DOCKER_LINE,
        ),
        _DOCKER,
    ),
    Placement(
        "Docker is not there yet",
        ("-A FORWARD -i eth9 -j DROP",),
        (
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -i eth9 -j DROP",
            f"-A DOCKER-USER -j {DOCKER}",
            _DOCKER_LINE,
        ),
        _DOCKER,
    ),
    Placement(
        "Docker found its chain and left out the jump",
        ("-A FORWARD -j DOCKER", ":DOCKER", f"-A DOCKER-USER -j {DOCKER}", _DOCKER_LINE),
        (
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -j DOCKER",
            ":DOCKER",
            f"-A DOCKER-USER -j {DOCKER}",
            _DOCKER_LINE,
        ),
        _DOCKER,
    ),
    Placement(
        "Docker's own rules stand above its hook",
        ("-A FORWARD -o docker0 -j DOCKER", "-A FORWARD -j DOCKER-USER", ":DOCKER", ":DOCKER-USER"),
        (
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -o docker0 -j DOCKER",
            ":DOCKER",
            f"-A DOCKER-USER -j {DOCKER}",
            _DOCKER_LINE,
        ),
        _DOCKER,
    ),
    Placement(
        "a hook above Docker's rules stays where it is",
        (
            "-A FORWARD -i eth9 -j ACCEPT",
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -o docker0 -j DOCKER",
            ":DOCKER",
            ":DOCKER-USER",
        ),
        (
            "-A FORWARD -i eth9 -j ACCEPT",
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -o docker0 -j DOCKER",
            ":DOCKER",
            f"-A DOCKER-USER -j {DOCKER}",
            _DOCKER_LINE,
        ),
        _DOCKER,
    ),
    Placement(
        "a hook that we made goes with us",
        (
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -i eth9 -j DROP",
            f"-A DOCKER-USER -j {DOCKER}",
            _DOCKER_LINE,
        ),
        ("-A FORWARD -i eth9 -j DROP",),
        Ruleset(),
        made=("DOCKER-USER",),
    ),
    Placement(
        "a hook that we made stays while Docker is there",
        ("-A FORWARD -j DOCKER-USER", ":DOCKER", f"-A DOCKER-USER -j {DOCKER}", _DOCKER_LINE),
        ("-A FORWARD -j DOCKER-USER", ":DOCKER", ":DOCKER-USER"),
        Ruleset(),
        made=("DOCKER-USER",),
    ),
    Placement(
        "a hook that we made stays while it has rules of others",
        ("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -i eth9 -j DROP"),
        ("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -i eth9 -j DROP"),
        Ruleset(),
        made=("DOCKER-USER",),
    ),
    Placement(
        "a hook that we made stays while others lead into it",
        ("-A FORWARD -j DOCKER-USER", "-A FORWARD -i eth9 -j DOCKER-USER", ":DOCKER-USER"),
        ("-A FORWARD -j DOCKER-USER", "-A FORWARD -i eth9 -j DOCKER-USER", ":DOCKER-USER"),
        Ruleset(),
        made=("DOCKER-USER",),
    ),
    Placement(
        "a source that is gone gets no jump",
        (),
        (_DOCKER_LINE,),
        dataclasses.replace(_DOCKER, needs=()),
    ),
    Placement(
        "what Docker-user's chain had stays when ours goes",
        (
            "-A FORWARD -j DOCKER-USER",
            f"-A DOCKER-USER -j {DOCKER}",
            "-A DOCKER-USER -i eth9 -j DROP",
            _DOCKER_LINE,
        ),
        ("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -i eth9 -j DROP"),
        Ruleset(),
    ),
    Placement(
        "a snapshot puts every jump back at its number",
        (*_input("-i eth9 -j DROP", "-j DROP"),),
        (*_input(_JI, "-i eth9 -j DROP", _JE, "-j DROP"), *OUR_LINES),
        Ruleset(OUR_CHAINS, (Jump("INPUT", EARLY, "3"), Jump("INPUT", INPUT, "1"))),
    ),
    Placement(
        "a number beyond the end is the end",
        (*_input("-i eth9 -j DROP"),),
        (*_input("-i eth9 -j DROP", _JE, _JI), *OUR_LINES),
        Ruleset(OUR_CHAINS, (Jump("INPUT", EARLY, "7"), Jump("INPUT", INPUT, "9"))),
    ),
)
