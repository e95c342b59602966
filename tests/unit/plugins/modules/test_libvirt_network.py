# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of libvirt_network on a fake libvirt, and on none at all."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_libvirt"))

from fakelibvirt import STOCK_NETWORK, FakeGuest, FakeLibvirt, guest_on_network

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import LibvirtUnavailable
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.objects import Networks
from ansible_collections.hearth.gpu_host.plugins.modules import libvirt_network

DEFAULT = {
    "name": "default",
    "ips": [{"address": "192.168.122.1/24", "dhcp": [{"start": "192.168.122.2", "end": "192.168.122.254"}]}],
}
RECORD = "record what is ours in /var/lib/hearth/libvirt.json"
FRESH = [RECORD, "define network default", "set autostart of network default", "start network default"]
# A network that an operator made by hand under the name that the role declares.
HAND_MADE = """<network><name>default</name><forward mode='nat'/><bridge name='virbr0'/>
<ip address='198.51.100.1' prefix='24'><dhcp><range start='198.51.100.2' end='198.51.100.99'/>
<host mac='52:54:00:00:00:01' ip='198.51.100.5'/></dhcp></ip></network>"""
GONE = {"name": "default", "state": "absent"}


class Task:
    """Runs the module's real main() against a fake libvirt and an injected root."""

    def __init__(
        self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.libvirt = FakeLibvirt()
        self.root = root
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(_module, "Host", lambda: Host(root=str(root)))
        monkeypatch.setattr(Networks, "opener", staticmethod(self.libvirt.opener))

    def without_libvirt(self) -> None:
        def away(uri: str) -> t.Any:
            raise LibvirtUnavailable("libvirt does not answer.", remedy="start libvirtd")

        self._monkeypatch.setattr(Networks, "opener", staticmethod(away))

    def __call__(self, *networks: dict[str, t.Any], check: bool = False) -> dict[str, t.Any]:
        arguments = {"networks": list(networks), "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            libvirt_network.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, *networks: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same."""
        before = list(self.libvirt.effects)
        foretold = self(*networks, check=True)
        assert self.libvirt.effects == before
        result = self(*networks)
        assert foretold == result
        return result

    def kept(self, which: str = "previous") -> str:
        """Return the definition that was kept when it was replaced."""
        return (
            self.root / f"var/lib/hearth/backup/etc!libvirt!qemu!networks!default.xml.{which}"
        ).read_text()

    def record(self) -> t.Any:
        return json.loads((self.root / "var/lib/hearth/libvirt.json").read_text())["network"]


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(tmp_path, monkeypatch, capsys)


def test_missing_arguments_fail(task: Task) -> None:
    assert "missing required arguments: name" in task({"forward": "nat"})["msg"]


def test_create_then_nothing_to_do(task: Task) -> None:
    assert task.predicted(DEFAULT)["actions"] == FRESH
    again = task.predicted(DEFAULT)
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]


def test_the_distributions_network_gives_the_same_plan_as_a_bare_host(task: Task) -> None:
    task.without_libvirt()
    bare = task(DEFAULT, check=True)
    assert bare["unavailable"] == "libvirt does not answer."
    task._monkeypatch.setattr(Networks, "opener", staticmethod(task.libvirt.opener))
    task.libvirt.has(STOCK_NETWORK)
    shipped = task.predicted(DEFAULT)
    assert bare["actions"] == shipped["actions"] == FRESH
    assert bare["diff"]["after"] == shipped["diff"]["after"]


def test_without_libvirt_the_real_run_fails_before_anything_with_a_remedy(task: Task) -> None:
    task.without_libvirt()
    result = task(DEFAULT)
    assert (result["failed"], result["error"], result["remedy"]) == (
        True,
        "LibvirtUnavailable",
        "start libvirtd",
    )
    assert task({"name": "x", "state": "absent"})["changed"] is False


def test_a_stopped_daemons_files_are_what_it_will_load(task: Task) -> None:
    task(DEFAULT)
    defined = task.libvirt.get("default").inactive
    folder = task.root / "etc/libvirt/qemu/networks"
    (folder / "autostart").mkdir(parents=True)
    (folder / "default.xml").write_text(f"<!--\nWARNING\n-->\n{defined}")
    (folder / "autostart/default.xml").symlink_to("../default.xml")
    running = task.root / "run/libvirt/network"
    running.mkdir(parents=True)
    (running / "default.xml").write_text(f"<networkstatus><class_id/>{defined}</networkstatus>")
    task.without_libvirt()
    assert task(DEFAULT, check=True)["changed"] is False
    (running / "default.xml").unlink()
    assert task(DEFAULT, check=True)["actions"] == ["start network default"]


def test_adopting_a_running_network_does_not_restart_it(task: Task) -> None:
    stock = task.libvirt.has(STOCK_NETWORK)
    stock.create()
    task.libvirt.guests.append(FakeGuest(task.libvirt, guest_on_network("web", "default")))
    assert task.predicted(DEFAULT)["actions"] == FRESH[:3]


# community.libvirt #47, #107: define of an existing network does nothing and says ok.
def test_an_edited_network_is_defined_and_restarted_and_keeps_its_identity(task: Task) -> None:
    task(DEFAULT)
    before = task.libvirt.get("default").inactive or ""
    result = task.predicted({**DEFAULT, "domain": "lab.test", "mtu": 1400})
    assert result["actions"] == ["define network default", "stop network default", "start network default"]
    assert "domain: lab.test" in result["diff"]["after"]
    for part in (before[before.index("<uuid>") : before.index("</uuid>")], "52:54:00:ae:be:bc", "virbr0"):
        assert part in (task.libvirt.get("default").live or "")
    assert task.predicted(DEFAULT)["changed"] is False


# community.libvirt #205: check mode that compares raw with normalised XML is always changed.
def test_what_libvirt_fills_in_is_no_difference(task: Task) -> None:
    task({"name": "iso", "forward": "none"})
    assert "<bridge" in (task.libvirt.get("iso").inactive or "")
    assert task({"name": "iso", "forward": "none"}, check=True)["changed"] is False


def test_a_restart_under_running_guests_is_refused_by_name_before_any_effect(task: Task) -> None:
    task(DEFAULT)
    task.libvirt.guests.append(FakeGuest(task.libvirt, guest_on_network("web", "default")))
    effects = list(task.libvirt.effects)
    for change in ({"mtu": 1400}, {"started": False}, {"state": "absent"}):
        result = task({"name": "first", "forward": "none"}, {**DEFAULT, **change})
        assert (result["failed"], result["error"], result["guests"]) == (True, "Refusal", ["web"])
        assert "shut these guests down" in result["remedy"]
    assert task.libvirt.effects == effects


def test_nat_without_an_address_is_refused_before_any_effect(task: Task) -> None:
    result = task({"name": "first", "forward": "none"}, {"name": "n"})
    assert (result["error"], task.libvirt.effects) == ("Contradiction", [])


def test_one_name_twice_is_refused(task: Task) -> None:
    assert "declared more than once" in task(DEFAULT, DEFAULT)["msg"]


def test_absent_gives_the_name_back_and_leaves_others_alone(task: Task) -> None:
    foreign = task.libvirt.has("<network><name>other</name><forward mode='none'/></network>")
    before = foreign.inactive
    task(DEFAULT)
    ours = task.libvirt.get("default").inactive
    assert task.predicted(GONE)["actions"] == ["stop network default", "undefine network default", RECORD]
    assert task.kept() == ours
    assert task.predicted(GONE)["changed"] is False
    assert [thing.inactive for thing in task.libvirt.objects] == [before]


# A run replaced an operator's own network of the declared name, and no copy was kept.
def test_a_network_of_somebody_else_that_differs_is_refused_before_any_effect(task: Task) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    before = theirs.inactive
    for check in (True, False):
        result = task({"name": "first", "forward": "none"}, DEFAULT, check=check)
        assert (result["failed"], result["error"], result["actions"]) == (True, "Refusal", [])
        for part in ("network default", "198.51.100.1/24", "192.168.122.1/24", "adopt: true", "another name"):
            assert part in result["msg"]
    assert (theirs.inactive, task.libvirt.effects, list(task.root.iterdir())) == (before, [], [])


@pytest.mark.parametrize(
    ("theirs", "silently"),
    [
        (STOCK_NETWORK, True),
        (
            STOCK_NETWORK.replace(
                "<forward/>", "<forward><nat><port start='1024' end='65535'/></nat></forward>"
            ),
            True,
        ),
        (
            STOCK_NETWORK.replace(
                "/>\n    </dhcp>", "/><host mac='52:54:00:00:00:01' ip='192.168.122.5'/></dhcp>"
            ),
            False,
        ),
        (STOCK_NETWORK.replace("virbr0", "virbr9"), False),
        (STOCK_NETWORK.replace("255.255.255.0", "255.255.0.0"), False),
        (STOCK_NETWORK.replace("<forward/>", "<forward dev='eth7'/>"), False),
        (STOCK_NETWORK.replace("</network>", "<dns><host ip='192.168.122.9'/></dns></network>"), False),
        (STOCK_NETWORK.replace("</network>", "<metadata><them/></metadata></network>"), False),
        (STOCK_NETWORK.replace(">default<", ">other<"), False),
    ],
)
def test_only_the_untouched_network_of_the_distribution_is_replaced_silently(
    task: Task, theirs: str, silently: bool
) -> None:
    thing = task.libvirt.has(theirs)
    result = task.predicted({"name": thing.name(), "ips": [{"address": "203.0.113.1/24"}]})
    assert ("failed" not in result, "203.0.113.1" in (thing.inactive or "")) == (silently, silently)


def test_a_network_of_somebody_else_that_is_as_declared_is_adopted_and_keeps_what_is_in_it(
    task: Task,
) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    declared = {
        **DEFAULT,
        "ips": [{"address": "198.51.100.1/24", "dhcp": [{"start": "198.51.100.2", "end": "198.51.100.99"}]}],
    }
    assert task.predicted(declared)["actions"] == FRESH
    assert "198.51.100.5" in (theirs.inactive or "")


def test_one_that_runs_with_another_definition_than_declared_is_no_match(task: Task) -> None:
    theirs = task.libvirt.has(STOCK_NETWORK)
    theirs.create()
    theirs.live = (theirs.live or "").replace("255.255.255.0", "255.255.0.0")
    assert task.predicted(DEFAULT)["error"] == "Refusal"


def test_lifted_by_name_it_is_changed_kept_and_given_back(task: Task) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    theirs.create()
    before = theirs.inactive
    result = task.predicted({**DEFAULT, "adopt": True})
    assert result["actions"] == [*FRESH[:3], "stop network default", "start network default"]
    assert (task.kept(), task.kept("original")) == (before, before)
    assert task.predicted({**DEFAULT, "adopt": True})["changed"] is False
    assert task.predicted(DEFAULT)["changed"] is False
    assert task.predicted(GONE)["actions"] == [
        "define network default",
        "clear autostart of network default",
        "stop network default",
        "start network default",
        RECORD,
    ]
    assert (theirs.inactive, theirs.live, theirs.auto) == (before, before, 0)
    again = task.predicted(GONE)
    assert (again["changed"], again["left"]) == (
        False,
        [{"name": "default", "reason": "this network is not ours"}],
    )


# A removal deleted the distribution's network, and those of others.
def test_the_adopted_network_of_the_distribution_is_given_back_as_it_was(task: Task) -> None:
    stock = task.libvirt.has(STOCK_NETWORK)
    before = stock.inactive
    task(DEFAULT)
    assert task.record()["default"]["before"] == {"active": False, "autostart": False, "xml": before}
    assert task.predicted(GONE)["actions"] == [
        "define network default",
        "clear autostart of network default",
        "stop network default",
        RECORD,
    ]
    assert (stock.inactive, stock.live, stock.auto) == (before, None, 0)
    assert task.predicted(GONE)["changed"] is False
    assert task.predicted(DEFAULT)["actions"] == FRESH


def test_absent_leaves_what_is_not_ours_and_says_so(task: Task) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    theirs.create()
    before = theirs.inactive
    result = task.predicted(GONE)
    assert (result["changed"], result["left"]) == (
        False,
        [{"name": "default", "reason": "this network is not ours"}],
    )
    assert (theirs.inactive, theirs.live, task.libvirt.effects) == (before, before, ["create"])


def test_what_somebody_removed_by_hand_is_forgotten(task: Task) -> None:
    task.libvirt.has(STOCK_NETWORK)
    task(DEFAULT)
    task.libvirt.objects.clear()
    assert task.predicted(GONE)["actions"] == [RECORD]
    task(DEFAULT)
    assert task.record()["default"]["before"] is None


def test_a_damaged_record_is_no_empty_one(task: Task) -> None:
    task(DEFAULT)
    (task.root / "var/lib/hearth/libvirt.json").write_text('{"network": {"default": {}}}')
    result = task(DEFAULT)
    assert (result["error"], "is damaged" in result["msg"]) == ("ParseError", True)


@pytest.mark.parametrize("effects", range(4))
def test_a_removal_that_was_killed_is_finished_by_the_next(task: Task, effects: int) -> None:
    stock = task.libvirt.has(STOCK_NETWORK)
    before = stock.inactive
    task(DEFAULT)
    task.libvirt.effects.clear()
    task.libvirt.die_after = effects
    try:
        task(GONE)
    except KeyboardInterrupt:
        task._capsys.readouterr()
    task.libvirt.die_after = None
    task(GONE)
    assert (stock.inactive, stock.live, stock.auto) == (before, None, 0)
    assert task.predicted(GONE)["changed"] is False


@pytest.mark.parametrize("effects", range(5))
def test_killed_after_any_effect_the_next_run_converges(task: Task, effects: int) -> None:
    wanted = {**DEFAULT, "mtu": 1400}
    old = task.libvirt.has(STOCK_NETWORK)
    old.create()
    task.libvirt.effects.clear()
    task.libvirt.die_after = effects
    try:
        task(wanted)
    except KeyboardInterrupt:
        task._capsys.readouterr()
    task.libvirt.die_after = None
    task(wanted)
    assert task(wanted, check=True)["changed"] is False
    assert 'size="1400"' in (task.libvirt.get("default").live or "")
    assert "virbr0" in task.record()["default"]["before"]["xml"]
    assert "1400" not in task.record()["default"]["before"]["xml"]


def test_a_failing_call_is_one_clear_error_that_lists_what_was_done(task: Task) -> None:
    task(DEFAULT)
    task.libvirt.get("default").create = lambda: task.libvirt.get("gone")  # type: ignore[method-assign,assignment]
    result = task({**DEFAULT, "mtu": 1400})
    assert result["msg"].startswith("libvirt could not start network default: no object with matching name")
    assert result["actions"][-1] == "start network default"
