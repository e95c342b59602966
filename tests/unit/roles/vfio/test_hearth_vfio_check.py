# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hearth-vfio-check, on a root of its own: it finds what is wrong, says it loudly and touches nothing."""

from __future__ import annotations

import pathlib
import re
import threading
import time

import fakehost
import pytest

GPU, AUDIO = "0000:01:00.0", "0000:01:00.1"
METRICS = "var/lib/hearth/metrics/hearth_vfio.prom"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> fakehost.FakeHost:
    made = fakehost.FakeHost(tmp_path)
    made.device(GPU)
    made.device(AUDIO, origin="snd_hda_intel")
    made.configure()
    return made


def check(host: fakehost.FakeHost, *words: str, **environment: str) -> tuple[int, str, str]:
    return host.run("hearth-vfio-check", *words, **environment)


def drift(host: fakehost.FakeHost) -> dict[str, str]:
    return dict(
        re.findall(
            r'^hearth_vfio_drift\{address="([^"]+)",.*\} (\d)$', (host.root / METRICS).read_text(), re.M
        )
    )


def test_all_as_wished_is_quiet_and_counted(host: fakehost.FakeHost) -> None:
    assert check(host) == (0, "hearth: 2 devices are kept for guests, all as wished.\n", "")
    assert drift(host) == {GPU: "0", AUDIO: "0"}


def test_without_rules_there_is_nothing_to_check(host: fakehost.FakeHost) -> None:
    (host.root / fakehost.RULES).unlink()
    assert check(host)[0] == 0
    assert drift(host) == {}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", f"{GPU} (1234:1111:1af4:1100) is not there"),
        ("exchanged", f"{GPU} is 1234:2222:1af4:1100 and not 1234:1111:1af4:1100: the bus was numbered anew"),
        ("host's", f"{GPU} (1234:1111:1af4:1100) has the driver bochs-drm and not vfio-pci"),
        ("unbound", f"{GPU} (1234:1111:1af4:1100) has the driver none and not vfio-pci"),
    ],
)
def test_each_way_to_be_wrong_fails_with_what_was_found_and_expected(
    host: fakehost.FakeHost, how: str, said: str
) -> None:
    folder = host.root / "sys/bus/pci/devices" / GPU
    if how == "gone":
        folder.rename(host.root / "pulled")
    elif how == "exchanged":
        (folder / "device").write_text("0x2222\n")
    else:
        host.bind(GPU, "bochs-drm" if how == "host's" else "")
    status, out, err = check(host)
    assert (status, out) == (1, "")
    assert f"hearth: {said}" in err and AUDIO not in err
    assert drift(host) == {GPU: "1", AUDIO: "0"}


def test_the_journal_gets_it_as_an_error(host: fakehost.FakeHost) -> None:
    host.bind(GPU, "bochs-drm")
    lines = check(host, JOURNAL_STREAM="8:12345")[2].splitlines()
    assert lines and all(line.startswith("<3>hearth: ") for line in lines)


def test_it_touches_no_device(host: fakehost.FakeHost) -> None:
    host.bind(GPU, "bochs-drm")
    before = sorted(str(path) for path in (host.root / "sys").rglob("*"))
    check(host)
    assert sorted(str(path) for path in (host.root / "sys").rglob("*")) == before
    assert (host.driver_of(GPU), host.override_of(GPU)) == ("bochs-drm", "vfio-pci")
    assert host.writes() == []


def test_a_device_that_comes_late_is_waited_for(host: fakehost.FakeHost) -> None:
    host.bind(GPU, "")
    late = threading.Timer(0.3, host.bind, (GPU, "vfio-pci"))
    late.start()
    start = time.monotonic()
    assert check(host, "20")[0] == 0
    assert time.monotonic() - start < 15
    late.join()


def test_the_metrics_go_where_the_unit_says(host: fakehost.FakeHost) -> None:
    assert check(host, "0", "/srv/metrics")[0] == 0
    assert (host.root / "srv/metrics/hearth_vfio.prom").exists()
    assert sorted(path.name for path in (host.root / "srv/metrics").iterdir()) == ["hearth_vfio.prom"]


def test_metrics_that_cannot_be_written_hide_nothing(host: fakehost.FakeHost) -> None:
    host.write("var/lib/hearth/metrics", "a file in the way")
    host.bind(GPU, "bochs-drm")
    status, _out, err = check(host)
    assert status == 1 and "cannot be written" in err and "bochs-drm and not vfio-pci" in err
