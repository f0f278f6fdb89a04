#!/usr/bin/env python3
"""The API of a running `adieu up` against its own document, docs/openapi.yaml: every path is asked, every answer is
held against its schema; who may ask, what is refused, how a stream is resumed; `adieu probe` and `adieu end`; and that
what contrib/ shows and alerts on exists in /metrics.

What does not live here: what the commands do to a connection (tests/stack, tests/control), the server's bounds in
detail (tests/host/http_test.cc).

usage: api_test.py ADIEU SOURCES
"""
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from own_network import enter_own_network, may_make_interfaces  # noqa: E402

SOURCES = Path(sys.argv.pop(2))
ADIEU = sys.argv.pop(1)
DOCUMENT = yaml.safe_load((SOURCES / "docs/openapi.yaml").read_text())
ENGINE = "10.77.0.2"
PORT = 9077
TOKEN = "a-token-of-sufficient-length"
NOBODY = 65534


# --- the part of JSON Schema, as OpenAPI 3.0 has it, that the document uses; a word that it does not know is an error

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
WORDS = {"type", "nullable", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "required",
         "properties", "additionalProperties", "items", "minItems", "oneOf", "allOf", "$ref", "description", "default"}


def resolved(schema):
    while "$ref" in schema:
        node = DOCUMENT
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


def faults(value, schema, where="$"):
    """What is wrong with `value`, one sentence a fault."""
    schema = resolved(schema)
    if unknown := set(schema) - WORDS:
        raise ValueError(f"{where}: the validator does not know {unknown}")
    if value is None and schema.get("nullable"):
        return
    if "oneOf" in schema:
        fitting = [one for one in schema["oneOf"] if not list(faults(value, one, where))]
        if len(fitting) != 1:
            yield f"{where} fits {len(fitting)} of {len(schema['oneOf'])} shapes"
        return
    for part in schema.get("allOf", []):
        yield from faults(value, part, where)
    if "type" not in schema:
        return
    expected = TYPES[schema["type"]]
    if not isinstance(value, expected) or (isinstance(value, bool) and schema["type"] != "boolean"):
        yield f"{where} is {value!r}, no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}, none of {schema['enum']}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where} is {value!r}, which {schema['pattern']} does not match"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30):
            yield f"{where} has a length of {len(value)}"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{where} is {value}, out of bounds"
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{where} has {len(value)} items"
        for i, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), f"{where}[{i}]")
    elif isinstance(value, dict):
        for name in set(schema.get("required", [])) - set(value):
            yield f"{where} has no {name}"
        more = schema.get("additionalProperties", True)
        for name, member in value.items():
            if name in schema.get("properties", {}):
                yield from faults(member, schema["properties"][name], f"{where}.{name}")
            elif more is False:
                yield f"{where}.{name} is not in the document"
            elif more is not True:
                yield from faults(member, more, f"{where}.{name}")


class TheValidator(unittest.TestCase):
    def test_finds_what_is_wrong(self):
        error = DOCUMENT["components"]["schemas"]["Error"]
        good = {"error": {"status": 400, "sentence": "a sentence"}}
        self.assertEqual(list(faults(good, error)), [])
        for bad in ({}, {"error": {}}, {"error": {"status": "400", "sentence": "a sentence"}}, [],
                    {"error": {"status": 200, "sentence": "a sentence"}}, {**good, "more": 1},
                    {"error": {"status": 400, "sentence": "a"}}, {"error": {"status": True, "sentence": "a sentence"}}):
            self.assertNotEqual(list(faults(bad, error)), [], bad)
        self.assertNotEqual(list(faults("DOZING", DOCUMENT["components"]["schemas"]["State"])), [])
        self.assertNotEqual(list(faults("x/1", DOCUMENT["components"]["schemas"]["Id"])), [])
        self.assertNotEqual(list(faults({}, {"oneOf": [{"type": "object"}, {"type": "object"}]})), [])

    def test_the_document_names_each_schema_that_it_refers_to(self):
        def references(node):
            if isinstance(node, dict):
                if isinstance(node.get("$ref"), str):
                    yield node
                for member in node.values():
                    yield from references(member)
            elif isinstance(node, list):
                for member in node:
                    yield from references(member)
        found = list(references(DOCUMENT))
        self.assertGreater(len(found), 30)
        for reference in found:
            resolved(reference)


# --- a running `adieu up`

class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=15)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(self.path)


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (may_make_interfaces() and enter_own_network()):
            raise unittest.SkipTest("SKIPPED: this machine permits no network namespace of our own")
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.token_file = Path(cls.directory.name) / "token"
        cls.token_file.write_text(TOKEN + "\n")
        cls.token_file.chmod(0o600)
        cls.run_dir = f"{cls.directory.name}/run"
        cls.socket = cls.run_dir + "/api.sock"
        cls.up = subprocess.Popen([ADIEU, "up", "--run-dir", cls.run_dir, "--http", f"127.0.0.1:{PORT}",
                                   "--http-token-file", str(cls.token_file)], text=True, stdout=subprocess.PIPE)
        cls.addClassCleanup(cls.end_up)
        cls.up.stdout.readline()
        cls.wait_until(lambda: os.path.exists(cls.socket))

    @classmethod
    def end_up(cls):
        cls.up.send_signal(signal.SIGTERM)
        cls.up.communicate(timeout=15)
        assert cls.up.returncode == 0, cls.up.returncode

    @staticmethod
    def wait_until(condition, limit=10):
        deadline = time.monotonic() + limit
        while not (result := condition()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert result, "it did not come about"
        return result

    def setUp(self):
        self.peers = []

    def tearDown(self):
        for peer in self.peers:
            peer.close()

    def ask(self, target, method="GET", body=None, headers={}, token=None, loopback=False, raw=False):
        """(status, type, body); JSON is parsed."""
        tcp = http.client.HTTPConnection("127.0.0.1", PORT, timeout=15)
        connection = tcp if loopback else UnixConnection(self.socket)
        if token is not None:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            kind = answer.getheader("Content-Type", "")
            return answer.status, kind, json.loads(text) if kind == "application/json" and not raw else text
        finally:
            connection.close()

    def peer(self, text=b"hello"):
        """A kernel socket connected to the engine's echo service, and the engine's id for it."""
        peer = socket.create_connection((ENGINE, 7), timeout=5)
        self.peers.append(peer)
        if text:
            peer.sendall(text)
            self.assertEqual(peer.recv(100), text)
        where = "src 10.77.0.2:7 and dst {}:{}".format(*peer.getsockname())
        def found():
            rows = self.ask("/v1/connections?filter=" + where.replace(" ", "%20"))[2]["connections"]
            return rows and rows[0]["id"]
        return peer, self.wait_until(found)

    def holds(self, value, schema):
        self.assertEqual(list(faults(value, schema)), [])

    def error(self, answer, status, says=""):
        self.assertEqual(answer[:2], (status, "application/json"), answer)
        self.holds(answer[2], DOCUMENT["components"]["schemas"]["Error"])
        self.assertEqual(answer[2]["error"]["status"], status)
        self.assertIn(says, answer[2]["error"]["sentence"])

    def adieu(self, *arguments, **more):
        return subprocess.run([ADIEU, *arguments, "--run-dir", self.run_dir], capture_output=True, text=True,
                              timeout=20, stdin=subprocess.DEVNULL, **more)


class Document(Running):
    def test_every_path_answers_as_it_says(self):
        _, identity = self.peer()
        plane, number = identity.rsplit("/", 1)
        asked = 0
        for path, operations in DOCUMENT["paths"].items():
            target = path.replace("{plane}", plane).replace("{number}", number)
            for method in operations.keys() & {"get", "post"}:
                with self.subTest(path=path, method=method):
                    asked += 1
                    good = operations[method]["responses"]["200"]["content"]
                    kind, content = next(iter(good.items()))
                    if kind == "text/event-stream":
                        continue  # Streams.test_*
                    bodies = [None]
                    if method == "post":
                        bodies = [{"wait_s": 1}] if path.endswith("probe") else [{"dry_run": True}, {"how": "finish"}]
                    for body in bodies:
                        status, given_kind, value = self.ask(target, method.upper(), body)
                        self.assertEqual((status, given_kind.split(";")[0]), (200, kind), value)
                        self.holds(value, content["schema"])
        self.assertGreaterEqual(asked, 9)
        self.assertEqual(self.ask("/v1/openapi.yaml")[2], (SOURCES / "docs/openapi.yaml").read_text())

    def test_the_bodies_and_parameters_that_it_describes_are_those_that_are_taken(self):
        _, identity = self.peer()
        at = f"/v1/connections/{identity}"
        for how in DOCUMENT["components"]["schemas"]["End"]["properties"]["how"]["enum"]:
            value = self.ask(at + "/end", "POST", {"how": how, "dry_run": True})[2]
            self.assertEqual((value["how"], value["possible"]), (how, how != "keepalive"), "the engine has none")
        values = DOCUMENT["components"]["schemas"]["End"]["properties"]["keepalive"]["properties"]
        for name, schema in values.items():
            most = schema["maximum"]
            for value, status in ((schema["minimum"], 409), (most, 409), (0, 400), (most + 1, 400)):
                body = {"how": "keepalive", "keepalive": {name: value}}
                self.assertEqual(self.ask(at + "/end", "POST", body)[0], status, body)
        page = next(p for p in DOCUMENT["paths"]["/v1/connections"]["get"]["parameters"] if p["name"] == "limit")
        most = page["schema"]["maximum"]
        for limit, status in ((0, 400), (1, 200), (most, 200), (most + 1, 400)):
            self.assertEqual(self.ask(f"/v1/connections?limit={limit}")[0], status, limit)

    def test_what_cannot_be_answered_is_told_in_one_shape(self):
        _, identity = self.peer()
        at = f"/v1/connections/{identity}"
        bad = self.ask("/v1/connections?filter=state%20established%20and%20sport%20moon")
        self.error(bad, 400)
        self.assertEqual(bad[2]["error"]["place"], {"parameter": "filter", "at": 28, "length": 4})
        for target in ("/v1/connections?limit=x", "/v1/connections?limit=-1", "/v1/connections?after=moon",
                       "/v1/connections?limit=1&limit=2", "/v1/events?after=moon"):
            self.error(self.ask(target), 400)
        for path in DOCUMENT["paths"]:
            target = path.replace("{plane}/{number}", identity)
            method = "POST" if "post" in DOCUMENT["paths"][path] else "GET"
            self.error(self.ask(target + "?fitler=x", method, "{}" if method == "POST" else None), 400, "`fitler`")
            if method == "POST":
                self.error(self.ask(target, method), 400, "a body is wanted")
        self.error(self.ask("/v1/events", headers={"Last-Event-ID": "1;2"}), 400)
        for target in ("/", "/v1", "/v2/status", "/v1/connections/", "/v1/connections/engine/1", at + "9", at + "/kill",
                       "/v1/connections/moon/0.1", "/v1/connections/engine/4294967295.1"):
            self.error(self.ask(target), 404)
        for method, target in (("POST", "/v1/status"), ("POST", at), ("GET", at + "/probe"), ("DELETE", at),
                               ("PUT", "/v1/policy"), ("PATCH", at), ("OPTIONS", at)):
            self.error(self.ask(target, method), 405)
        for body in ("{", "[]", "1", '{"how": "kindly"}', '{"how": 1}', '{"dry_run": "yes"}', '{"hwo": "reset"}',
                     '{"dry_run": true} x', "\xff", '{"dry_run": true, "dry_run": true}'):
            self.error(self.ask(at + "/end", "POST", body.encode("latin-1")), 400)
        for body in ('{"wait_s": -1}', '{"wait_s": 11}', '{"wait_s": "1"}', "[" * 20000):
            self.error(self.ask(at + "/probe", "POST", body), 400)
        self.error(self.ask("/v1/" + 2000 * "x"), 414)
        self.error(self.ask(at + "/end", "POST", b" " * 70_000), 413)
        self.error(self.ask(at + "/end", "POST", b"x", {"Content-Encoding": "gzip"}), 411)
        self.error(self.ask(at + "/end", "POST", iter([b"{}"])), 411)  # chunked
        self.assertEqual(self.ask(at)[2]["reason"], "none")

    def test_pages_hold_each_connection_once(self):
        identities = {self.peer(b"")[1] for _ in range(5)}
        seen, after, pages = [], "", 0
        while after is not None:
            page = self.ask("/v1/connections?limit=2&filter=plane%20engine%20and%20state%20established" + after)[2]
            self.assertLessEqual(len(page["connections"]), 2)
            seen += [row["id"] for row in page["connections"]]
            after = page["next"] and "&after=" + page["next"]
            pages += 1
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(identities, set(seen))
        self.assertGreaterEqual(pages, 3)


class Commands(Running):
    def test_a_peer_that_is_there_is_heard_and_one_question_a_second_is_enough(self):
        peer, identity = self.peer()
        remote = "{}:{}".format(*peer.getsockname())
        done = self.adieu("probe", f"{ENGINE}:7", remote)
        self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)
        self.assertRegex(done.stdout, rf"^{re.escape(identity)}: asked, and heard after ")
        first = json.loads(self.adieu("why", identity, "--json").stdout)["verdicts"][-1]
        self.assertEqual((first["command"].split(",")[0], first["outcome"]), ("probe", "done"))
        self.assertTrue(any(f"user {os.getuid()} asked" in one for one in first["evidence"]), first)

    def test_a_peer_that_is_not_there_is_not_heard(self):
        peer, identity = self.peer()
        subprocess.run(["ip", "link", "set", "adieu0", "down"], check=True)
        try:
            done = self.adieu("probe", identity, "--wait", "300ms", "--json")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            receipt = json.loads(done.stdout)
            self.holds(receipt, DOCUMENT["components"]["schemas"]["Receipt"])
            self.assertEqual((receipt["done"], receipt["heard"], receipt["heard_after_s"]), (True, False, None))
        finally:
            subprocess.run(["ip", "link", "set", "adieu0", "up"], check=True)
            subprocess.run(["ip", "address", "replace", "10.77.0.1/24", "dev", "adieu0"], check=True)

    def test_what_cannot_be_asked_is_status_2_and_one_line(self):
        for arguments, says in ((["moon"], "PLANE/SLOT"), (["engine/0.1", "--wait", "11s"], "10s"),
                                (["mo\x1b[31mon"], r"mo\x1b[31mon")):
            done = self.adieu("probe", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertRegex(done.stderr, r"\Aadieu: [^\n]+\n\Z")
            self.assertIn(says, done.stderr)

    def test_what_nobody_knows_is_nothing_found(self):
        for arguments in (["probe", "engine/99.1"], ["probe", f"{ENGINE}:7", "10.77.0.1:1"], ["end", "engine/99.1"],
                          ["end", "--dry-run", "--json", "mo\x1b[31mon/1.1"], ["why", "engine/99.1"],
                          ["why", "--json", f"{ENGINE}:7", "10.77.0.1:1"]):
            done = self.adieu(*arguments)
            self.assertEqual((done.returncode, done.stdout), (0, ""), arguments)
            self.assertRegex(done.stderr, r"\Aadieu: there is no [ -~]+\n\Z", arguments)

    def test_what_has_ended_before_is_told_and_no_trouble(self):
        _, identity = self.peer()
        self.assertEqual(self.adieu("end", "--reset", identity).returncode, 1)
        for flags in ([], ["--reset"]):
            again = self.adieu("end", identity, *flags)
            self.assertEqual((again.returncode, again.stderr), (1, ""))
            self.assertEqual(again.stdout, f"{identity}: it had ended before\n")
        self.assertEqual(self.adieu("end", "--dry-run", identity).returncode, 1)

    def control(self):
        return self.ask("/v1/status")[2]["control"]["pid"]

    def test_an_order_waits_for_a_control_plane_that_starts_again(self):
        _, identity = self.peer()
        os.kill(self.control(), signal.SIGKILL)
        done = self.adieu("probe", identity)
        self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)
        os.kill(self.control(), signal.SIGKILL)
        done = self.adieu("end", "--reset", "src", f"{ENGINE}:7", "and", "dst",
                          "{}:{}".format(*self.peers[-1].getsockname()))
        self.assertEqual((done.returncode, done.stderr), (1, ""), done.stdout)

    def test_a_stopped_control_plane_is_sent_no_order(self):
        _, identity = self.peer()
        control = self.control()
        os.kill(control, signal.SIGSTOP)
        try:
            for arguments in (["probe", identity], ["end", identity], ["end", "plane", "engine"]):
                began = time.monotonic()
                done = self.adieu(*arguments)
                self.assertLess(time.monotonic() - began, 4)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(done.stderr, r"\Aadieu: [^\n]+ not answered within 2s: nothing was ordered\n\Z")
        finally:
            os.kill(control, signal.SIGCONT)
        self.wait_until(lambda: self.ask(f"/v1/connections/{identity}")[2]["state"] == "ESTABLISHED")

    def test_an_order_that_is_never_answered_is_given_up(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as server:
            server.bind(directory + "/api.sock")
            server.listen()
            probe = subprocess.Popen([ADIEU, "probe", "engine/0.1", "--wait", "100ms", "--run-dir", directory],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            alive, _ = server.accept()
            alive.recv(4096)
            alive.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            order, _ = server.accept()
            with alive, order:
                self.assertEqual(probe.communicate(timeout=12)[0], "")
            self.assertEqual(probe.returncode, 2)

    def test_a_dry_run_says_who_would_see_what_and_does_nothing(self):
        _, identity = self.peer()
        done = self.adieu("end", identity, "--dry-run")
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in ("finish", "application", "peer", "FIN-WAIT-1"):
            self.assertIn(word, done.stdout)
        self.assertIn("RST", self.adieu("end", identity, "--dry-run", "--reset").stdout)
        self.assertIn("no segment", self.adieu("end", identity, "--dry-run", "--silent").stdout)
        self.assertEqual(self.ask(f"/v1/connections/{identity}")[2]["state"], "ESTABLISHED")

    def test_ended_as_it_was_asked_for(self):
        finished, identity = self.peer()
        done = self.adieu("end", identity)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("finish done", done.stdout)
        self.assertEqual(finished.recv(10), b"")
        again = self.adieu("end", identity, "--finish")
        self.assertEqual((again.returncode, again.stdout), (2, ""))
        self.assertIn("closed already", again.stderr)
        finished.close()

        reset, identity = self.peer()
        receipt = json.loads(self.adieu("end", "--reset", "--json", identity).stdout)
        self.holds(receipt, DOCUMENT["components"]["schemas"]["Receipt"])
        self.assertEqual((receipt["act"], receipt["done"], receipt["state"]), ("reset", True, "CLOSED"))
        with self.assertRaises(ConnectionResetError):
            reset.recv(10)
        after = self.ask(f"/v1/connections/{identity}")[2]
        self.assertEqual((after["reason"], after["ended_by"]), ("commanded", receipt["verdict"]))
        self.error(self.ask(f"/v1/connections/{identity}/end", "POST", {}), 410)

        silent, identity = self.peer()
        self.assertEqual(self.adieu("end", "--silent", identity).returncode, 1)
        silent.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            silent.recv(10)

    def test_several_need_a_yes(self):
        peers = [self.peer()[0] for _ in range(3)]
        ports = " or ".join("dport = :{}".format(peer.getsockname()[1]) for peer in peers)
        which = ["(", *ports.split(), ")", "and", "plane", "engine"]
        refused = self.adieu("end", "--reset", *which)
        self.assertEqual((refused.returncode, refused.stdout), (2, ""))
        self.assertIn("--yes", refused.stderr)
        for peer in peers:
            peer.sendall(b"still there")
            self.assertEqual(peer.recv(20), b"still there")
        done = self.adieu("end", "--reset", "--yes", *which)
        self.assertEqual((done.returncode, done.stdout.count("reset done")), (1, 3), done.stderr)
        none = self.adieu("end", "--reset", "--yes", *which)
        self.assertEqual((none.returncode, none.stdout), (0, "no connection matches\n"))

    def test_a_bad_filter_or_two_ways_at_once_are_refused(self):
        for arguments, says in ((["state", "moon"], "`moon`"), (["--reset", "--finish", "engine/0.1"], "--"),
                                ([], "--help"), ([""], "never meant")):
            done = self.adieu("end", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertRegex(done.stderr, r"\Aadieu: [^\n]+\n\Z")
            self.assertIn(says, done.stderr)

    def test_a_stopped_engine_makes_nobody_else_wait(self):
        _, identity = self.peer()
        engine = self.ask("/v1/connections?limit=1&filter=plane%20engine")[2]["connections"][0]["pid"]
        os.kill(engine, signal.SIGSTOP)
        try:
            with UnixStream(self.socket, f"/v1/connections/{identity}/probe", "POST", body="{}") as waiting:
                began = time.monotonic()
                self.assertEqual(self.ask("/v1/status")[0], 200)
                self.assertEqual(self.ask(f"/v1/connections/{identity}")[0], 200)
                self.assertLess(time.monotonic() - began, 2)
                self.assertIn("504", waiting.line(), waiting.file.read())
                self.assertGreater(time.monotonic() - began, 4)
        finally:
            os.kill(engine, signal.SIGCONT)


class UnixStream:
    """A request whose answer is read line by line."""

    def __init__(self, path, target, method="GET", headers=(), body=""):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(15)
        self.socket.connect(path)
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", body]
        self.socket.sendall("\r\n".join(lines).encode())
        self.file = self.socket.makefile("r", newline="\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def line(self):
        return self.file.readline().rstrip("\r\n")

    def event(self):
        """The next whole event: {"id":…, "event":…, "data":…}."""
        event = {}
        while True:
            line = self.line()
            if line == "" and "data" in event:
                return event
            if found := re.match(r"(id|event|data): (.*)", line):
                event[found[1]] = found[2]


class Streams(Running):
    def events(self, count, headers=(), target="/v1/events"):
        with self.opened(target, headers) as stream:
            return [stream.event() for _ in range(count)]

    def opened(self, target="/v1/events", headers=()):
        """A stream whose first line has been read; those of earlier tests may have to be noticed first."""
        def tried():
            stream = UnixStream(self.socket, target, headers=headers)
            if "200" in stream.line():
                return stream
            stream.__exit__()
        return self.wait_until(tried)

    def test_resumes_after_the_last_id_without_a_gap_or_a_repetition(self):
        for _ in range(3):
            _, identity = self.peer()
            self.assertEqual(self.adieu("end", "--reset", identity).returncode, 1)
        first = self.events(4, target="/v1/events?after=0")
        for event in first:
            data = json.loads(event["data"])
            self.holds(data, DOCUMENT["components"]["schemas"]["Event"])
            self.assertEqual((str(data["number"]), data["kind"]), (event["id"], event["event"]))
        again = self.events(3, target="/v1/events?after=0", headers=[f"Last-Event-ID: {first[0]['id']}"])
        self.assertEqual(again, first[1:])
        numbers = [int(event["id"]) for event in first]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_what_comes_is_told_at_once(self):
        _, identity = self.peer()
        with self.opened() as stream:
            while stream.line():
                pass
            time.sleep(0.3)  # it has nothing to read but what comes now
            began = time.monotonic()
            self.assertEqual(self.ask(f"/v1/connections/{identity}/end", "POST", {"how": "reset"})[0], 200)
            kinds = set()
            while "end" not in kinds:
                event = stream.event()
                self.assertEqual(json.loads(event["data"])["id"], identity, event)
                kinds.add(event["event"])
            self.assertLess(time.monotonic() - began, 3)
            self.assertLessEqual({"verdict", "command", "receipt", "end"}, kinds)

    def test_streams_leave_room_for_requests(self):
        streams = [self.opened() for _ in range(16)]
        try:
            self.error(self.ask("/v1/events"), 503)
            self.assertEqual(self.ask("/v1/status")[0], 200)
        finally:
            for stream in streams:
                stream.__exit__()
        self.opened().__exit__()


class Rights(Running):
    def as_nobody(self, work):
        """Runs `work` as nobody in a child; its exit status."""
        child = os.fork()
        if child == 0:
            status = 99
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                status = work()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @unittest.skipIf(os.getuid() != 0, "SKIPPED: only root can become somebody who may not")
    def test_nobody_can_neither_read_nor_command(self):
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        _, identity = self.peer()
        parent = Path(self.run_dir).parent
        before = [(path, os.stat(path).st_mode & 0o777) for path in (parent, self.run_dir, self.socket)]

        def connect():
            try:
                self.ask("/v1/status")
            except PermissionError:
                return 7
            return 0
        def denied():
            for target, method in (("/v1/status", "GET"), (f"/v1/connections/{identity}/end", "POST"),
                                   ("/metrics", "GET")):
                if self.ask(target, method)[0] != 403:
                    return 1
            return 7
        try:
            self.assertEqual(self.as_nobody(connect), 7)  # the directory holds
            os.chmod(parent, 0o711)
            os.chmod(self.run_dir, 0o711)
            self.assertEqual(self.as_nobody(connect), 7)  # the socket's mode holds
            os.chmod(self.socket, 0o666)
            self.assertEqual(self.as_nobody(denied), 7)  # the peer's credentials hold
            done = self.adieu("end", identity, user=NOBODY, group=NOBODY, extra_groups=[])
            self.assertEqual(done.returncode, 2)
            self.assertIn("only root", done.stderr)
        finally:
            for path, mode in before:
                os.chmod(path, mode)
        self.assertEqual(self.ask(f"/v1/connections/{identity}")[2]["state"], "ESTABLISHED")

    def test_loopback_asks_for_the_token_each_time(self):
        _, identity = self.peer()
        end = f"/v1/connections/{identity}/end"
        for token in (None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
            for method, target in (("GET", "/v1/status"), ("GET", "/metrics"), ("GET", "/v1/events"), ("POST", end),
                                   ("GET", "/v1/openapi.yaml")):
                self.error(self.ask(target, method, token=token, loopback=True), 401, "token")
        self.error(self.ask("/v1/status", loopback=True, headers={"Authorization": f"Basic {TOKEN}"}), 401)
        self.assertEqual(self.ask(f"/v1/connections/{identity}")[2]["state"], "ESTABLISHED")
        self.assertEqual(self.ask("/v1/status", token=TOKEN, loopback=True)[0], 200)
        self.assertEqual(self.ask("/metrics", token=TOKEN, loopback=True)[0], 200)
        self.assertEqual(self.ask(end, "POST", {"how": "reset"}, token=TOKEN, loopback=True)[2]["done"], True)

    def test_a_port_that_is_taken_is_told_with_what_to_do(self):
        address = f"127.0.0.1:{PORT}"
        with tempfile.TemporaryDirectory() as directory:
            up = subprocess.Popen([ADIEU, "up", "--run-dir", directory + "/run", "--plane", "kernel", "--http", address,
                                   "--http-token-file", str(self.token_file)], text=True, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
            try:
                said = up.stderr.readline()
                self.assertIn(f"the API is not served at http://{address}", said)
                self.assertIn("another port for --http", said)
                self.wait_until(lambda: os.path.exists(directory + "/run/api.sock"))
            finally:
                up.terminate()
                self.assertEqual(up.communicate(timeout=15)[1], "")

    def test_a_token_or_an_address_that_protects_nobody_is_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            token = Path(directory) / "token"
            def up(address, mode=0o600, text=TOKEN, file=str(token)):
                token.write_text(text)
                token.chmod(mode)
                done = subprocess.run([ADIEU, "up", "--run-dir", directory + "/run", "--http", address,
                                       "--http-token-file", file], capture_output=True, text=True, timeout=20)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertRegex(done.stderr, r"\Aadieu: [^\n]+\n\Z")
                return done.stderr
            self.assertIn("loopback", up("10.0.0.1:80"))
            self.assertIn("loopback", up("0.0.0.0:80"))
            self.assertIn("loopback", up("[::]:80"))
            self.assertIn("port", up("127.0.0.1:0"))
            self.assertIn("--http", up("127.0.0.1"))
            self.assertIn("chmod 600", up("127.0.0.1:9078", 0o644))
            self.assertIn("chmod 600", up("127.0.0.1:9078", 0o640))
            self.assertIn("15 octets", up("127.0.0.1:9078", text=15 * "x" + "\n"))
            self.assertIn("one word", up("127.0.0.1:9078", text="two words and sixteen octets"))
            self.assertIn("No such file", up("127.0.0.1:9078", file=directory + "/none"))
            self.assertIn("belong together", subprocess.run(
                [ADIEU, "up", "--http", "127.0.0.1:9078"], capture_output=True, text=True, timeout=20).stderr)

    def test_who_says_nothing_holds_a_place_for_five_seconds(self):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertGreater(before[0], 100)
        idle = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(32)]
        try:
            def full():
                return self.ask("/v1/status", token=TOKEN, loopback=True)[0] == 503
            self.wait_until(full)
            self.assertEqual(self.ask("/v1/status")[0], 200)  # the socket's door is another one
            self.wait_until(lambda: not full())
        finally:
            for one in idle:
                one.close()

    def test_a_killed_control_plane_is_back_with_its_api(self):
        control = self.ask("/v1/status")[2]["control"]["pid"]
        os.kill(control, signal.SIGKILL)
        def back():
            try:
                return self.ask("/v1/status")[2]["control"]["pid"] != control
            except OSError:
                return False
        self.wait_until(back)
        self.wait_until(lambda: len(self.ask("/v1/status")[2]["planes"]) == 2)


class Metrics(Running):
    def samples(self):
        """[(name, {label: value}, number)], and {name: type}."""
        samples, types = [], {}
        for line in self.ask("/metrics")[2].splitlines():
            if found := re.match(r"# TYPE (\w+) (\w+)$", line):
                types[found[1]] = found[2]
            elif not line.startswith("#"):
                name, labels, number = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)', line).groups()
                samples.append((name, dict(re.findall(r'(\w+)="([^"]*)"', labels or "")), float(number)))
        return samples, types

    def test_counts_are_what_the_connections_are(self):
        _, identity = self.peer()
        def agrees():
            samples, _ = self.samples()
            rows = self.ask("/v1/connections?limit=1000&filter=plane%20engine%20and%20not%20standing%20ended")[2]
            counted = sum(n for name, labels, n in samples
                          if name == "adieu_connections" and labels["plane"] == "engine")
            return counted == len(rows["connections"]) >= 1
        self.wait_until(agrees)
        before = dict((labels["outcome"], n) for name, labels, n in self.samples()[0]
                      if name == "adieu_commands_total" and labels["plane"] == "engine")
        self.ask(f"/v1/connections/{identity}/end", "POST", {"how": "reset"})
        after = dict((labels["outcome"], n) for name, labels, n in self.samples()[0]
                     if name == "adieu_commands_total" and labels["plane"] == "engine")
        self.assertEqual(after["done"], before["done"] + 1)
        asked_for = [n for name, labels, n in self.samples()[0]
                     if name == "adieu_decisions_total" and labels["cause"] == "asked for"]
        self.assertGreaterEqual(sum(asked_for), 1)

    def test_no_label_tells_of_a_single_connection(self):
        peer, _ = self.peer()
        samples, _ = self.samples()
        labels = {label for _, labels, _ in samples for label in labels}
        self.assertLessEqual({"plane", "state", "standing", "le"}, labels)
        self.assertLessEqual(labels, {"plane", "state", "standing", "le", "ending", "rule", "reason", "outcome",
                                      "cause", "form", "version"})
        text = self.ask("/metrics")[2]
        for secret in (ENGINE, "10.77.0.1", str(peer.getsockname()[1])):
            self.assertNotIn(secret, text)

    def test_what_contrib_shows_and_alerts_on_exists(self):
        samples, types = self.samples()
        names = {name for name, _, _ in samples} | set(types)
        labels = {}
        for name, given, _ in samples:
            for label, value in given.items():
                labels.setdefault((name, label), set()).add(value)
        expressions = []
        for file in sorted((SOURCES / "contrib/grafana").glob("*.json")):
            board = json.loads(file.read_text())
            self.assertTrue(board["title"] and board["uid"], file)
            targets = [target for panel in board["panels"] for target in panel.get("targets", [])]
            self.assertGreaterEqual(len(targets), 3, file)
            expressions += [target["expr"] for target in targets]
        rules = yaml.safe_load((SOURCES / "contrib/prometheus/alerts.yaml").read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                self.assertLessEqual({"alert", "expr", "for", "labels", "annotations"}, set(rule), rule)
                expressions.append(rule["expr"])
        self.assertGreaterEqual(len(expressions), 10)
        for expression in expressions:
            used = re.findall(r"\b(adieu_\w+)(\{[^}]*\})?", expression)
            self.assertTrue(used or expression.startswith(("up{", "absent(up{")), expression)
            for name, selector in used:
                self.assertIn(name, names, expression)
                for label, operator, value in re.findall(r'(\w+)(=~|=|!=|!~)"([^"$]*)"', selector):
                    known = labels.get((name, label))
                    self.assertTrue(known, f"{name} has no label {label}: {expression}")
                    if operator == "=" and label not in ("plane", "rule", "cause"):
                        self.assertIn(value, known, expression)
            self.assertEqual(expression.count("("), expression.count(")"), expression)
        one = {"plane": "engine", "state": "CLOSE-WAIT"}
        ages = [labels["le"] for name, labels, _ in samples
                if name == "adieu_connections_by_age" and labels.items() >= one.items()]
        self.assertEqual(ages[-1], "+Inf")
        self.assertEqual(ages[:-1], sorted(ages[:-1], key=float))


if __name__ == "__main__":
    unittest.main()
