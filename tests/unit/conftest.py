# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that hold for all unit tests."""

from __future__ import annotations

import hypothesis

# A busy machine is slow, and that is no fault of the code: no deadline for one example.
hypothesis.settings.register_profile("repository", deadline=None, print_blob=True)
hypothesis.settings.load_profile("repository")
