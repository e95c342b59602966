# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Quality of service of ports, with its queues. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import known
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Columns, PortWish, QosWish

_RATE = words.number(1, 2**63 - 1)
_MOST = 2**32 - 1
_QUEUES = {known.HTB: 61_439, known.HFSC: 61_439, "trtcm-policer": _MOST}
"""The highest number of a queue, by the types of QoS that have any."""
_SHAPERS = (known.HTB, known.HFSC)

_OTHER: words.Table = {"other_config": ("other_config", words.text_map)}
_QOS = ("type", "max_rate", "other_config", "queues")
_KEYS: words.Table = {
    "min_rate": ("min-rate", _RATE),
    "max_rate": ("max-rate", _RATE),
    "burst": ("burst", _RATE),
    "priority": ("priority", words.number(0, _MOST)),
}
_QUEUE = (*_KEYS, "dscp", "other_config")
_DSCP: words.Table = {"dscp": ("dscp", words.optional(words.number(0, 63)))}


def with_qos(ports: tuple[PortWish, ...] | None, given: t.Any) -> tuple[PortWish, ...] | None:
    """Return the ports with the QoS that the task gives by their names.

    It is the whole of the QoS of the ports of the task: a port without an entry shall have none.

    :raises ParseError: a value has not its grammar, or a port is not one of the task.
    """
    names = [port.name for port in ports or ()]
    if not isinstance(given, dict):
        raise words.wrong("qos", f"{given!r} is no mapping", "give the QoS of each port by the port's name")
    for name in given:
        if name not in names:
            raise words.wrong(
                "qos",
                f"{name!r} is no port of this task",
                f"name one of ports{words.did_you_mean(str(name), names)}; members of a bond and the port of the "
                "bridge itself have no QoS here",
            )
    if ports is None:
        return None
    return tuple(dataclasses.replace(port, qos=_qos(port.name, given.get(port.name))) for port in ports)


def _qos(port: str, value: t.Any) -> QosWish:
    where = f"qos of port {port}"
    given = words.only(where, {} if value is None else value, _QOS)
    kind = words.choice(*known.QOS_TYPES)(f"type in {where}", given.get("type") or "")
    if kind is None:
        if any(given.get(option) for option in _QOS[1:]):
            raise words.wrong(
                f"type in {where}", "it is not given", f"use one of {', '.join(known.QOS_TYPES)}"
            )
        return QosWish()
    columns = words.columns(where, given, _OTHER)
    if given.get("max_rate") is not None:
        if kind not in _SHAPERS:
            raise words.wrong(
                f"max_rate in {where}", f"{kind} has none", f"use {' or '.join(_SHAPERS)}, or other_config"
            )
        _put(where, columns, {"max-rate": _RATE(f"max_rate in {where}", given["max_rate"])})
    return QosWish(kind, columns, _queues(where, kind, given.get("queues") or {}))


def _queues(where: str, kind: str, given: t.Any) -> dict[int, Columns]:
    if given and kind not in _QUEUES:
        raise words.wrong(f"queues in {where}", f"{kind} has none", f"use one of {', '.join(_QUEUES)}")
    if not isinstance(given, dict):
        raise words.wrong(f"queues in {where}", f"{given!r} is no mapping", "give queues by their numbers")
    found: dict[int, Columns] = {}
    for key, value in given.items():
        number = words.number(0, _QUEUES[kind])(f"number of a queue in {where}", key)
        if number is None or number in found:
            raise words.wrong(
                f"queues in {where}", f"queue {key!r} is empty or there twice", "name each once"
            )
        found[number] = _queue(f"queue {number} in {where}", {} if value is None else value)
    return found


def _queue(where: str, value: t.Any) -> Columns:
    given = words.only(where, value, _QUEUE)
    columns = words.columns(where, given, {**_DSCP, **_OTHER})
    keys = words.columns(where, given, _KEYS)
    if keys:
        _put(where, columns, keys)
    least, most = keys.get("min-rate"), keys.get("max-rate")
    if least and most and least > most:
        raise Contradiction(
            f"min_rate of {where} is above its max_rate.", remedy="make it smaller, or leave one of them out"
        )
    return columns


def _put(where: str, columns: dict[str, t.Any], keys: t.Mapping[str, int | None]) -> None:
    """Put numbers into ``other_config``, as texts.

    :raises Contradiction: the user has set one of them there as well.
    """
    other = columns.setdefault("other_config", {})
    for key in keys:
        if key in other:
            raise Contradiction(
                f"{key} is twice in {where}: as an option and in other_config.",
                remedy="leave one of them out",
            )
    columns["other_config"] = {**other, **{key: None if n is None else str(n) for key, n in keys.items()}}
