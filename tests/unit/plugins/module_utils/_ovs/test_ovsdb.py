# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client speaks to a server on a socket, and tells apart all the ways in which that goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time

import fakeovsdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import ovsdb
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import (
    ABORT,
    DatabaseError,
    JsonRpc,
    Stale,
    Unanswered,
    Unreachable,
    results_of,
)

READ = {"op": "select", "table": "Bridge", "where": [], "columns": ["name", "external_ids"]}
CHANGE = {"op": "update", "table": "Bridge", "where": [], "row": {"stp_enable": True}}


def expect(table, columns, **row):
    return {
        "op": "wait",
        "table": table,
        "where": [],
        "until": "==",
        "timeout": 0,
        "columns": columns,
        "rows": [row],
    }


@contextlib.contextmanager
def connected(tmp_path, deliver=fakeovsdb.whole, timeout_s=5.0, **columns):
    """Yield a client, and the server that it speaks to, which has one bridge."""
    with fakeovsdb.FakeOvsdb(tmp_path / "db.sock", deliver=deliver) as server:
        fakeovsdb.add_bridge(server.engine, "br0", **columns)
        client = JsonRpc(server.path, timeout_s)
        with contextlib.closing(client):
            yield client, server


def bridge_of(server):
    return fakeovsdb.row(server.engine, "Bridge", "br0")


# --- success ---------------------------------------------------------------------------------


def test_a_transaction_returns_one_result_for_each_operation(tmp_path):
    with connected(tmp_path) as (client, server):
        assert client.transact([CHANGE, READ]) == [
            {"count": 1},
            {"rows": [{"name": "br0", "external_ids": ["map", []]}]},
        ]
        assert client.transact([]) == []
        assert server.transactions == [[CHANGE, READ], []]
        assert bridge_of(server)["stp_enable"] is True


def test_an_abort_at_the_end_proves_the_rest_and_changes_nothing(tmp_path):
    with connected(tmp_path) as (client, server):
        assert client.transact([CHANGE, ABORT])[0] == {"count": 1}
        assert bridge_of(server)["stp_enable"] is False
        with pytest.raises(DatabaseError, match="unknown column"):
            client.transact([{**CHANGE, "row": {"nope": 1}}, ABORT])


def test_text_beyond_ascii_goes_both_ways(tmp_path):
    name = 'Küche ☕ 🔥 " \\ } {'
    with connected(tmp_path, external_ids={"room": name}) as (client, _server):
        (result,) = client.transact([READ])
        assert result["rows"][0]["external_ids"] == ["map", [["room", name]]]


def in_pieces(sizes):
    """Deliver an answer cut into pieces of these sizes, over and over."""

    def deliver(connection, text):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for size in sizes * len(text):
            piece, text = text[:size], text[size:]
            connection.sendall(piece)
            if not text:
                return

    return deliver


class Pieces:
    """A connection whose other end sends exactly these pieces, and then hangs up."""

    def __init__(self, pieces):
        self.pieces = list(pieces)
        self.sent = b""
        self.closed = False
        self.timeout_s = 0.0

    def settimeout(self, seconds):
        self.timeout_s = seconds

    def sendall(self, text):
        self.sent += text

    def recv(self, _size):
        if not self.timeout_s:
            raise BlockingIOError
        return self.pieces.pop(0) if self.pieces else b""

    def close(self):
        self.closed = True


def client_of(monkeypatch, pieces):
    connection = Pieces(pieces)
    monkeypatch.setattr(ovsdb, "_connect", lambda address, timeout_s: connection)
    return JsonRpc("db.sock"), connection


ROWS = [{"rows": [{"name": 'br}{" ü☕', "n": 1}]}]
ANSWER = json.dumps({"id": 1, "result": ROWS, "error": None}, ensure_ascii=False).encode()
ECHO = b'{"id":"echo","method":"echo","params":[]}'


@given(st.lists(st.integers(0, len(ANSWER + ECHO)), max_size=8), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answer_may_be_split_at_any_byte(monkeypatch, cuts, echo_first):
    stream = ECHO + ANSWER if echo_first else ANSWER + ECHO
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in zip(places, places[1:])]
    with monkeypatch.context() as patch:
        client, connection = client_of(patch, [piece for piece in pieces if piece])
        assert client.transact([READ]) == ROWS
    assert connection.sent.endswith(b'"error": null}') or not echo_first


def test_a_blank_at_the_end_of_a_piece_is_part_of_the_text(monkeypatch):
    cut = ANSWER.index(b" \xc3") + 1
    client, _connection = client_of(monkeypatch, [ANSWER[:cut], ANSWER[cut:] + b"\n"])
    assert client.transact([READ]) == ROWS


def test_an_answer_that_comes_byte_by_byte_over_a_socket(tmp_path):
    with connected(tmp_path, deliver=in_pieces([1])) as (client, _server):
        assert client.transact([READ])[0]["rows"][0]["name"] == "br0"


def test_a_huge_answer_is_read_in_time(tmp_path):
    ids = {f"key-{number:06}": "x" * 90 for number in range(40000)}
    with connected(tmp_path, external_ids=ids, timeout_s=60) as (client, _server):
        (result,) = client.transact([READ])
        assert len(result["rows"][0]["external_ids"][1]) == len(ids)


def test_a_whole_answer_counts_even_when_the_server_dies_in_its_next_word(monkeypatch):
    client, _connection = client_of(monkeypatch, [ANSWER + ECHO[:9]])
    assert client.transact([READ]) == ROWS


# --- what comes in between -------------------------------------------------------------------


def test_an_echo_is_answered_and_is_not_the_answer(tmp_path):
    def deliver(connection, text):
        connection.sendall(b'{"id":"echo","method":"echo","params":["are you there?"]}' + text)

    with connected(tmp_path, deliver=deliver) as (client, server):
        assert client.transact([READ])[0]["rows"]
        # The server reads in order: when it has seen the second question, it has seen the answer to the first.
        client.transact([])
    assert {"id": "echo", "result": ["are you there?"], "error": None} in server.received


def test_notices_and_answers_to_others_are_passed_over(tmp_path):
    def deliver(connection, text):
        connection.sendall(
            b' {"id":null,"method":"locked","params":["x"]}\n{"id":99,"result":[{}],"error":null}'
        )
        connection.sendall(text)

    with connected(tmp_path, deliver=deliver) as (client, _server):
        assert client.transact([READ])[0]["rows"]


# --- refused ---------------------------------------------------------------------------------


INSERT = {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "br0"}}
TWIN = [
    INSERT,
    {
        "op": "insert",
        "table": "Port",
        "uuid-name": "p",
        "row": {"name": "p", "interfaces": ["named-uuid", "i"]},
    },
    {"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["named-uuid", "p"]]]},
]
REFUSALS = [
    ([READ, {**CHANGE, "row": {"nope": 1}}], "unknown column", 1, r"operation 2 \(update Bridge\).*nope"),
    ([{**CHANGE, "row": {"fail_mode": "open"}}], "constraint violation", 0, "open is not one of the allowed"),
    ([{**CHANGE, "row": {"stp_enable": 1}}], "syntax error", 0, "expected boolean"),
    ([{**READ, "table": "Nope"}], "syntax error", 0, "No table named Nope"),
    ([*TWIN], "constraint violation", 3, "the transaction as a whole"),
    ([ABORT, READ], None, None, None),
    ([{"op": "bogus"}], "syntax error", 0, r"operation 1 \(bogus\)"),
]


@pytest.mark.parametrize(("operations", "error", "number", "words"), REFUSALS)
def test_a_refusal_says_which_operation_and_why(tmp_path, operations, error, number, words):
    with connected(tmp_path) as (client, server):
        before = bridge_of(server)
        if error is None:
            assert client.transact(operations)[1] == {}
            return
        with pytest.raises(DatabaseError, match=words) as caught:
            client.transact(operations)
        assert caught.type is DatabaseError
        assert caught.value.details["server_error"] == error
        assert caught.value.details["operation"] == number
        assert bridge_of(server) == before
        # The connection is as good as before.
        assert client.transact([READ])[0]["rows"]


def test_an_unknown_column_says_what_to_do(tmp_path):
    with connected(tmp_path) as (client, _server), pytest.raises(DatabaseError) as caught:
        client.transact([{**CHANGE, "row": {"nope": 1}}])
    assert "upgrade" in caught.value.remedy


def test_a_refusal_does_not_tell_the_keys_in_a_row():
    got = [
        {
            "error": "unknown column",
            "details": "No column x.",
            "syntax": '{"options":["map",[["psk","s3cret"]]]}',
        }
    ]
    with pytest.raises(DatabaseError) as caught:
        results_of(
            [{"op": "insert", "table": "Interface", "row": {"options": ["map", [["psk", "s3cret"]]]}}], got
        )
    assert "s3cret" not in json.dumps(caught.value.as_result())


def test_a_wait_that_does_not_hold_is_stale_and_nothing_else_happens(tmp_path):
    with connected(tmp_path) as (client, server):
        fakeovsdb.change(server.engine, "Bridge", "br0", rstp_enable=True)
        with pytest.raises(Stale, match=r"operation 1 \(wait Bridge\)") as caught:
            client.transact([expect("Bridge", ["rstp_enable"], rstp_enable=False), CHANGE])
        assert (caught.value.details["operation"], caught.value.remedy) == (0, "run again")
        assert bridge_of(server)["stp_enable"] is False
        assert client.transact([expect("Bridge", ["rstp_enable"], rstp_enable=True), CHANGE])[1] == {
            "count": 1
        }


def test_a_wait_fails_in_a_trial_too(tmp_path):
    with connected(tmp_path) as (client, _server), pytest.raises(Stale):
        client.transact([expect("Bridge", ["rstp_enable"], rstp_enable=True), ABORT])


def test_another_database_is_refused_in_the_words_of_the_server(tmp_path, monkeypatch):
    monkeypatch.setattr(ovsdb, "DATABASE", "Other")
    with connected(tmp_path) as (client, _server), pytest.raises(DatabaseError, match="unknown database"):
        client.transact([READ])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"id": 1, "error": "unknown method"}, "refused the request: unknown method"),
        ({"id": 1, "error": {"error": "canceled"}}, "refused the request: canceled"),
        ({"id": 1, "result": [], "error": None}, "does not fit"),
        ({"id": 1, "result": {"rows": []}, "error": None}, "does not fit"),
    ],
)
def test_an_answer_without_results_is_an_error(monkeypatch, answer, words):
    client, _connection = client_of(monkeypatch, [json.dumps(answer).encode()])
    with pytest.raises(DatabaseError, match=words):
        client.transact([READ])


# --- no server -------------------------------------------------------------------------------


def test_no_socket_is_told_as_missing(tmp_path):
    with pytest.raises(Unreachable, match="No such file") as caught:
        JsonRpc(str(tmp_path / "db.sock"))
    assert caught.value.details["missing"] is True
    assert "install" in caught.value.remedy


def test_a_socket_that_nobody_listens_at_is_not_missing(tmp_path):
    with fakeovsdb.FakeOvsdb(tmp_path / "db.sock") as server:
        pass
    with pytest.raises(Unreachable, match="refused") as caught:
        JsonRpc(server.path)
    assert caught.value.details["missing"] is False
    assert "start ovsdb-server" in caught.value.remedy


def test_a_folder_that_is_missing_is_a_missing_socket_with_a_long_name_too(tmp_path):
    with pytest.raises(Unreachable) as caught:
        JsonRpc(str(tmp_path / ("x" * 120) / "db.sock"))
    assert caught.value.details["missing"] is True


def test_a_long_path_is_no_hindrance(tmp_path):
    with fakeovsdb.FakeOvsdb(tmp_path / ("x" * 120) / "db.sock") as server:
        client = JsonRpc(server.path)
        assert client.transact([READ]) == [{"rows": []}]
        client.close()


def test_a_server_over_tcp_is_the_same(tmp_path):
    with (
        fakeovsdb.FakeOvsdb(tmp_path / "db.sock") as server,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):

        def serve():
            connection, _peer = listener.accept()
            fakeovsdb._Handler(connection, None, server.server)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        client = JsonRpc(listener.getsockname()[:2])
        assert client.transact([READ]) == [{"rows": []}]
        client.close()
        thread.join()


def test_nobody_at_a_tcp_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match=f"127.0.0.1 port {port}"):
        JsonRpc(("127.0.0.1", port))


# --- no answer -------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_given_up_in_time(tmp_path):
    begun = time.monotonic()
    with fakeovsdb.listening(tmp_path / "db.sock"):
        client = JsonRpc(str(tmp_path / "db.sock"), 0.1)
        with pytest.raises(Unanswered, match="not known"):
            client.transact([CHANGE])
    assert time.monotonic() - begun < 5


class Endless:
    """A server that sends echoes and nothing else."""

    def pop(self, _place):
        return ECHO


def test_a_server_that_only_echoes_is_given_up_in_time(monkeypatch):
    client, connection = client_of(monkeypatch, [])
    client._timeout_s = 0.1
    monkeypatch.setattr(connection, "pieces", Endless())
    with pytest.raises(Unanswered, match="timed out"):
        client.transact([CHANGE])
    assert connection.closed


@pytest.mark.parametrize("length", [0, 1, 10, -1])
def test_a_server_that_dies_in_its_answer_leaves_it_open_whether_it_did_it(tmp_path, length):
    def deliver(connection, text):
        connection.sendall(text[:length])
        connection.shutdown(socket.SHUT_RDWR)

    with connected(tmp_path, deliver=deliver) as (client, server):
        with pytest.raises(Unanswered, match="closed the connection"):
            client.transact([CHANGE])
        # This one did.
        assert bridge_of(server)["stp_enable"] is True


def test_what_went_away_before_it_was_asked_has_changed_nothing(tmp_path):
    with fakeovsdb.FakeOvsdb(tmp_path / "db.sock") as server:
        client = JsonRpc(server.path)
        client.transact([READ])
    os.unlink(server.path)
    client.close()
    with pytest.raises(Unreachable, match="Nothing was applied"):
        client.transact([CHANGE])


def test_a_server_that_was_restarted_is_spoken_to_again(tmp_path):
    with fakeovsdb.listening(tmp_path / "db.sock") as listener:
        client = JsonRpc(str(tmp_path / "db.sock"))
        peer = listener.accept()[0]
        # What a real server does over TCP to who was silent for ten seconds.
        peer.sendall(ECHO)
        peer.close()
    os.unlink(tmp_path / "db.sock")
    with fakeovsdb.FakeOvsdb(tmp_path / "db.sock"):
        assert client.transact([READ]) == [{"rows": []}]


def test_what_cannot_be_sent_has_changed_nothing(monkeypatch):
    client, connection = client_of(monkeypatch, [])

    def sendall(_text):
        raise BrokenPipeError(32, "Broken pipe")

    connection.sendall = sendall
    with pytest.raises(Unreachable, match="Broken pipe"):
        client.transact([CHANGE])
    assert connection.closed


def test_after_a_missing_answer_a_new_connection_is_used(tmp_path):
    late = []

    def deliver(connection, text):
        connection.sendall(text if late else text[:10])
        late.append(text)

    with connected(tmp_path, deliver=deliver, timeout_s=0.3) as (client, server):
        with pytest.raises(Unanswered):
            client.transact([CHANGE])
        assert client.transact([READ])[0]["rows"][0]["name"] == "br0"
        assert server.transactions == [[CHANGE], [READ]]


@pytest.mark.parametrize("words", [b"SSH-2.0-OpenSSH_9.2\r\n", b"[1]", b"HTTP/1.1 400 Bad Request\r\n"])
def test_what_speaks_something_else_is_told_at_once(monkeypatch, words):
    client, _connection = client_of(monkeypatch, [words])
    with pytest.raises(Unanswered, match="no OVSDB server"):
        client.transact([READ])
