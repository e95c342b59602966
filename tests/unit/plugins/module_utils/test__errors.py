# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils import _errors
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError


def test_msg_alone_says_what_was_found_and_what_to_do() -> None:
    assert HearthError("The disk is full.", remedy="free 1 GiB").as_result() == {
        "msg": "The disk is full. Remedy: free 1 GiB",
        "error": "HearthError",
        "remedy": "free 1 GiB",
    }


def test_msg_without_remedy_has_no_empty_tail() -> None:
    assert HearthError("It failed.").as_result()["msg"] == "It failed."


def test_details_become_results_of_the_task() -> None:
    assert HearthError("No.", holder={"who": "ann"}).as_result()["holder"] == {"who": "ann"}


@pytest.mark.parametrize(
    "name", ["ParseError", "Refusal", "CommandError", "HostBusy", "EffectError", "VerifyError"]
)
def test_every_error_is_caught_as_one_and_named_in_the_result(name: str) -> None:
    with pytest.raises(HearthError) as caught:
        raise getattr(_errors, name)("x")
    assert caught.value.as_result()["error"] == name


def test_a_contradiction_and_a_busy_host_are_refusals() -> None:
    assert issubclass(_errors.Contradiction, _errors.Refusal)
    assert issubclass(_errors.HostBusy, _errors.Refusal)
