# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HostBusy
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._lock import Lease

NOON = 1_800_000_000.0
ANN = Lease("ann-1", "site.yml, run by ann on deploy1 (pid 4711)", NOON, NOON + 3600)
BOB = Lease("bob-2", "vfio.yml, run by bob on deploy2 (pid 42)", NOON + 60, NOON + 3660)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(root=str(tmp_path), now=lambda: NOON + 60)


def lease_on(host: Host) -> Lease | None:
    return _lock.parse_lease(host.read(_lock.LOCK_FILE).text or "")


def as_play(monkeypatch: pytest.MonkeyPatch, play: str) -> None:
    monkeypatch.setenv(_lock.PLAY_VARIABLE, play)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "{}",
        '{"play": "a", "who": "b", "since": 1}',
        '{"play": "a", "who": "b", "since": "soon", "expires": 2}',
        '{"play": "a", "who": "b", "since": null, "expires": 2}',
    ],
)
def test_text_that_is_no_lease_counts_as_none(text: str) -> None:
    assert _lock.parse_lease(text) is None


# lease, play, now -> blocks
BLOCKING = [
    (None, "bob-2", NOON, False),
    (ANN, "bob-2", NOON, True),
    (ANN, "", NOON, True),
    (ANN, "ann-1", NOON, False),
    (ANN, "bob-2", NOON + 3599, True),
    (ANN, "bob-2", NOON + 3600, False),
]


@pytest.mark.parametrize(("lease", "play", "now", "blocks"), BLOCKING)
def test_only_a_living_lease_of_another_play_blocks(
    lease: Lease | None, play: str, now: float, blocks: bool
) -> None:
    assert (_lock.blocking(lease, play, now) is not None) is blocks


def test_second_play_is_told_who_holds_the_host_and_how_to_lift_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_play(monkeypatch, ANN.play)
    _lock.take_lease(host, ANN)
    as_play(monkeypatch, BOB.play)
    with pytest.raises(HostBusy) as caught:
        _lock.take_lease(host, BOB)
    assert ANN.who in caught.value.message
    assert "since 2027-01-15 08:00:00 UTC, until 2027-01-15 09:00:00 UTC" in caught.value.message
    assert "gpu_host_lock_takeover=true" in caught.value.remedy
    assert caught.value.details["holder"]["play"] == ANN.play
    assert lease_on(host) == ANN


def test_effects_of_another_play_are_refused_and_own_ones_pass(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_play(monkeypatch, ANN.play)
    _lock.take_lease(host, ANN)
    with _lock.hold_host(host):
        pass
    monkeypatch.delenv(_lock.PLAY_VARIABLE)
    with pytest.raises(HostBusy), _lock.hold_host(host):
        raise AssertionError("let in")


def test_an_expired_lease_is_nobodys(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    as_play(monkeypatch, ANN.play)
    _lock.take_lease(host, ANN)
    later = Host(root=host.root, now=lambda: ANN.expires)
    as_play(monkeypatch, BOB.play)
    _lock.take_lease(later, BOB)
    assert lease_on(host) == BOB


@pytest.mark.parametrize(
    ("instead_of", "taken"), [("*", True), (ANN.play, True), ("carol-3", False), ("", False)]
)
def test_takeover_is_from_exactly_the_play_that_was_named(
    host: Host, monkeypatch: pytest.MonkeyPatch, instead_of: str, taken: bool
) -> None:
    as_play(monkeypatch, ANN.play)
    _lock.take_lease(host, ANN)
    as_play(monkeypatch, BOB.play)
    if taken:
        _lock.check_lease(host, instead_of)
        _lock.take_lease(host, BOB, instead_of)
    else:
        with pytest.raises(HostBusy):
            _lock.check_lease(host, instead_of)
        with pytest.raises(HostBusy):
            _lock.take_lease(host, BOB, instead_of)
    assert lease_on(host) == (BOB if taken else ANN)


def test_a_released_host_is_free_and_a_foreign_lease_stays(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_play(monkeypatch, ANN.play)
    _lock.take_lease(host, ANN)
    as_play(monkeypatch, BOB.play)
    _lock.drop_lease(host)
    assert lease_on(host) == ANN
    as_play(monkeypatch, ANN.play)
    _lock.drop_lease(host)
    assert lease_on(host) is None


def test_a_shorter_lease_leaves_no_rest_of_the_longer_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_play(monkeypatch, ANN.play)
    _lock.take_lease(host, ANN)
    shorter = Lease(ANN.play, "x", NOON, NOON + 1)
    _lock.take_lease(host, shorter)
    assert json.loads(host.text(_lock.LOCK_FILE) or "")["who"] == "x"


def test_checking_writes_nothing(host: Host, tmp_path: pathlib.Path) -> None:
    _lock.check_lease(host)
    assert os.listdir(tmp_path) == []


def test_a_lease_with_an_impossible_time_is_still_named(host: Host) -> None:
    eternal = Lease("eve", "eve", -1e30, 1e30)
    with pytest.raises(HostBusy, match="held by eve since an impossible time"):
        _lock.refuse_foreign(host, eternal)


HOLDER = textwrap.dedent(
    """
    import sys, time
    from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock
    from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

    with _lock.hold_host(Host(root=sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
    """
)


@pytest.fixture
def holder(tmp_path: pathlib.Path) -> t.Iterator[subprocess.Popen[str]]:
    """Another process that holds the host."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_processes_never_change_the_host_at_once(
    host: Host, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lock, "_PATIENCE_S", 0.3)
    with pytest.raises(HostBusy) as caught, _lock.hold_host(host):
        raise AssertionError("let in")
    assert "more than 0.3 s" in caught.value.message
    assert f"fuser -v {_lock.LOCK_FILE}" in caught.value.remedy


def test_sigkill_of_the_holder_frees_the_host(
    host: Host, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lock, "_PATIENCE_S", 5.0)
    holder.send_signal(signal.SIGKILL)
    with _lock.hold_host(host):
        pass
