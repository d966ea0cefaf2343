"""Who may ask, how much is read, and that nothing that is asked ends the server."""

from __future__ import annotations

import http.client
import json
import logging
import random
import socket
import time
import zlib

import numpy as np
import pytest

from napari_sam2._version import __version__
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.remote import pieces, wire
from napari_sam2.remote.tokens import new_token
from napari_sam2.server.holdings import Limits
from tests.remote.serving import TOKEN, served

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Napari-Sam2": f"{wire.PROTOCOL} {__version__}"}
LEASE = "ab" * 16
SHAPE = (6, 5, 4)
VOXELS = np.arange(120, dtype="<i2").reshape(SHAPE)


@pytest.fixture(scope="module")
def server():
    with served({"classical": ClassicalModel()}, Limits(1 << 28, volume=1 << 20)) as running:
        yield running


def ask(server, method, path, body=b"", headers=None):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body, HEADERS if headers is None else headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def refused(answer):
    status, body = answer
    said = json.loads(body)
    assert said["error"].endswith((".", "?"))
    return status, said["code"]


def key_of(voxels, token=TOKEN):
    sent = pieces.voxels_for_wire(voxels)
    return pieces.key_of(token, pieces.layout_of(sent), sent.reshape(-1).view(np.uint8).data)


def declared(voxels, key=None, **changed):
    sent = pieces.voxels_for_wire(voxels)
    return json.dumps(
        {"key": key or key_of(voxels), "lease": LEASE, **pieces.layout_of(sent).as_json(), **changed}
    ).encode()


def uploaded(server, voxels=VOXELS):
    assert ask(server, "POST", "/v1/volumes", declared(voxels))[0] == 200
    flat = np.ascontiguousarray(voxels).reshape(-1).view(np.uint8).data
    status, body = ask(server, "PUT", f"/v1/volumes/{key_of(voxels)}/0", pieces.deflated(flat, voxels.dtype.itemsize))
    assert (status, json.loads(body)) == (200, {"left": 0})
    return key_of(voxels)


def engine_wanted(key, **changed):
    wanted = {
        "lease": LEASE, "volume": key, "spacing": [1, 1, 2.5], "orientation": "LPS", "axis": 2,
        "window": [0, 119], "model": {"name": "classical", "sha256": ""},
    }  # fmt: skip
    return json.dumps({**wanted, **changed}).encode()


@pytest.fixture(scope="module")
def engine(server):
    status, body = ask(server, "POST", "/v1/engines", engine_wanted(uploaded(server)))
    assert status == 200
    return json.loads(body)["engine"]


PLACES = [
    ("GET", "/v1/status"), ("POST", "/v1/volumes"), ("PUT", "/v1/volumes/x/0"), ("POST", "/v1/engines"),
    ("POST", "/v1/engines/x/predict"), ("POST", "/v1/engines/x/propagate"), ("POST", "/v1/engines/x/fit"),
    ("POST", f"/v1/leases/{LEASE}"), ("DELETE", f"/v1/leases/{LEASE}"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", f"Bearer {new_token()}", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"],
    ids=["none", "empty", "no token", "another", "basic", "longer", "not ascii"],
)
def test_nobody_without_the_token_gets_anywhere(server, method, path, header):
    headers = {**HEADERS, "Authorization": header} if header is not None else {"Napari-Sam2": "1 x"}
    assert refused(ask(server, method, path, b"{}", headers)) == (401, "token")


@pytest.mark.parametrize("version", ["", "2 9.9", "x"])
def test_a_client_of_another_protocol_is_told_both_versions(server, version):
    answer = ask(server, "GET", "/v1/status", headers={**HEADERS, "Napari-Sam2": version})
    assert refused(answer) == (400, "version")
    assert __version__ in json.loads(answer[1])["error"]


def test_the_status_tells_models_limits_and_load(server):
    status = json.loads(ask(server, "GET", "/v1/status")[1])
    assert (status["version"], status["protocol"]) == (__version__, wire.PROTOCOL)
    assert [model["name"] for model in status["models"]] == ["classical"]
    assert {"clients", "volumes", "volume_bytes", "feature_bytes", "clicks", "runs"} <= set(status["load"])


def test_an_unknown_place_is_answered_with_a_sentence(server):
    assert refused(ask(server, "GET", "/v1/else")) == (404, "place")
    assert refused(ask(server, "DELETE", "/v1/engines")) == (404, "place")


def test_a_body_that_is_too_long_is_refused_by_its_stated_length(server):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/v1/volumes")
    for name, value in {**HEADERS, "Content-Length": str(10**11)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    connection.close()


def test_a_body_without_a_length_is_refused(server):
    headers = {**HEADERS, "Transfer-Encoding": "chunked"}
    assert refused(ask(server, "POST", "/v1/volumes", iter([b"{}"]), headers)) == (411, "limit")


def test_a_volume_beyond_the_limit_is_refused_before_room_is_made(server):
    answer = ask(server, "POST", "/v1/volumes", declared(VOXELS, shape=[65536, 65536, 4]))
    assert refused(answer) == (413, "limit")


def test_pieces_that_are_not_what_was_announced_are_refused(server):
    other = VOXELS + 1
    key = key_of(other)
    assert ask(server, "POST", "/v1/volumes", declared(other))[0] == 200
    right = pieces.deflated(other.reshape(-1).view(np.uint8).data, 2)
    for number, body in (("1", right), ("0", right[:-4]), ("0", zlib.compress(b"x")), ("-1", right), ("a", right)):
        assert refused(ask(server, "PUT", f"/v1/volumes/{key}/{number}", body)) == (422, "input")
    wrong = pieces.deflated(VOXELS.reshape(-1).view(np.uint8).data, 2)
    assert refused(ask(server, "PUT", f"/v1/volumes/{key}/0", wrong)) == (422, "volume")
    assert refused(ask(server, "PUT", f"/v1/volumes/{key}/0", right)) == (404, "volume")


def test_volume_and_engine_of_another_token_are_not_found():
    other = new_token()
    theirs = {**HEADERS, "Authorization": f"Bearer {other}"}
    with served({"classical": ClassicalModel()}, tokens=(TOKEN, other)) as server:
        key = uploaded(server)
        engine = json.loads(ask(server, "POST", "/v1/engines", engine_wanted(key))[1])["engine"]
        assert refused(ask(server, "POST", f"/v1/engines/{engine}/predict", b"", theirs)) == (404, "engine")
        wanted = engine_wanted(key, lease="cd" * 16)
        assert refused(ask(server, "POST", "/v1/engines", wanted, theirs)) == (404, "volume")
        assert ask(server, "DELETE", f"/v1/leases/{LEASE}", b"", theirs)[0] == 200
        assert len(server.holdings._leases) == 2, "another token ends nobody's lease"


@pytest.mark.parametrize(
    "changed",
    [
        {"axis": 3}, {"axis": True}, {"spacing": [1, 1]}, {"spacing": [1, 1, -1]}, {"spacing": [1, 1, 1e300]},
        {"window": [5, 5]}, {"window": [5, "9"]}, {"orientation": "LLS"}, {"orientation": "lps"}, {"lease": "x"},
        {"volume": 5}, {"model": {"name": "classical", "sha256": "x"}}, {"model": {"name": "../x", "sha256": ""}},
    ],
)  # fmt: skip
def test_an_engine_that_cannot_be_meant_is_refused(server, engine, changed):
    answer = ask(server, "POST", "/v1/engines", engine_wanted(key_of(VOXELS), **changed))
    assert refused(answer) == (422, "input")


def click(**changed):
    prompts = {"points": [[2, 2]], "positive": [True], "box": None, "mask": None}
    return wire.packed({"key": 1, "index": 1, "prompts": prompts, "previous": None, "others": [], **changed})


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"index": 4}, (422, "input")),
        ({"index": -1}, (422, "input")),
        ({"prompts": {"points": [[6, 2]], "positive": [True]}}, (422, "input")),
        ({"others": [77]}, (409, "anchor")),
        ({"previous": {"anchor": 77}}, (409, "anchor")),
        ({"previous": {"mask": 5}}, (422, "input")),
        ({"key": 2**60}, (422, "input")),
    ],
)
def test_a_click_that_cannot_be_meant_is_refused_before_the_model(server, engine, changed, answer):
    assert ask(server, "POST", f"/v1/engines/{engine}/predict", click())[0] == 200
    assert refused(ask(server, "POST", f"/v1/engines/{engine}/predict", click(**changed))) == answer


def mutated(rng, body):
    """Bytes changed, cut, doubled or put in."""
    kind, at = rng.randrange(4), rng.randrange(len(body) + 1)
    if kind == 0:
        return body[:at]
    if kind == 1:
        return body[:at] + rng.randbytes(rng.randrange(1, 9)) + body[at:]
    if kind == 2:
        return body + body[:at]
    return body[:at] + rng.randbytes(1) + body[at + 1 :]


def test_fuzzed_requests_are_answered_with_a_sentence_and_end_nothing(server, engine, caplog):
    rng = random.Random(0)
    run = {"objects": [[1, [1]]], "slices": None, "direction": "both", "known": [], "plan": None, "skip": 0}
    bodies = [
        ("POST", "/v1/volumes", declared(VOXELS)), ("PUT", f"/v1/volumes/{key_of(VOXELS)}/0", b"xyz"),
        ("POST", "/v1/engines", engine_wanted(key_of(VOXELS))),
        ("POST", f"/v1/engines/{engine}/predict", click()),
        ("POST", f"/v1/engines/{engine}/propagate", wire.packed(run)),
        ("POST", f"/v1/leases/{LEASE}", b'{"forget": []}'),
    ]  # fmt: skip
    with caplog.at_level(logging.INFO):
        for _ in range(150):
            method, path, body = rng.choice(bodies)
            status, answer = ask(server, method, path, mutated(rng, body))
            if status >= 400:
                assert status < 500, (path, status, answer)
                assert json.loads(answer)["error"]
    assert ask(server, "GET", "/v1/status")[0] == 200
    assert "failed with" not in caplog.text


def test_what_is_no_http_is_answered_and_ends_nothing(server):
    host, port = server.url.removeprefix("http://").split(":")
    for noise in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"A" * 100_000):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(noise)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(1000)
            assert not answer or b" 4" in answer[:20]
    assert ask(server, "GET", "/v1/status")[0] == 200


def test_closing_the_connection_stops_a_run(server, engine):
    assert ask(server, "POST", f"/v1/engines/{engine}/predict", click())[0] == 200
    run = {"objects": [[1, [1]]], "slices": None, "direction": "both", "known": [], "plan": None, "skip": 0}
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    connection.request("POST", f"/v1/engines/{engine}/propagate", wire.packed(run), HEADERS)
    connection.getresponse().read(4)
    connection.close()
    until = time.monotonic() + 20
    while server.turns.waiting[1] and time.monotonic() < until:
        time.sleep(0.05)
    assert server.turns.waiting == (0, 0)
