# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The base of every module that changes a host: read → parse → plan → apply, then read back.

A module supplies four small methods; this file supplies everything that must be the same
everywhere: the effect gate, check mode, the diff, the proof, and the translation of errors.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, Lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError, VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

Raw = t.TypeVar("Raw")
Model = t.TypeVar("Model")
Params = t.Mapping[str, t.Any]


def hold_host(host: Host) -> t.ContextManager[None]:
    """Hold the host while effects happen (``_lock.hold_host``)."""
    # Imported when there are effects: each module is compiled anew in every run, and most runs change nothing.
    from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock

    return _lock.hold_host(host)


@dataclasses.dataclass(frozen=True)
class Plan(t.Generic[Model]):
    """What will be done, the state that follows from it, and what else the task returns."""

    actions: tuple[Action, ...]
    after: Model
    facts: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


class Capability(abc.ABC, t.Generic[Raw, Model]):
    """One declarative capability of a host."""

    lock: Lock = staticmethod(hold_host)

    def __init__(self, params: Params, host: Host) -> None:
        self.params = params
        self.host = host

    @abc.abstractmethod
    def read(self) -> Raw:
        """Collect what the host says. The only method besides actions that does I/O."""

    @abc.abstractmethod
    def parse(self, raw: Raw) -> Model:
        """Turn it into the model. Pure."""

    @abc.abstractmethod
    def plan(self, current: Model) -> Plan[Model]:
        """Decide. Pure: the same input gives the same actions, in check mode or not."""

    @abc.abstractmethod
    def show(self, model: Model) -> str:
        """Render the model as text for the diff. Secrets do not appear."""

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs and prove the result.

        :raises VerifyError: the host, read back, differs from the plan.
        """
        current = self.parse(self.read())
        plan = self.plan(current)
        gate.apply(plan.actions)
        if gate.performed:
            self._verify(plan)
        return {
            "changed": bool(plan.actions),
            "actions": gate.actions,
            "diff": {"before": self.show(current), "after": self.show(plan.after)},
            **plan.facts,
        }

    def _verify(self, plan: Plan[Model]) -> None:
        found = self.parse(self.read())
        if found != plan.after:
            raise VerifyError(
                "The host is not as planned after the change.",
                expected=self.show(plan.after),
                found=self.show(found),
            )


def run_capability(
    capability: type[Capability[t.Any, t.Any]],
    argument_spec: dict[str, t.Any],
    **options: t.Any,
) -> None:
    """Be the whole ``main()`` of a module: run the capability and leave through Ansible."""
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **options)
    host = Host()
    gate = Gate(host, module.check_mode, capability.lock)
    with failing_politely(module, gate):
        result = capability(module.params, host).execute(gate)
        if not module._diff:
            del result["diff"]
        module.exit_json(**result)


@contextlib.contextmanager
def failing_politely(module: AnsibleModule, gate: Gate | None = None) -> t.Iterator[None]:
    """Turn errors into one failed task that lists the actions already taken."""
    try:
        yield
    except HearthError as error:
        module.fail_json(actions=gate.actions if gate else [], **error.as_result())
    except Exception as error:
        module.fail_json(
            msg=f"Internal error, please report it: {type(error).__name__}: {error}",
            exception=traceback.format_exc(),
            actions=gate.actions if gate else [],
            **({"rollback": gate.rollback} if gate and gate.rollback else {}),
        )
