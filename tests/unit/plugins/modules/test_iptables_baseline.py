# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import typing as t

import pytest
from firewall_main import ARTICLE, GUARDS, PLAIN, SYSTEMD, FakeHost, Task

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.disk import (
    CURRENT,
    DROPIN_FILE,
    ENABLED,
    FOLDER,
    TRANSIENT,
    UNIT_FILE,
    UNTOLD,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import LOADER, PROGRAM
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Table
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.plan import BEFORE
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scene import LOADED_BY, PRISTINE

REJECT = "-j REJECT --reject-with icmp-port-unreachable"


@pytest.fixture
def fake(tmp_path: pathlib.Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
def task(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(fake, monkeypatch, capsys)


def rules(fake: FakeHost, family: int, chain: str) -> tuple[str, ...]:
    return fake.tables[family].rules(chain)


# --- the way it goes -------------------------------------------------------------------------


def test_the_policy_of_the_article_is_guarded_and_kept_when_it_is_confirmed(
    task: Task, fake: FakeHost
) -> None:
    result = task.predicted(**ARTICLE)
    (folder,) = [name for name in os.listdir(fake.path(FOLDER)) if name != "current"]
    assert result["actions"] == [
        "note that systemd has to be told",
        f"write {PROGRAM} (0755)",
        f"write {UNIT_FILE} (0644)",
        f"write {DROPIN_FILE} (0644)",
        f"link {ENABLED}",
        "tell systemd",
        f"stage the rules in {FOLDER}/{folder}",
        "guard the change of firewall for 90 s",
        f"run {PROGRAM} load {FOLDER}/{folder}",
    ]
    assert fake.armed() == [result["guard"]["token"]]
    assert not os.path.lexists(fake.path(CURRENT)), "nobody has confirmed it, so the boot must not load it"
    fake.confirm()
    assert os.readlink(fake.path(CURRENT)) == folder
    again = task.predicted(**ARTICLE)
    assert (again["changed"], again["actions"], again["guard"]) == (False, [], None)


def test_a_run_that_changes_nothing_starts_two_processes(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    fake.asked.clear()
    task(**ARTICLE)
    assert len(fake.asked) == 2, fake.asked


def test_the_diff_reads_like_iptables_and_has_both_families(task: Task) -> None:
    diff = task.predicted(**PLAIN)["diff"]
    assert diff["before"] == "# IPv4\n# nothing of ours\n# IPv6\n# nothing of ours\n# Boot\n"
    lines = diff["after"].splitlines()
    assert lines[:4] == [
        "# IPv4",
        "-A INPUT -j HEARTH-EARLY  # first",
        "-A INPUT -j HEARTH-INPUT  # last",
        "-N HEARTH-EARLY",
    ]
    assert '-A HEARTH-INPUT -p tcp -m tcp --dport 443 -m comment --comment "hearth:https" -j ACCEPT' in lines
    assert lines.index("# IPv4") < lines.index("# IPv6") < lines.index("# Boot")


def test_the_diff_of_one_service_is_about_that_service(task: Task) -> None:
    task.confirmed(**PLAIN)
    services = [*ARTICLE["services"], {"name": "ntp", "ports": ["123/udp"]}]
    diff = task.predicted(**{**PLAIN, "services": services})["diff"]
    before, after = (set(diff[side].splitlines()) for side in ("before", "after"))
    boot = {line for line in before ^ after if line.startswith("loads ")}
    rule = '-A HEARTH-INPUT -p udp -m udp --dport 123 -m comment --comment "hearth:ntp" -j ACCEPT'
    assert (before ^ after) - boot == {rule}


def test_facts_tell_rules_foreign_chains_and_the_caller(task: Task, fake: FakeHost) -> None:
    fake.insert(4, "DOCKER-USER", "-j RETURN")
    result = task.predicted(**PLAIN)
    assert result["backend"] == "nft"
    assert result["foreign"] == [{"family": 4, "chain": "DOCKER-USER", "owner": "docker"}]
    assert result["caller"] == {"address": "192.0.2.7", "server_address": "192.0.2.11", "server_port": 22}
    assert result["rules"]["v4"][0] == "-A INPUT -j HEARTH-EARLY"
    assert result["objections"] == result["cautions"] == []


# --- what is as wanted, and what is not ------------------------------------------------------


def test_rules_that_somebody_flushed_come_back_under_the_guard(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    wanted = fake.kernel()
    fake.tables[4] = PRISTINE
    result = task.confirmed(**ARTICLE)
    assert fake.kernel() == wanted
    assert result["actions"][0] == "guard the change of firewall for 90 s", "the files are there already"


def test_a_jump_that_slipped_is_put_back_and_told(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    fake.insert(4, "INPUT", "-p udp -m udp --dport 9 -j ACCEPT")
    result = task.confirmed(**PLAIN)
    assert rules(fake, 4, "INPUT")[0] == "-j HEARTH-EARLY"
    assert "-A INPUT -j HEARTH-EARLY  # rule 2" in result["diff"]["before"]


def test_a_jump_that_is_there_twice_is_no_wanted_state(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    fake.insert(6, "INPUT", "-j HEARTH-INPUT", number=2)
    assert task.confirmed(**PLAIN)["changed"] is True
    assert rules(fake, 6, "INPUT") == ("-j HEARTH-EARLY", "-j HEARTH-INPUT")


def test_foreign_rules_stay_and_a_jump_of_fail2ban_keeps_its_place(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    fake.insert(4, "INPUT", "-p tcp -m multiport --dports 22 -j f2b-sshd")
    fake.insert(4, "f2b-sshd", "-j RETURN")
    assert task.predicted(**PLAIN)["changed"] is False


def test_a_spelling_that_the_kernel_changes_is_no_change_each_time(task: Task, fake: FakeHost) -> None:
    # "TCP" becomes "tcp": iptables-save, spec 2.6.
    fake.respelled = {"-p TCP": "-p tcp"}
    extra = [{"where": "input", "rule": "-p TCP -m tcp --dport 9 -j ACCEPT"}]
    task.confirmed(**PLAIN, extra_rules=extra)
    assert any(rule.startswith("-p tcp -m tcp --dport 9") for rule in rules(fake, 4, "HEARTH-INPUT"))


def test_a_rule_that_iptables_does_not_take_is_quoted(task: Task) -> None:
    result = task.refused(**PLAIN, extra_rules=[{"where": "input", "rule": "-p tcp --broken -j ACCEPT"}])
    assert (result["error"], "--broken" in result["rule"]) == ("ParseError", True)


def test_a_family_that_is_left_out_loses_what_it_had(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    task.confirmed(**PLAIN, families=["ipv4"])
    assert fake.tables[6] == PRISTINE
    assert fake.tables[4] != PRISTINE


def test_members_of_the_block_list_are_compared_whatever_else_ipset_says(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN, blocklist={"sources": ["203.0.113.0/24"]})
    result = task.confirmed(**PLAIN, blocklist={"sources": ["203.0.113.0/24", "198.51.100.9"]})
    assert "add hearth-block4 198.51.100.9" in fake.sets[4]
    assert "add hearth-block4 198.51.100.9" in result["diff"]["after"]
    task.confirmed(**PLAIN)
    assert fake.sets[4] == ""


def test_a_published_port_gets_its_hook(task: Task, fake: FakeHost) -> None:
    service = {"name": "comfyui", "ports": ["8188/tcp"], "zones": ["192.0.2.0/24"], "published_by": "docker"}
    task.confirmed(**{**PLAIN, "services": [service]})
    assert rules(fake, 4, "FORWARD") == ("-j DOCKER-USER",)
    assert rules(fake, 4, "DOCKER-USER") == ("-j HEARTH-DOCKER",)


def test_a_hook_that_is_gone_is_no_wanted_state_although_all_of_ours_is_there(
    task: Task, fake: FakeHost
) -> None:
    service = {"name": "comfyui", "ports": ["8188/tcp"], "zones": ["192.0.2.0/24"], "published_by": "docker"}
    options = {**PLAIN, "services": [service]}
    task.confirmed(**options)
    chains = {**dict(fake.tables[4].chains), "FORWARD": ()}
    fake.tables[4] = Table(fake.tables[4].policies, tuple(chains.items()))
    assert task.confirmed(**options)["changed"] is True
    assert rules(fake, 4, "FORWARD") == ("-j DOCKER-USER",)


def test_rules_that_the_loader_left_in_the_other_back_end_are_seen(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    fake.write(LOADED_BY, "iptables-legacy\n")
    assert task.confirmed(**PLAIN)["changed"] is True


def test_what_goes_back_to_the_other_back_end_is_what_was_kept_of_it(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    kept = fake.current()
    fake.kind, fake.tables = "legacy", dict.fromkeys(fake.tables, PRISTINE)
    fake.write(LOADED_BY, "iptables-nft\n")
    (token,) = [task.predicted(**ARTICLE)["guard"]["token"]]
    snapshot = fake.path(f"/var/lib/hearth/guard/armed/{token}")
    assert {name: (snapshot / name).read_text() for name in kept} == kept


def test_a_policy_of_ours_is_not_taken_for_the_one_before_when_the_record_is_lost(
    task: Task, fake: FakeHost
) -> None:
    options = {**PLAIN, "input_policy": "drop"}
    task.confirmed(**options)
    shutil.rmtree(fake.path(f"{FOLDER}/{os.readlink(fake.path(CURRENT))}"))
    task.confirmed(**options)
    task.confirmed(state="absent", rollback_timeout=0)
    assert fake.tables == {4: PRISTINE, 6: PRISTINE}


@pytest.mark.parametrize(("window", "patience"), [(45, 22.5), (90, 45), (3600, 150), (0, 150)])
def test_a_load_does_not_outlive_its_guard(window: int, patience: float, task: Task, fake: FakeHost) -> None:
    task(**ARTICLE, rollback_timeout=window)
    assert fake.patience["load"] == patience


def test_el_gets_a_unit_that_does_not_wait_for_nftables(task: Task, fake: FakeHost) -> None:
    fake.write("/etc/redhat-release", "AlmaLinux release 9.4\n")
    task.confirmed(**PLAIN)
    assert "nftables.service" not in fake.path(UNIT_FILE).read_text()


# --- the guard -------------------------------------------------------------------------------


def test_while_a_change_waits_nothing_else_is_changed(task: Task) -> None:
    task.predicted(**ARTICLE)
    assert "wait, or end it now" in task.refused(**ARTICLE)["remedy"]
    assert "firewall is not changed while" in task.refused(state="absent")["msg"]


def test_a_guard_that_is_not_armed_stops_everything(task: Task, fake: FakeHost) -> None:
    fake.guard_arms = False
    result = task(**ARTICLE)
    assert "is not armed, so nothing was changed" in result["msg"]
    assert fake.tables == {4: PRISTINE, 6: PRISTINE}


def test_a_load_that_fails_is_taken_back(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    before = fake.kernel()
    fake.fails = 1
    result = task(**{**ARTICLE, "services": []})
    assert (result["failed"], result["rollback"]["ok"]) == (True, True)
    assert (fake.kernel(), fake.armed()) == (before, [])


def test_what_does_not_read_back_as_planned_is_taken_back_at_once(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    before = fake.kernel()

    def meddle() -> None:
        fake.on_load = lambda: None
        fake.insert(4, "HEARTH-INPUT", "-j ACCEPT")

    fake.on_load = meddle
    result = task(**{**ARTICLE, "services": []})
    assert (result["error"], fake.armed()) == ("VerifyError", [])
    assert result["msg"].endswith("The change was taken back.")
    assert fake.kernel() == before


def test_what_cannot_be_taken_back_at_once_is_told(task: Task, fake: FakeHost) -> None:
    fake.on_load = lambda: fake.insert(4, "HEARTH-INPUT", "-j ACCEPT")
    fake.guard_rolls_back = False
    result = task(**ARTICLE)
    assert "the guard goes on trying" in result["msg"]
    assert fake.armed()


def test_what_a_dead_run_left_is_ended_first(task: Task, fake: FakeHost) -> None:
    task.predicted(**ARTICLE)
    fake.dead_man = False
    result = task(**ARTICLE)
    assert result["actions"][0] == "end the change of firewall that a dead run left behind"
    assert fake.armed() == [result["guard"]["token"]]


def test_only_the_end_of_a_dead_run_is_a_change_too(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    task.predicted(**{**ARTICLE, "services": []})
    fake.dead_man = False
    result = task(**ARTICLE)
    assert (result["changed"], len(result["actions"]), result["guard"]) == (True, 1, None)


def test_without_a_guard_it_is_kept_at_once(task: Task, fake: FakeHost) -> None:
    result = task.confirmed(**PLAIN)
    assert (result["guard"], fake.armed()) == (None, [])
    assert result["actions"][-1].startswith(f"run {PROGRAM} commit {FOLDER}/")
    assert not fake.path(GUARDS).exists()


# --- what is on disk -------------------------------------------------------------------------


def test_the_bundle_brings_everything_that_the_boot_needs(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE, blocklist={"sources": ["203.0.113.9"]})
    bundle = fake.current()
    assert bundle["backend"] == "iptables\n"
    assert "add hearth-block4 203.0.113.9\n" in bundle["sets4"]
    assert "--dport 22" in bundle["rescue4"]
    assert bundle["jumps"].splitlines()[0] == "4 INPUT HEARTH-EARLY first"
    assert (fake.path(PROGRAM).read_text(), oct(fake.path(PROGRAM).stat().st_mode)[-3:]) == (LOADER, "755")


def test_a_bundle_that_somebody_edited_is_made_anew_without_touching_the_kernel(
    task: Task, fake: FakeHost
) -> None:
    task.confirmed(**PLAIN)
    name = os.readlink(fake.path(CURRENT))
    wanted = fake.current()
    fake.write(f"{FOLDER}/{name}/rules4", "")
    fake.write(f"{FOLDER}/{name}/stray", "")
    fake.ran.clear()
    task.confirmed(**PLAIN)
    assert fake.current() == wanted
    assert fake.ran == [f"{PROGRAM} commit {FOLDER}/{name}"]


def test_systemd_is_told_even_if_the_run_died_before(task: Task, fake: FakeHost) -> None:
    fake.path(SYSTEMD).mkdir(parents=True)
    task.confirmed(**PLAIN)
    assert fake.ran.count("systemctl daemon-reload") == 1
    fake.write(UNTOLD)
    assert task.confirmed(**PLAIN)["actions"] == ["tell systemd"]
    assert fake.ran.count("systemctl daemon-reload") == 2


def test_a_file_that_cannot_be_read_is_named(task: Task, fake: FakeHost) -> None:
    fake.path(UNIT_FILE).mkdir(parents=True)
    assert UNIT_FILE in task.refused(**PLAIN)["remedy"]


def test_absent_gives_the_host_back(task: Task, fake: FakeHost) -> None:
    fake.insert(4, "INPUT", "-p udp -m udp --dport 9 -j DROP")
    fake.write("/etc/hosts", "kept\n")
    fake.path("/etc/systemd/system/docker.service.d").mkdir(parents=True)
    before = fake.tree(), fake.kernel()
    task.confirmed(**PLAIN)
    result = task.confirmed(state="absent", rollback_timeout=0)
    left = {path: text for path, text in fake.tree().items() if path[:5] != "/run/" and path[:6] != "/stubs"}
    assert (left, fake.kernel()) == before
    assert result["diff"]["after"] == "# IPv4\n# nothing of ours\n# IPv6\n# nothing of ours\n# Boot\n"
    assert not fake.path(TRANSIENT).exists()


def test_absent_is_guarded_and_forgets_only_what_is_confirmed(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    task.predicted(state="absent")
    assert fake.tables[4] == PRISTINE
    assert fake.path(CURRENT).exists(), "a boot before the confirmation has the firewall back"
    fake.confirm()
    assert not fake.path(FOLDER).exists()
    assert not fake.path(PROGRAM).exists()
    assert task.predicted(state="absent")["changed"] is False


def test_a_built_in_policy_comes_back_as_it_was_however_often_it_was_changed(
    task: Task, fake: FakeHost
) -> None:
    task.confirmed(**PLAIN, input_policy="drop")
    assert dict(fake.tables[4].policies)["INPUT"] == "DROP"
    for policy in ("leave", "accept", "drop"):
        task.confirmed(**PLAIN, input_policy=policy)
        assert fake.current()[BEFORE] == "4 INPUT ACCEPT\n6 INPUT ACCEPT\n"
    task.confirmed(state="absent", rollback_timeout=0)
    assert fake.tables == {4: PRISTINE, 6: PRISTINE}


def test_a_policy_of_a_change_that_was_taken_back_was_never_ours(task: Task, fake: FakeHost) -> None:
    result = task.predicted(**ARTICLE, input_policy="drop")
    fake.run(result["guard"]["rollback"])
    assert fake.tables == {4: PRISTINE, 6: PRISTINE}
    fake.set_policy(4, "INPUT", "DROP")
    task.confirmed(**ARTICLE, input_policy="drop")
    assert fake.current()[BEFORE] == "4 INPUT DROP\n6 INPUT ACCEPT\n"


def test_persist_none_leaves_nothing_for_the_boot(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE)
    task.confirmed(**ARTICLE, persist="none")
    assert not fake.path(FOLDER).exists()
    assert rules(fake, 4, "INPUT") == ("-j HEARTH-EARLY", "-j HEARTH-INPUT")
    fake.tables = {4: PRISTINE, 6: PRISTINE}
    result = task.confirmed(**{**PLAIN, "persist": "none"})
    assert [action.split()[0] for action in result["actions"]] == ["stage", "run"]
    assert not fake.path(PROGRAM).exists()


def test_an_image_gets_files_only_and_its_first_run_loads_them(task: Task, fake: FakeHost) -> None:
    result = task.confirmed(**ARTICLE, running=False, input_policy="drop")
    assert (result["backend"], result["caller"], result["guard"]) == (None, None, None)
    assert fake.tables == {4: PRISTINE, 6: PRISTINE}
    assert fake.ran == [f"{PROGRAM} commit {FOLDER}/{os.readlink(fake.path(CURRENT))}"]
    assert fake.current()[BEFORE] == "4 INPUT ACCEPT\n6 INPUT ACCEPT\n"
    staged = fake.current()
    task.confirmed(**ARTICLE, input_policy="drop")
    assert fake.current() == staged
    assert fake.tables[4] != PRISTINE


def test_before_iptables_is_installed_check_mode_foretells_what_the_run_does(
    task: Task, fake: FakeHost
) -> None:
    fake.path("/usr/sbin/iptables").unlink()
    foretold = task(check=True, awaited=True, **ARTICLE)
    assert "failed" not in foretold, foretold["msg"]
    fake.write("/usr/sbin/iptables")
    assert task(awaited=True, **ARTICLE)["actions"] == foretold["actions"] != []


def test_a_host_without_ipv6_is_told_so_and_gets_the_other_family(task: Task, fake: FakeHost) -> None:
    fake.path("/proc/net/if_inet6").unlink()
    assert "families: [ipv4]" in task.refused(**ARTICLE)["remedy"]
    assert task(families=["ipv4"], **ARTICLE)["changed"]


def test_an_image_that_nobody_could_log_in_to_is_refused(task: Task) -> None:
    result = task.refused(services=[], running=False)
    assert "nobody could log in" in result["msg"]


def test_an_image_is_given_back_as_well(task: Task, fake: FakeHost) -> None:
    task.confirmed(**ARTICLE, running=False)
    assert task.confirmed(state="absent", running=False)["actions"] == [
        "remove what the boot loads, its loader and its unit"
    ]
    assert not fake.path(FOLDER).exists()


# --- killed ----------------------------------------------------------------------------------


class Killed(BaseException):
    """What SIGKILL looks like from inside."""


# What changes, and after how many effects a run can die: the first run writes the loader and the units, too.
KILLS: list[tuple[dict[str, t.Any], int]] = [
    *(({}, after) for after in range(9)),
    *(
        (wish, after)
        for wish in ({"state": "absent"}, {"persist": "none"}, {"services": []})
        for after in range(3)
    ),
]


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize(("wish", "after"), KILLS)
def test_killed_between_any_two_effects_the_next_run_converges(
    after: int,
    wish: dict[str, t.Any],
    guarded: bool,
    task: Task,
    fake: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {**(ARTICLE if guarded else PLAIN), **wish}
    if wish:
        task.confirmed(**PLAIN)
    perform, done = Gate._perform, 0

    def until_killed(gate: Gate, action: Action) -> None:
        nonlocal done
        if done == after:
            raise Killed
        done += 1
        perform(gate, action)

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(Gate, "_perform", until_killed)
        task(**options)
    for token in fake.armed():
        fake.run(("/usr/local/libexec/hearth-guard", "rollback", token))
    task.confirmed(**options)
    if wish.get("state") == "absent":
        assert fake.tables == {4: PRISTINE, 6: PRISTINE}
        assert not fake.path(PROGRAM).exists()
