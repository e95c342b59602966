# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Boot once on trial with GRUB: the new arguments once, and what ran before whenever that does not end well.

The default of the menu becomes the fallback, and GRUB's one-shot entry the trial. Whichever way the trial
fails, the next start is the fallback. Only once the host came back on the trial, both go away, and the menu
boots the new arguments by itself.
"""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import (
    Action,
    Gate,
    RemoveFile,
    WriteFile,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import (
    cmdline,
    grub_env,
    grub_menu,
    trial_menu,
    trial_scene,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_env import (
    GRUBENV,
    NEXT_ENTRY,
    SetEnv,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_menu import FALLBACK, TRIAL
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_scene import (
    DROPIN,
    SCRIPT,
    Raw,
    Scene,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan

ARMED, COMMITTED, WITHDRAWN, ABSENT = "armed", "committed", "withdrawn", "absent"
STATES = (ARMED, COMMITTED, WITHDRAWN, ABSENT)

# How the host came up, as far as a trial is concerned.
NONE, WAITING, CAME_BACK, FELL_BACK = "none", "waiting", "trial", "fallback"
OTHER, UNFINISHED = "other", "unfinished"

# The menu must go on by itself, whatever the operator's own settings are: nobody stands before the host.
DROPIN_TEXT = f"""\
# Managed by hearth.gpu_host (boot_trial): goes away once the host has started with its new arguments.
# Until then, what ran before is what boots by itself.
GRUB_DEFAULT={FALLBACK}
GRUB_TIMEOUT_STYLE=menu
GRUB_TIMEOUT=5
GRUB_RECORDFAIL_TIMEOUT=5
"""

_ADVICE = {
    WAITING: "the trial begins with the next reboot",
    FELL_BACK: (
        "the host did not come up on trial, or was started again before that was kept. It runs with its old"
        " arguments, and that stays so. Look at its console and at journalctl --boot=-1, correct or withdraw"
        " what was declared, and run again"
    ),
    OTHER: (
        "the host came up from neither entry of the trial, so nothing is proven. Reboot it, or take the trial"
        " back with state=absent"
    ),
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """What there is of a trial: our two files, our entries in the menu, what boots by itself and what once."""

    script: str
    dropin: str
    entries: trial_menu.Entries
    default: bool
    next_entry: str
    scene: Scene = dataclasses.field(compare=False)

    @property
    def is_clean(self) -> bool:
        """Tell whether there is nothing of ours."""
        return not (self.script or self.dropin or self.entries or self.default or self.next_entry == TRIAL)

    @property
    def outcome(self) -> str:
        """Tell how the host came up."""
        if self.is_clean:
            return NONE
        if not (self.script and self.dropin and self.entries and self.default):
            # A run died on its way here or on its way out: nothing was proven, and nothing is owed.
            return UNFINISHED
        if trial_menu.armed_in(self.script) == self.scene.boot_id:
            return WAITING
        if trial_menu.FALLBACK_WORD in self.scene.running:
            return FELL_BACK
        return CAME_BACK if trial_menu.TRIAL_WORD in self.scene.running else OTHER

    @property
    def is_configured(self) -> bool:
        """Tell whether what was on trial is what boots by itself without us. Unknown is taken for yes."""
        default = self.scene.default
        if default is None:
            return True
        tried = next((words for identity, words, _body in self.entries if identity == TRIAL), ())
        rebuilt = any(posixpath.basename(path) in self.scene.rebuilt for path in default.initrd)
        return not rebuilt and trial_menu.difference(tried, default.words) == trial_menu.SAME


class BootTrial(Capability[Raw, Trial]):
    """A boot on trial."""

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; a prediction is refused where it would be carried out.

        :raises Refusal: ``predict`` is given outside check mode.
        """
        if self.params["predict"] and not gate.check_mode:
            raise Refusal(
                "predict foretells what a run would do, and this run does it.",
                remedy="give it in check mode only, such as predict: '{{ ansible_check_mode }}'",
            )
        if self.params["predict"] and self.params["state"] == ABSENT:
            raise ParseError(f"predict means nothing with state {ABSENT}.", remedy="leave it out")
        return super().execute(gate)

    def read(self) -> Raw:
        return trial_scene.read_scene(self.host, ask_grub=self._arming or self._foretells_return)

    def parse(self, raw: Raw) -> Trial:
        menu = raw.text(grub_menu.GRUB_CFG)
        entries = grub_menu.parse_menu(menu)
        found = Trial(
            script=raw.text(SCRIPT),
            dropin=raw.text(DROPIN),
            entries=trial_menu.ours(entries),
            default=grub_menu.default_of(menu) == FALLBACK,
            next_entry=grub_env.parse_env(raw.text(GRUBENV)).get(NEXT_ENTRY, ""),
            scene=trial_scene.parse_scene(raw, entries),
        )
        # What an earlier task armed counts as if it had come back, which is so in check mode only.
        return _come_back(self._arm(found).after) if self._foretells_return else found

    def plan(self, current: Trial) -> Plan[Trial]:
        if self._arming:
            return self._arm(current)
        may_go = self._may_go(current)
        after = _without(current) if may_go and not current.is_clean else current
        return Plan(_taking_back(current) if may_go else (), after, _facts(current, after))

    def show(self, model: Trial) -> str:
        once = f"boots once: {model.next_entry}\n" if model.next_entry else ""
        itself = f"boots by itself: {FALLBACK}\n" if model.default else ""
        return f"{once}{itself}{model.script}"

    @property
    def _arming(self) -> bool:
        return bool(self.params["state"] == ARMED)

    @property
    def _foretells_return(self) -> bool:
        return bool(self.params["predict"] and self.params["state"] == COMMITTED)

    def _may_go(self, current: Trial) -> bool:
        """Tell whether the trial may end. What is not proven stays as it is, unless it is to be called off."""
        state = self.params["state"]
        if state == WITHDRAWN and current.outcome == FELL_BACK:
            # That nobody asks for it does not mean that it is gone: it would be what boots next, without a net.
            return bool(self.params["predict"]) or not current.is_configured
        return state in (ABSENT, WITHDRAWN) or current.outcome in (CAME_BACK, UNFINISHED)

    def _arm(self, current: Trial) -> Plan[Trial]:
        scene = current.scene
        if scene.why or scene.default is None:
            return Plan((), current, _facts(current, current))
        _refuse_foreign(current)
        _refuse_endless(self.params["panic"])
        source = trial_menu.Source(scene.menu, scene.default, scene.running, scene.previous)
        script = trial_menu.render_script(source, scene.boot_id, self.params["panic"])
        entries = trial_menu.ours(grub_menu.parse_menu(script))
        after = Trial(script, DROPIN_TEXT, entries, True, TRIAL, scene)
        # Only what was prepared in this boot may be what is wanted now. It is not, where what is configured changes
        # before; in check mode the menu does not have that yet.
        renewed = current.outcome != WAITING or current.entries != after.entries or self.params["predict"]
        return Plan(_taking_place(current, after, renewed), after, _facts(current, after))


def _taking_place(current: Trial, after: Trial, outdated: bool) -> tuple[Action, ...]:
    """Entries before the default that names them, and all that before what boots once."""
    actions: list[Action] = []
    # A menu without our entries may come of a script that cannot be run: writing it sets its mode.
    if outdated or current.script != after.script:
        actions.append(WriteFile(SCRIPT, after.script, 0o755))
    if current.dropin != after.dropin:
        actions.append(WriteFile(DROPIN, after.dropin))
    if outdated:
        actions.append(grub_menu.GenerateMenu())
    if current.next_entry != TRIAL:
        actions.append(SetEnv(NEXT_ENTRY, TRIAL))
    return tuple(actions)


def _taking_back(current: Trial) -> tuple[Action, ...]:
    """What boots once comes first, so that no trial begins any more; the default before the entry it names."""
    actions: list[Action] = []
    if current.next_entry == TRIAL:
        actions.append(SetEnv(NEXT_ENTRY, ""))
    actions += [
        RemoveFile(path) for path, text in ((DROPIN, current.dropin), (SCRIPT, current.script)) if text
    ]
    if current.entries or current.default:
        actions.append(grub_menu.GenerateMenu())
    return tuple(actions)


def _come_back(armed: Trial) -> Trial:
    """Return a trial as it is once the host has booted it; what cannot be on trial stays as it is."""
    words = next((words for identity, words, _body in armed.entries if identity == TRIAL), ())
    if not (armed.next_entry == TRIAL and words):
        return armed
    scene = dataclasses.replace(armed.scene, running=words, boot_id="")
    return dataclasses.replace(armed, next_entry="", scene=scene)


def _without(current: Trial) -> Trial:
    foreign = "" if current.next_entry == TRIAL else current.next_entry
    return Trial("", "", (), False, foreign, current.scene)


def _refuse_foreign(current: Trial) -> None:
    if current.next_entry not in ("", TRIAL):
        raise Refusal(
            f"Somebody has told GRUB to boot {current.next_entry!r} once, and a trial would take its place.",
            remedy=f"boot it first, or take it back with grub-editenv {GRUBENV} unset {NEXT_ENTRY}",
        )


def _refuse_endless(panic_s: int) -> None:
    if panic_s < 1:
        raise Refusal(
            f"With panic={panic_s} a kernel on trial that panics does not reboot into the fallback as it should.",
            remedy="give panic a number of seconds, such as 30",
        )


def _facts(current: Trial, after: Trial) -> dict[str, t.Any]:
    words = {identity: words for identity, words, _body in after.entries}
    trial, fallback = words.get(TRIAL, ()), words.get(FALLBACK, ())
    return {
        "supported": not current.scene.why,
        "why": current.scene.why,
        "armed": bool(after.script),
        "outcome": current.outcome,
        "fell_back": current.outcome == FELL_BACK,
        "advice": _ADVICE.get(after.outcome, ""),
        "trial": cmdline.join(trial),
        "fallback": cmdline.join(fallback),
        "difference": trial_menu.difference(trial, fallback) if trial else "",
    }
