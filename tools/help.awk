# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Print the targets of a Makefile: "##@" starts a group, "target: ... ## text" is one line.
BEGIN { FS = ":.*## "; print "usage: make TARGET [ARGS=...]" }
/^##@ / { printf "\n%s\n", substr($0, 5) }
/^[a-z-]+:.*## / { printf "  %-10s %s\n", $1, $2 }
