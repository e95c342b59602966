# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of the repository, run for real where they touch nothing."""

from __future__ import annotations

import os
import re
import subprocess

import apt_sources
import pytest
import tree

DEB822 = """\
# of the image
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/x.gpg

Types: deb
URIs: http://vendor.example/node
Suites: nodistro
Components: main

Types: deb
Enabled: no
URIs: http://mirror.example/debian
Suites: bookworm
Components: non-free
"""
ONE_LINE = """\
# deb http://old.example x main
deb [signed-by=/x.gpg] http://mirror.example/debian bookworm main contrib
"""


def test_another_suite_comes_from_debians_own_archives_only():
    assert apt_sources.for_suite(apt_sources.deb822(DEB822), "bookworm", "trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb [signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian-security trixie-security main",
    ]


def test_the_one_line_format_is_read_too():
    assert apt_sources.for_suite(apt_sources.one_line(ONE_LINE), "bookworm", "trixie") == [
        "deb [signed-by=/x.gpg] http://mirror.example/debian trixie main contrib"
    ]


def run(*argv, **environment):
    """Run a tool with the PATH of a small machine."""
    env = {**os.environ, **environment}
    return subprocess.run(
        argv, cwd=tree.ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_timed_keeps_the_status_and_says_the_time():
    done = run("tools/timed", "thing", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert re.search(r"<== thing: FAILED with status 3 after \d+ s", done.stdout)


@pytest.fixture
def fake_debian(tmp_path):
    """Put a dpkg-query that knows no package, an apt-get and an id first on the PATH."""
    scripts = {"dpkg-query": "exit 1", "id": "echo 1000", "apt-get": "exit 99", "sudo": "exit 1"}
    for name, body in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def test_missing_packages_without_root_end_with_the_one_command_to_run(fake_debian):
    done = run("setsid", "tools/packages", "lab", PATH=fake_debian)
    assert done.returncode == 1
    command = re.search(r"apt-get install .*", done.stderr)
    assert command and {"git", "python3-venv", "qemu-system-x86"} <= set(command.group().split())


def test_packages_of_other_profiles_are_left_alone(fake_debian):
    done = run("setsid", "tools/packages", PATH=fake_debian)
    assert "python3-venv" in done.stderr
    assert "qemu-system-x86" not in done.stderr


def test_help_lists_the_targets():
    done = run("awk", "-f", "tools/help.awk", "Makefile")
    assert "  lab " in done.stdout and "  test " in done.stdout


@pytest.mark.parametrize(
    "name", ["requirements/dev.txt", "requirements/bootstrap.txt", "requirements/controller-2.21.txt"]
)
def test_lock_files_have_hashes_and_no_hosts(name):
    text = tree.text(name)
    assert text.count("--hash=sha256:") >= len(re.findall(r"^[a-z0-9].*==", text, flags=re.MULTILINE)) > 0
    assert not re.search(r"--(index-url|extra-index-url|find-links)|://", text)
