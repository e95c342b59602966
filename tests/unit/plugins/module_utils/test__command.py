# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import time

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError


def test_streams_are_kept_apart() -> None:
    done = run_command(["sh", "-c", "echo out; echo err >&2"])
    assert (done.rc, done.out, done.err) == (0, "out\n", "err\n")


def test_arguments_never_meet_a_shell() -> None:
    assert run_command(["printf", "%s", "$(id) ; *"]).out == "$(id) ; *"


def test_stdin_is_passed_and_is_otherwise_empty() -> None:
    assert run_command(["cat"], stdin="text").out == "text"
    assert run_command(["cat"], timeout_s=5).out == ""


def test_locale_is_c_whatever_the_operator_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert run_command(["sh", "-c", 'printf "%s %s" "$LC_ALL" "$LANG"']).out == "C C"


def test_sbin_is_searched_although_login_paths_lack_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "/usr/sbin" in run_command(["sh", "-c", 'printf "%s" "$PATH"']).out.split(":")


def test_output_that_is_no_utf8_does_not_raise() -> None:
    assert run_command(["printf", r"\377"]).out == "\N{REPLACEMENT CHARACTER}"


def test_failure_carries_command_status_and_stderr() -> None:
    with pytest.raises(CommandError) as caught:
        run_command(["sh", "-c", "echo broken >&2; exit 3"])
    assert "ended with status 3: broken" in caught.value.message
    assert caught.value.details["rc"] == 3


def test_failure_without_stderr_shows_stdout() -> None:
    with pytest.raises(CommandError, match="only here"):
        run_command(["sh", "-c", "echo only here; exit 1"])


def test_unchecked_failure_is_an_answer() -> None:
    assert run_command(["sh", "-c", "exit 3"], check=False).rc == 3


def test_missing_tool_is_named_with_its_remedy() -> None:
    with pytest.raises(CommandError) as caught:
        run_command(["hearth-no-such-tool", "--version"])
    assert "hearth-no-such-tool cannot be run: No such file or directory" in caught.value.message
    assert "package" in caught.value.remedy


def test_timeout_kills_the_whole_process_group(tmp_path: pathlib.Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(CommandError, match=r"gave no answer within 1 s"):
        run_command(["sh", "-c", f"sleep 600 & echo $! > {pid_file}; wait"], timeout_s=1)
    assert time.monotonic() - started < 10
    assert _is_gone(int(pid_file.read_text()))


def _is_gone(pid: int) -> bool:
    for _attempt in range(50):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
                if stream.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False
