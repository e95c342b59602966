# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel of one's own for each test: a network namespace, which is empty and goes with the test."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import LOADER
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

PATIENCE_S = 60


@dataclasses.dataclass(frozen=True)
class NetHost(Host):
    """A host whose files are the machine's, but for what the kernel says of the namespace."""

    pid: int = 0

    def path(self, path: str) -> str:
        return path.replace("/proc/net/", f"/proc/{self.pid}/net/")


@dataclasses.dataclass(frozen=True)
class Net:
    """A namespace, an empty root for the files of the loader, and one of the two back ends."""

    pid: int
    root: pathlib.Path
    kind: str

    def run(self, *argv: str, stdin: str = "", check: bool = True) -> Completed:
        """Run a command in the namespace."""
        done = subprocess.run(
            ("nsenter", f"--net=/proc/{self.pid}/ns/net", *argv),
            input=stdin,
            text=True,
            capture_output=True,
            env={**os.environ, **self.environ},
            timeout=PATIENCE_S,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return Completed(done.returncode, done.stdout, done.stderr)

    @property
    def environ(self) -> dict[str, str]:
        """What re-roots the loader, and keeps it off the lock that the machine's own iptables uses."""
        return {
            "HEARTH_ROOT": str(self.root),
            "XTABLES_LOCKFILE": str(self.root / "xtables.lock"),
            "LC_ALL": "C",
            "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}",
        }

    @property
    def host(self) -> Host:
        """The namespace as a module sees it; its files are the machine's."""

        def run(
            argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True
        ) -> Completed:
            return self.run(*argv, stdin=stdin or "", check=check)

        return NetHost(run=run, pid=self.pid)

    @property
    def backend(self) -> str:
        """The word for the file ``backend`` of a bundle."""
        return f"iptables-{self.kind}"

    def tool(self, family: int) -> str:
        """Return the iptables of a family."""
        return f"{'iptables' if family == 4 else 'ip6tables'}-{self.kind}"

    def iptables(self, family: int, *words: str) -> None:
        """Change a table by hand."""
        self.run(self.tool(family), "-w", "5", *words)

    def restore(self, family: int, text: str) -> None:
        """Put rules there by hand."""
        self.run(f"{self.tool(family)}-restore", "-w", "5", "-n", stdin=text)

    def save(self, family: int, *options: str) -> str:
        """Return a table as iptables-save prints it, without its comments."""
        said = self.run(f"{self.tool(family)}-save", "-t", "filter", *options).out
        return "".join(f"{line}\n" for line in said.splitlines() if not line.startswith("#"))

    def plain(self, family: int) -> str:
        """Return the same without the counters of built-in chains."""
        return "".join(f"{line.partition(' [')[0]}\n" for line in self.save(family).splitlines())

    def rules(self, family: int, chain: str) -> list[str]:
        """Return the rules of a chain."""
        start = f"-A {chain} "
        return [line[len(start) :] for line in self.save(family).splitlines() if line.startswith(start)]

    def load(self, *argv: str, check: bool = True) -> Completed:
        """Run the loader."""
        return self.run("sh", str(self.root / "hearth-firewall"), *argv, check=check)

    def bundle(self, name: str, **files: str) -> str:
        """Write a bundle, and return where it lies."""
        folder = self.root / "etc/hearth/firewall" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in {"backend": f"{self.backend}\n", **files}.items():
            (folder / file).write_text(text)
        return str(folder)


@contextlib.contextmanager
def namespace() -> t.Iterator[int]:
    """Hold a new network namespace by a process in it."""
    with subprocess.Popen(
        ("unshare", "-n", "sh", "-c", "echo; read wait"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline(), "there is no network namespace to be had"
        try:
            yield holder.pid
        finally:
            holder.stdin.close()
            holder.wait(PATIENCE_S)


@pytest.fixture(params=("nft", "legacy"))
def net(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[Net]:
    """An empty namespace, once for each back end."""
    (tmp_path / "hearth-firewall").write_text(LOADER)
    with namespace() as pid:
        yield Net(pid, tmp_path, request.param)
