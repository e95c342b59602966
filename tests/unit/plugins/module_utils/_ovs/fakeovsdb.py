# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OVSDB server to test against, with or without its socket, and a vswitchd that realises what it is told.

::

    database = new_database()                                # an Engine with its root row, and a Vswitchd
    add_bridge(database, "br0", external_ids={"hearth-owner": "br0"})
    add_port(database, "br0", "eth1", tag=10)
    add_port(database, "br0", "vx0", {"type": "vxlan", "options": {"remote_ip": "192.0.2.2"}})
    client = EngineClient(database)                          # no thread, no socket
    with FakeOvsdb(tmp_path / "db.sock", database) as server:  # the real thing, for JsonRpc
        ...
        server.transactions                                  # every list of operations that came in

``database.settle.faults["eth9"] = GONE`` makes vswitchd fail on an interface; ``database.settle = None`` stops it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading

from ovsdbengine import SCHEMA, Engine

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import ovsdb, values

# What vswitchd 3.1 says of interfaces that it cannot realise (fixtures/ovs/database.json), as columns.
GONE = {"error": "could not open network device {} (No such device)", "ofport": -1}
ODD_TYPE = {
    "error": "could not open network device {} (Address family not supported by protocol)",
    "ofport": -1,
}
NO_REMOTE = {"error": "{}: vxlan type requires valid 'remote_ip' argument", "ofport": -1}
DUPLICATE_TUNNEL = {"error": "could not add network device {} to ofproto (File exists)", "ofport": -1}
# With an ofport, and link_state up.
NO_PEER = {"error": "No usable peer 'nope' exists in 'netdev' datapath.", "ofport": 2}
MTU_IGNORED = {"mtu": 1500}
LOCAL_OFPORT = 65534
WITHOUT_MTU = ("vxlan", "geneve", "gre", "patch")


class Vswitchd:
    """Realises each commit: ``cur_cfg``, and of each interface ``ofport``, ``mtu`` and ``error``."""

    def __init__(self, faults=None):
        self.faults = dict(faults or {})

    def __call__(self, engine):
        bridges = {row["name"] for row in rows(engine, "Bridge")}
        operations = [
            *(self.realised(row, row["name"] in bridges) for row in rows(engine, "Interface")),
            *(
                {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"cur_cfg": row["next_cfg"]}}
                for row in rows(engine, "Open_vSwitch")
            ),
        ]
        must(engine.transact(operations))

    def realised(self, row, is_local):
        name, taken = row["name"], set(row["ofport"])
        requested = set(row["mtu_request"]) or {1500}
        columns = {
            "ofport": LOCAL_OFPORT if is_local else min(taken - {-1} or {1 + sum(name.encode()) % 60000}),
            "mtu": frozenset() if row["type"] in WITHOUT_MTU else frozenset(requested),
            "error": frozenset(),
            "link_state": frozenset(["up"]),
            **self.faults.get(name, {}),
        }
        text = columns["error"]
        columns["error"] = text.format(name) if isinstance(text, str) else text
        if columns["ofport"] == -1:
            columns.update(mtu=frozenset(), link_state=frozenset())
        return {
            "op": "update",
            "table": "Interface",
            "where": [["name", "==", name]],
            "row": values.encode_row("Interface", columns),
        }


def new_database(vswitchd=True, **columns):
    """Return a database with the root row in it, and what else is given of its columns."""
    engine = Engine(Vswitchd() if vswitchd else None)
    must(engine.transact([_insert("Open_vSwitch", columns)]))
    return engine


def add_bridge(engine, name, local=None, **columns):
    """Add a bridge with its local port; ``local`` are columns of that interface."""
    interface = {"name": name, "type": "internal", **(local or {})}
    must(
        engine.transact(
            [
                _insert("Interface", interface, "i"),
                _insert("Port", {"name": name, "interfaces": frozenset(["i"])}, "p"),
                _insert("Bridge", {"name": name, "ports": frozenset(["p"]), **columns}, "b"),
                _into("Open_vSwitch", [], "bridges", "b"),
                *_bumped(),
            ]
        )
    )


def add_port(engine, bridge, name, interface=None, members=None, **columns):
    """Add a port with one interface, or (a bond) the interfaces named in ``members``."""
    names = members or [name]
    inserts = [
        _insert("Interface", {"name": member, **(interface or {})}, f"i{number}")
        for number, member in enumerate(names)
    ]
    references = frozenset(f"i{number}" for number in range(len(names)))
    must(
        engine.transact(
            [
                *inserts,
                _insert("Port", {"name": name, "interfaces": references, **columns}, "p"),
                _into("Bridge", [["name", "==", bridge]], "ports", "p"),
                *_bumped(),
            ]
        )
    )


def change(engine, table, name, **columns):
    """Update columns of the row with this name, as somebody else would."""
    row = values.encode_row(table, columns)
    where = [["name", "==", name]]
    must(engine.transact([{"op": "update", "table": table, "where": where, "row": row}]))


def rows(engine, table):
    """Return all rows of a table, decoded, with ``_uuid`` as its text."""
    (result,) = must(engine.transact([{"op": "select", "table": table, "where": []}]))
    return [
        {**values.decode_row(table, row), "_uuid": row["_uuid"][1], "_version": row["_version"][1]}
        for row in result["rows"]
    ]


def row(engine, table, name):
    """Return the one row of this name."""
    (found,) = [found for found in rows(engine, table) if found["name"] == name]
    return found


def must(results):
    """Return the results of a transaction that a test relies on."""
    failed = [result for result in results if result is None or "error" in result]
    assert not failed, results
    return results


def _insert(table, columns, name=None):
    operation = {"op": "insert", "table": table, "row": values.encode_row(table, columns)}
    return {**operation, "uuid-name": name} if name else operation


def _into(table, where, column, name):
    new = ["set", [["named-uuid", name]]]
    return {"op": "mutate", "table": table, "where": where, "mutations": [[column, "insert", new]]}


def _bumped():
    yield {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]}


class EngineClient:
    """A client (:class:`ovsdb.Client`) without a socket; what it is told goes through JSON all the same."""

    def __init__(self, engine):
        self.engine = engine
        self.transactions = []
        self.closed = False

    def transact(self, operations):
        self.transactions.append(list(operations))
        return ovsdb.results_of(operations, self.engine.transact(json.loads(json.dumps(list(operations)))))

    def close(self):
        self.closed = True


def whole(connection, text):
    """Deliver an answer as a server does."""
    connection.sendall(text)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        fake, buffer = self.server.fake, ""
        with contextlib.suppress(ConnectionError):
            while True:
                piece = self.request.recv(1 << 16)
                if not piece:
                    return
                buffer = self.answer_all(fake, buffer + piece.decode())

    def answer_all(self, fake, buffer):
        """Answer what is complete, and return the rest."""
        while buffer:
            try:
                message, end = json.JSONDecoder().raw_decode(buffer)
            except ValueError:
                return buffer
            buffer = buffer[end:]
            fake.received.append(message)
            if "method" in message:
                fake.deliver(self.request, json.dumps(fake.answer(message)).encode())
        return ""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    # Tests that leave a connection open shall not wait for it.
    block_on_close = False


class FakeOvsdb:
    """A server in a thread, on a unix socket.

    :param deliver: puts each answer on the connection, whole unless told otherwise: late, in pieces, cut off, never.
    """

    def __init__(self, path, engine=None, deliver=whole):
        self.path = str(path)
        self.engine = engine or new_database()
        self.deliver = deliver
        self.received = []

    @property
    def transactions(self):
        """All lists of operations that came in, in order."""
        return [message["params"][1:] for message in self.received if message.get("method") == "transact"]

    def answer(self, message):
        return {"id": message["id"], **self.reply(message["method"], message["params"])}

    def reply(self, method, params):
        """Answer a request, as ovsdb-server does."""
        if method == "echo":
            return {"result": params, "error": None}
        if method == "list_dbs":
            return {"result": ["Open_vSwitch", "_Server"], "error": None}
        if method not in ("transact", "get_schema"):
            return {"error": "unknown method"}
        if params[0] != "Open_vSwitch":
            why = {"error": "unknown database", "details": f"request specifies unknown database {params[0]}"}
            return {"error": why}
        if method == "get_schema":
            return {"result": SCHEMA, "error": None}
        return {"result": self.engine.transact(params[1:]), "error": None}

    def __enter__(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        # A folder of a test may have a longer path than the kernel takes as the name of a socket.
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.server = _Server(f"/proc/self/fd/{folder}/{os.path.basename(self.path)}", _Handler)
        finally:
            os.close(folder)
        self.server.fake = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_error):
        """Stop, and leave the socket's file behind as a server does that was killed."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def listening(path):
    """Return a bound socket that listens and never answers."""
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(path))
    silent.listen()
    return silent
