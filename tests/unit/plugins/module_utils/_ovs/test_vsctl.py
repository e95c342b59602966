# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool's words are those of ovsdb-client 3.1.0 (Debian 12), run against a private server and against none."""

from __future__ import annotations

import json

import fakeovsdb
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import (
    ABORT,
    DatabaseError,
    Stale,
    Unanswered,
    Unreachable,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.vsctl import ToolClient

REMOTE = "ssl:192.0.2.1:6640"
READ = {"op": "select", "table": "Bridge", "where": [], "columns": ["name"]}
SECRET = {"op": "insert", "table": "Interface", "row": {"options": ["map", [["psk", "s3cret"]]]}}


class Tool:
    """Stands in for ovsdb-client: says what it is told, or what a database answers to its last argument."""

    def __init__(self, said=None, engine=None, error=None):
        self.said, self.engine, self.error = said, engine, error
        self.calls = []

    def __call__(self, argv, *, stdin=None, timeout_s=60.0, check=True):
        assert not check
        self.calls.append((list(argv), timeout_s))
        if self.error:
            raise self.error
        if self.said:
            return self.said
        return Completed(0, json.dumps(self.engine.transact(json.loads(argv[-1])[1:])) + "\n", "")


def client_for(tool, timeout_s=15.0, **options):
    return ToolClient(REMOTE, timeout_s, tool, **options)


def test_the_tool_gets_the_json_of_the_wire():
    tool = Tool(Completed(0, '[{"rows":[]}]\n', ""))
    client = client_for(tool, 2.5, options=["--private-key=key.pem"])
    assert client.transact([READ]) == [{"rows": []}]
    client.close()
    ((argv, timeout_s),) = tool.calls
    assert argv[:-1] == ["ovsdb-client", "--timeout=3", "--private-key=key.pem", "transact", REMOTE]
    assert json.loads(argv[-1]) == ["Open_vSwitch", READ]
    assert timeout_s == 7.5


def test_without_a_remote_the_tool_asks_the_one_that_it_was_built_for():
    tool = Tool(Completed(0, "[]\n", ""))
    ToolClient("", 0.2, tool).transact([])
    assert tool.calls[0][0] == ["ovsdb-client", "--timeout=1", "transact", '["Open_vSwitch"]']


def test_a_database_is_read_and_changed_as_over_the_socket():
    engine = fakeovsdb.new_database()
    fakeovsdb.add_bridge(engine, "br0")
    client = client_for(Tool(engine=engine))
    assert read_database(client) == read_database(fakeovsdb.EngineClient(engine))
    change = {"op": "update", "table": "Bridge", "where": [], "row": {"stp_enable": True}}
    assert client.transact([change, ABORT])[0] == {"count": 1}
    assert fakeovsdb.row(engine, "Bridge", "br0")["stp_enable"] is False
    stale = {"op": "wait", "table": "Bridge", "where": [], "columns": ["name"], "until": "==", "rows": []}
    with pytest.raises(Stale):
        client.transact([stale, change])


UNKNOWN_COLUMN = (
    '[{"details":"No column nope in table Bridge.","error":"unknown column",'
    '"syntax":"{\\"name\\":\\"br0\\",\\"nope\\":1}"}]\n'
)
UNKNOWN_DATABASE = (
    'ovsdb-client: transaction returned error: {"details":"transact request specifies unknown database Nope",'
    '"error":"unknown database","syntax":"[\\"Nope\\",{\\"op\\":\\"abort\\"}]"}\n'
)
NO_KEYS = (
    "2026-11-22T12:18:34Z|00001|stream_ssl|ERR|Private key must be configured to use SSL\n"
    'ovsdb-client: failed to connect to "ssl:127.0.0.1:6640" (Protocol not available)\n'
)
ALARM = "2026-11-22T12:18:35Z|00001|fatal_signal|WARN|terminating with signal 14 (Alarm clock)\n"
FAILURES = [
    (Completed(0, UNKNOWN_COLUMN, ""), DatabaseError, "unknown column: No column nope in table Bridge"),
    (Completed(1, "", UNKNOWN_DATABASE), DatabaseError, "unknown database: transact request specifies"),
    (
        Completed(1, "", 'ovsdb-client: failed to connect to "tcp:192.0.2.1:1" (Connection refused)\n'),
        Unreachable,
        "Connection refused",
    ),
    (Completed(1, "", NO_KEYS), Unreachable, "Protocol not available"),
    (Completed(1, "", ""), Unreachable, "ovsdb-client failed"),
    (Completed(-14, "", ALARM), Unanswered, "no answer from ssl:192.0.2.1:6640 within 15 s"),
    (Completed(142, "", ALARM), Unanswered, "not known"),
    (Completed(0, '[{"rows":', ""), Unanswered, "not known"),
]


@pytest.mark.parametrize(("said", "kind", "words"), FAILURES)
def test_what_the_tool_says_is_told_by_its_kind(said, kind, words):
    with pytest.raises(DatabaseError, match=words) as caught:
        client_for(Tool(said)).transact([READ])
    assert caught.type is kind


@pytest.mark.parametrize("name", ["No such file or directory", "Connection refused"])
def test_a_socket_that_is_not_there_is_told_as_missing(name):
    said = Completed(1, "", f'ovsdb-client: failed to connect to "unix:db.sock" ({name})\n')
    with pytest.raises(Unreachable) as caught:
        client_for(Tool(said)).transact([READ])
    assert caught.value.details["missing"] == name.startswith("No such")


def missing_tool():
    error = CommandError("ovsdb-client cannot be run", argv=["ovsdb-client", json.dumps(SECRET)])
    error.__cause__ = FileNotFoundError(2, "No such file or directory")
    return error


def late_tool():
    return CommandError(
        f"ovsdb-client {json.dumps(SECRET)} gave no answer within 5 s.", argv=[json.dumps(SECRET)]
    )


@pytest.mark.parametrize(("error", "kind"), [(missing_tool, Unreachable), (late_tool, Unanswered)])
def test_a_tool_that_cannot_be_run_or_never_ends_does_not_tell_the_transaction(error, kind):
    with pytest.raises(kind) as caught:
        client_for(Tool(error=error())).transact([SECRET])
    assert "s3cret" not in json.dumps(caught.value.as_result())
    # The traceback of an unexpected end would quote it, too.
    assert caught.value.__suppress_context__


def test_a_transaction_that_no_command_line_holds_is_refused_before_it_is_sent():
    tool = Tool(Completed(0, "[]", ""))
    with pytest.raises(DatabaseError, match="no more than 131071") as caught:
        client_for(tool).transact([{"op": "comment", "comment": "x" * (1 << 17)}])
    assert tool.calls == []
    assert "tcp:" in caught.value.remedy
