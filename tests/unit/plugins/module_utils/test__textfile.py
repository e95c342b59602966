# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

OLD, NEW = "old\n" * 2000, "new\n" * 3000


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    (tmp_path / "etc").mkdir()
    return Host(root=str(tmp_path))


def content(host: Host, path: str) -> str:
    text = host.read(path).text
    assert text is not None
    return text


def test_replace_creates_folders_and_sets_the_mode(host: Host) -> None:
    _textfile.replace(host, "/etc/hearth/d/x", NEW, 0o600)
    assert content(host, "/etc/hearth/d/x") == NEW
    assert os.stat(host.path("/etc/hearth/d/x")).st_mode & 0o7777 == 0o600


def test_mode_does_not_depend_on_the_umask(host: Host) -> None:
    before = os.umask(0o077)
    try:
        _textfile.replace(host, "/etc/x", NEW, 0o644)
    finally:
        os.umask(before)
    assert os.stat(host.path("/etc/x")).st_mode & 0o7777 == 0o644


def test_owner_is_kept(host: Host) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a file to another user needs root")
    _textfile.replace(host, "/etc/x", OLD, 0o644)
    os.chown(host.path("/etc/x"), 1234, 4321)
    _textfile.replace(host, "/etc/x", NEW, 0o644)
    status = os.stat(host.path("/etc/x"))
    assert (status.st_uid, status.st_gid) == (1234, 4321)


def test_link_is_followed_and_stays(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_textfile, "BACKUP_DIR", str(tmp_path / "backup"))
    (tmp_path / "real").write_text(OLD)
    os.symlink(tmp_path / "real", tmp_path / "link")
    _textfile.replace(Host(root="/"), str(tmp_path / "link"), NEW, 0o644)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == NEW


def test_backups_hold_the_first_and_the_last_content_for_root_alone(host: Host) -> None:
    for text in ("one", "two", "three"):
        _textfile.replace(host, "/etc/x", text, 0o644)
    assert content(host, _textfile.backup_path("/etc/x", "original")) == "one"
    assert content(host, _textfile.backup_path("/etc/x", "previous")) == "two"
    assert os.stat(host.path(_textfile.BACKUP_DIR)).st_mode & 0o777 == 0o700
    assert os.stat(host.path(_textfile.backup_path("/etc/x"))).st_mode & 0o777 == 0o600


def test_backups_of_files_of_one_name_do_not_meet() -> None:
    assert _textfile.backup_path("/etc/a/x") != _textfile.backup_path("/etc/b/x")


def test_remove_keeps_a_backup_and_may_be_repeated(host: Host) -> None:
    _textfile.replace(host, "/etc/x", OLD, 0o644)
    _textfile.remove(host, "/etc/x")
    _textfile.remove(host, "/etc/x")
    assert not host.exists("/etc/x")
    assert content(host, _textfile.backup_path("/etc/x")) == OLD


def test_what_cannot_be_backed_up_is_not_replaced(host: Host) -> None:
    os.mkdir(host.path("/etc/x"))
    with pytest.raises(OSError):
        _textfile.replace(host, "/etc/x", NEW, 0o644)
    assert os.listdir(host.path("/etc")) == ["x"]


def no_space(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("path", ["/etc/x", "/etc/new"], ids=["backup", "file"])
def test_failed_write_leaves_the_old_file_and_nothing_beside_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    _textfile.replace(host, "/etc/x", OLD, 0o644)
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        _textfile.replace(host, path, NEW, 0o644)
    assert content(host, "/etc/x") == OLD
    assert os.listdir(host.path("/etc")) == ["x"]
    assert host.listdir(_textfile.BACKUP_DIR) == []


# Kill the process right before its Nth call of one of these, for every N there is.
STEPS = ("makedirs", "open", "unlink", "fdopen", "fchmod", "fchown", "fsync", "rename", "close")
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
    from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

    root, step, new = sys.argv[1], int(sys.argv[2]), sys.stdin.read()
    count = 0

    def deadly(call):
        def wrapper(*args, **kwargs):
            global count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return wrapper

    for name in sys.argv[3:]:
        setattr(os, name, deadly(getattr(os, name)))
    _textfile.replace(Host(root=root), "/etc/x", new, 0o644)
    """
)


def killed_at(root: str, step: int) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, root, str(step), *STEPS],
        input=NEW,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def test_sigkill_at_every_step_never_tears_a_file_and_the_next_run_converges(tmp_path: pathlib.Path) -> None:
    seen, step = set(), 1
    while True:
        root = tmp_path / str(step)
        (root / "etc").mkdir(parents=True)
        (root / "etc/x").write_text(OLD)
        host = Host(root=str(root))
        killed = killed_at(str(root), step)
        seen.add(content(host, "/etc/x"))
        assert seen <= {OLD, NEW}
        backup = host.read(_textfile.backup_path("/etc/x")).text
        assert backup in (None, OLD)
        _textfile.replace(host, "/etc/x", NEW, 0o644)
        assert content(host, "/etc/x") == NEW
        assert os.listdir(root / "etc") == ["x"], "the next run clears what the killed one left"
        assert not [name for name in os.listdir(host.path(_textfile.BACKUP_DIR)) if name.startswith(".")]
        if not killed:
            break
        step += 1
    assert seen == {OLD, NEW}
    assert step > 12, "the steps were really counted"


def test_leftovers_are_invisible_to_drop_in_folders(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (names.append(os.path.basename(a)), rename(a, b)))
    _textfile.replace(host, "/etc/modprobe.d/x.conf", NEW, 0o644)
    assert names == [".x.conf.hearth-new"]
