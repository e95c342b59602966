# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository's rules as pure functions: text in, complaints out. The tests beside apply them.

Each rule is tried on a bad sample too, so that none of them can pass by seeing nothing.
"""

from __future__ import annotations

import ast
import re
import sys
import typing as t

HEADER = "GNU General Public License v3.0+"
SPDX = "SPDX-License-" + "Identifier: GPL-3.0-or-later"
PRIVATE = "# Private to the collection: may change in any release."
DOCUMENTATION_NAMES = ("DOCUMENTATION", "EXAMPLES", "RETURN")
COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try)
FUNCTION_LINES, NESTING = 40, 3

Function = t.Union[ast.FunctionDef, ast.AsyncFunctionDef]


# --- budgets ---------------------------------------------------------------------------------


def functions(tree: ast.AST) -> t.Iterator[Function]:
    """Find all functions, methods and inner functions."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def long_functions(source: str, limit: int = FUNCTION_LINES) -> list[str]:
    """A function fits on a screen; its signature and docstring count."""
    sizes = ((f, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions(ast.parse(source)))
    return [
        f"{f.name} (line {f.lineno}) has {size} lines, more than {limit}" for f, size in sizes if size > limit
    ]


def depth(node: ast.AST) -> int:
    """Return how many compound statements are inside each other; `elif` does not count twice."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        own = 1 if isinstance(child, COMPOUND) and not is_elif else 0
        deepest = max(deepest, own + depth(child))
    return deepest


def deep_functions(source: str, limit: int = NESTING) -> list[str]:
    """Code that is nested deeply wants a function of its own."""
    found = ((f, depth(f)) for f in functions(ast.parse(source)))
    return [
        f"{f.name} (line {f.lineno}) nests {deep} deep, more than {limit}"
        for f, deep in found
        if deep > limit
    ]


def code_lines(source: str) -> int:
    """Count the lines of a module that are neither documentation, comment nor blank."""
    prose: set[int] = set()
    tree = ast.parse(source)
    for node in tree.body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if set(names) & set(DOCUMENTATION_NAMES):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(1 for number, line in lines if number not in prose and line.strip() and line.strip()[0] != "#")


# --- Python ----------------------------------------------------------------------------------


def header_faults(source: str) -> list[str]:
    """Every file says under which licence it is, in its first lines."""
    top = "\n".join(source.splitlines()[:5])
    return [f"its first five lines lack {text!r}" for text in (HEADER, SPDX) if text not in top]


def floor_faults(source: str) -> list[str]:
    """What runs on a target must parse with Python 3.9, the oldest one of the supported targets."""
    try:
        ast.parse(source, feature_version=(3, 9))
    except SyntaxError as error:
        return [f"line {error.lineno} is no Python 3.9: {error.msg}"]
    return []


def imported(source: str) -> t.Iterator[tuple[str, int]]:
    """List the modules that are imported when the file is: not those in a `try` or for type checkers."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno


def foreign_imports(source: str) -> list[str]:
    """A target has the standard library, what Ansible sends along, and nothing else."""
    own = ("ansible.module_utils", "ansible_collections.hearth.gpu_host.plugins.module_utils")
    known = sys.stdlib_module_names
    return [
        f"line {line} imports {name}, which a target may not have"
        for name, line in imported(source)
        if name.split(".")[0] not in known and not f"{name}.".startswith(tuple(f"{o}." for o in own))
    ]


_SKIPS = ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail", "unittest.skip")


def unexplained_skips(source: str) -> list[str]:
    """A test that does not run says why; a checker that is silenced is silenced for one thing."""
    faults = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _SKIPS:
            told = node.args if ast.unparse(node.func) == "pytest.skip" else []
            if not told and not any(keyword.arg == "reason" for keyword in node.keywords):
                faults.append(f"line {node.lineno} skips without a reason")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in _SKIPS and not _is_called(source, node):
            faults.append(f"line {node.lineno} skips without a reason")
    for number, line in enumerate(source.splitlines(), 1):
        if re.search(r"#\s*(noqa(?!: ?[A-Z])|type:\s*ignore(?!\[))", line):
            faults.append(f"line {number} silences a checker for everything")
    return faults


def _is_called(source: str, node: ast.Attribute) -> bool:
    rest = source.splitlines()[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :]
    return rest.startswith("(")


# --- text ------------------------------------------------------------------------------------

_HOSTS = (
    "pypi|org",
    "files.pythonhosted|org",
    "deb.debian|org",
    "snapshot.debian|org",
    "security.debian|org",
)
_HOSTS += (
    "registry.npmjs|org",
    "proxy.golang|org",
    "crates|io",
    "repo.maven.apache|org",
    "galaxy.ansible|com",
)
_PATHS = ("/root|/", "/home|/")
_STRAYS = [name.replace("|", ".") for name in _HOSTS] + [path.replace("|", "") for path in _PATHS]
_STRAY = re.compile("|".join(rf"(?<![\w.}}-]){re.escape(stray)}" for stray in _STRAYS))
# Networks that a program's own documentation fixes: QEMU's user-mode network, libvirt's default network.
_WELL_KNOWN = ("10.0.2.", "192.168.122.")
_PRIVATE_NET = re.compile(r"(?<![\d.])(10\.\d+|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+(?![\d.])")


def strays(text: str) -> list[str]:
    """Nothing in a tracked file depends on one machine, one network or one registry."""
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        found = [match.group() for pattern in (_STRAY, _PRIVATE_NET) for match in pattern.finditer(line)]
        faults += [f"line {number} names {name}" for name in found if not name.startswith(_WELL_KNOWN)]
    return faults


def yaml_faults(path: str, text: str) -> list[str]:
    """YAML files are called .yml, start with a document marker, and silence no linter."""
    faults = [] if path.endswith(".yml") else ["is not called .yml"]
    faults += [] if text.startswith("---\n") else ["does not start with ---"]
    return faults + (["silences a linter with noqa"] if re.search(r"#\s*noqa", text) else [])


# --- roles -----------------------------------------------------------------------------------


def drift(options: t.Mapping[str, t.Mapping[str, t.Any]], defaults: t.Mapping[str, t.Any]) -> list[str]:
    """The argument specification and the defaults name the same variables with the same values."""
    needed = {name for name, option in options.items() if "default" in option}
    faults = [
        f"{name} has a default in argument_specs but none in defaults"
        for name in sorted(needed - set(defaults))
    ]
    faults += [
        f"{name} is in defaults but not in argument_specs" for name in sorted(set(defaults) - set(options))
    ]
    for name in sorted(set(defaults) & set(options)):
        told = options[name].get("default")
        if options[name].get("required"):
            faults.append(f"{name} is required and has a default")
        elif type(told) is not type(defaults[name]) or told != defaults[name]:
            faults.append(f"{name} is {defaults[name]!r} in defaults and {told!r} in argument_specs")
    return faults


def not_only_includes(tasks: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """tasks/main.yml is a table of contents."""
    includes = {f"ansible.builtin.{do}_{what}" for do in ("include", "import") for what in ("tasks", "role")}
    includes |= {"ansible.builtin.include_vars"}
    return [f"{task.get('name', 'a task')!r} is no include" for task in tasks if not includes & set(task)]


WRITERS: t.Mapping[str, str] = {
    "ansible.builtin.assemble": "dest",
    "ansible.builtin.blockinfile": "path",
    "ansible.builtin.copy": "dest",
    "ansible.builtin.get_url": "dest",
    "ansible.builtin.lineinfile": "path",
    "ansible.builtin.replace": "path",
    "ansible.builtin.template": "dest",
    "community.general.ini_file": "path",
}


def flat(tasks: t.Iterable[t.Mapping[str, t.Any]]) -> t.Iterator[t.Mapping[str, t.Any]]:
    """List the tasks, those in blocks and plays included."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always", "pre_tasks", "tasks", "post_tasks"):
            yield from flat(task.get(part) or [])


def resolve(text: str, variables: t.Mapping[str, t.Any]) -> str:
    """Put the role's own variables into a path, as far as they are plain text."""

    def value(match: re.Match[str]) -> str:
        found = variables.get(match.group(1))
        return (
            resolve(found, variables)
            if isinstance(found, str) and match.group(1) not in found
            else match.group()
        )

    return re.sub(r"\{\{\s*(\w+)\s*\}\}", value, text)


def written_files(tasks: t.Iterable[t.Mapping[str, t.Any]], variables: t.Mapping[str, t.Any]) -> set[str]:
    """Return the files that the tasks write on the host, as far as they can be told without running."""
    found = set()
    for task in flat(tasks):
        if "delegate_to" in task:
            continue
        for module, option in WRITERS.items():
            arguments = task.get(module)
            if isinstance(arguments, dict) and isinstance(arguments.get(option), str):
                found.add(resolve(arguments[option], variables))
    return {path for path in found if path.startswith("/")}


def shared(owners: t.Mapping[str, t.Iterable[str]]) -> list[str]:
    """No two roles write the same file. Pure: role -> files."""
    seen: dict[str, str] = {}
    faults = []
    for role in sorted(owners):
        for path in sorted(owners[role]):
            if path in seen:
                faults.append(f"{path} is written by the roles {seen[path]} and {role}")
            seen.setdefault(path, role)
    return faults
