# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the tests of the host checks find real captures."""

from __future__ import annotations

import functools
import os
import pathlib
import tarfile
import typing as t

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[5]
OWN = REPOSITORY / "tests" / "unit" / "fixtures" / "hosts"
CAPTURES = pathlib.Path(
    os.environ.get("GPU_HOST_CAPTURES", str(REPOSITORY.parent / "shared" / "data" / "hardware"))
)


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> t.Callable[[str], pathlib.Path]:
    """Return a function that unpacks a capture by name, once a session, and returns its root."""

    @functools.cache
    def unpack(name: str) -> pathlib.Path:
        archives = [folder / f"{name}.tar.gz" for folder in (OWN, CAPTURES)]
        archive = next((path for path in archives if path.exists()), archives[-1])
        if not archive.exists():
            pytest.skip(f"no capture {archive.name} in {CAPTURES}; set GPU_HOST_CAPTURES to its folder")
        folder = tmp_path_factory.mktemp(name)
        with tarfile.open(archive) as tar:
            # The Python that Debian 12 was released with knows no filters yet; newer ones want one.
            if hasattr(tarfile, "tar_filter"):
                tar.extraction_filter = tarfile.tar_filter
            tar.extractall(folder)
        inner = folder / name
        return inner if inner.is_dir() else folder

    return unpack
