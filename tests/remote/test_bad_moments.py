"""What may happen between a laptop and its server: each is a sentence or a pause, and no work is lost."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, Point
from napari_sam2.core.volume import Volume
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.remote.model import connect, connect_with
from napari_sam2.remote.tokens import new_token, read_tokens, write_token
from napari_sam2.server import streaming
from napari_sam2.server.holdings import Limits
from napari_sam2.server.run import ModelServer, Place
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on
from tests.remote.serving import TOKEN, ServerProcess, remote, served

VOLUME, INSIDE = ball(shape=(24, 22, 16), centre=(12, 11, 8), radii=(7, 6, 5))
BOX = box_on(INSIDE, 2, 8)


@pytest.fixture(scope="module")
def model():
    return ClassicalModel()


@pytest.fixture(scope="module")
def expected(model):
    session = Session(VOLUME, model)
    session.add_prompt(1, BOX)
    list(session.propagate())
    return session.label_map()


def test_a_server_killed_in_mid_run_and_restarted_is_a_pause(tmp_path, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    server = ServerProcess(tmp_path, 0, "--models", "classical")
    try:
        notes = []
        elsewhere = connect(server.url, server.token_file, "", say=notes.append)
        session = Session(VOLUME, elsewhere)
        session.add_prompt(1, BOX)
        for n_results, _ in enumerate(session.propagate(), start=1):
            if n_results == 2:
                server.kill()
                threading.Thread(target=server.restart).start()
        assert np.array_equal(session.label_map(), expected)
        assert ["is away" in notes[0], "is back" in notes[-1]] == [True, True]
        elsewhere.close()
    finally:
        server.close()


def test_a_click_without_a_server_leaves_the_session_as_it_was_and_can_be_given_again(model, expected):
    with served({"classical": model}) as server:
        elsewhere = connect_with(server.url, TOKEN, "", patience=0.5)
        session = Session(VOLUME, elsewhere)
        session.add_prompt(1, BOX)
        port = int(server.url.rsplit(":", 1)[1])
    before = session.snapshot()
    with pytest.raises(EnvironmentLacksError, match=r"does not answer .* Your work is kept"):
        session.add_prompt(1, Point((12, 11, 8)))
    with pytest.raises(EnvironmentLacksError, match="Your work is kept"):
        list(session.propagate())
    after = session.snapshot()
    assert after.objects[1].prompts == before.objects[1].prompts
    assert after.undo == before.undo
    with served({"classical": model}, port=port):
        list(session.propagate())
    assert np.array_equal(session.label_map(), expected)


def test_a_run_that_is_stopped_while_the_server_is_away_ends_at_once(model):
    with served({"classical": model}) as server:
        session = Session(VOLUME, connect_with(server.url, TOKEN, ""))
        session.add_prompt(1, BOX)
    asked = []
    assert list(session.propagate(should_stop=lambda: asked.append(1) or len(asked) > 20)) == []


@pytest.mark.parametrize("limits", [{"silent": 0.5}, {"idle": 0.5}], ids=["asleep", "idle"])
def test_a_lease_that_has_lapsed_is_begun_again_unasked(model, expected, limits):
    with served({"classical": model}, Limits(1 << 28, **limits)) as server, remote(server, "") as elsewhere:
        session = Session(VOLUME, elsewhere)
        session.add_prompt(1, BOX)
        time.sleep(0.6)
        assert server.holdings.load()["clients"] == 0
        list(session.propagate())
        assert np.array_equal(session.label_map(), expected)


def test_two_clients_with_one_token_share_a_scan_and_nothing_else(model, expected):
    with served({"classical": model}) as server, remote(server, "") as first, remote(server, "") as second:
        sessions = [Session(VOLUME, first), Session(VOLUME, second)]
        sessions[0].add_prompt(1, BOX)
        sessions[1].add_prompt(1, Box(((2, 2, 8), (6, 6, 8))))
        sessions[1].add_prompt(2, BOX)
        assert server.holdings.load() == {**server.holdings.load(), "clients": 2, "volumes": 1}
        second.close()
        list(sessions[0].propagate())
        assert np.array_equal(sessions[0].label_map(), expected)


class Cutting:
    """Passes bytes on and cuts every connection after so many."""

    def __init__(self, server, after):
        self._port, self._after, self.cuts = int(server.url.rsplit(":", 1)[1]), after, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source, target, counts):
        left = self._after
        try:
            while piece := source.recv(1 << 14):
                if counts and (left := left - len(piece)) < 0:
                    self.cuts += 1
                    break
                target.sendall(piece)
        except OSError:
            pass
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self):
        self._listening.close()


def test_an_upload_that_is_cut_again_and_again_comes_through_piece_by_piece(model):
    noise = np.random.default_rng(0).integers(0, 1 << 15, (256, 256, 160), np.int16)
    with served({"classical": model}, Limits(1 << 28)) as server:
        line = Cutting(server, 5_500_000)
        elsewhere = connect_with(line.url, TOKEN, "")
        session = Session(Volume(noise, np.eye(4)), elsewhere)
        session.add_prompt(1, Box(((20, 20, 80), (30, 30, 80))))
        held = next(iter(server.holdings._volumes.values()))
        assert np.array_equal(held.voxels, noise)
        assert line.cuts >= 2
        elsewhere.close()
        line.close()


def test_a_full_server_says_so_and_takes_the_scan_when_there_is_room(model):
    size = VOLUME.voxels.nbytes
    limits = Limits(int(1.5 * size), settled=0.5)
    with served({"classical": model}, limits) as server, remote(server, "") as first, remote(server, "") as second:
        notes = []
        second.lease.say = notes.append
        sessions = [Session(VOLUME, first), Session(Volume(VOLUME.voxels + 1, VOLUME.affine), second)]
        sessions[0].add_prompt(1, BOX)
        sessions[1].add_prompt(1, BOX)
        assert any("memory" in note for note in notes)
        assert server.holdings.load()["volumes"] == 1
        list(sessions[0].propagate())
        assert server.holdings.volume_bytes <= 1.5 * size


def reply(handler, status, kind, body):
    """Answer a request."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def answering(status, body, kind="text/html"):
    """A server of another program, or a proxy."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            reply(self, status, kind, body)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>hello", r"does not answer .a web page comes instead"),
        (404, b"<html>not here", "is no server of napari-sam2"),
        (200, b"hello", "is no server of napari-sam2"),
        (504, b"<html>Gateway Time-out", "does not answer"),
        (302, b"<html>Moved", r"does not answer .a proxy answers 302 and points to another address"),
        (
            200,
            json.dumps({"protocol": 99, "version": "9.9", "models": []}).encode(),
            "speaks protocol 99 .napari-sam2 9.9",
        ),
    ],
)
def test_what_is_no_server_of_ours_or_a_proxy_without_one_is_told(status, body, said):
    kind = "text/html" if body.startswith(b"<") else "application/json"
    with answering(status, body, kind) as url, pytest.raises(EnvironmentLacksError, match=said):
        connect_with(url, TOKEN, "")


def test_nobody_there_a_wrong_token_and_no_such_model_are_one_sentence_each(model):
    with pytest.raises(EnvironmentLacksError, match=r"does not answer .nothing listens there."):
        connect_with("http://127.0.0.1:1", TOKEN, "")
    with served({"classical": model}) as server:
        with pytest.raises(EnvironmentLacksError, match="does not know this token"):
            connect_with(server.url, new_token(), "")
        with pytest.raises(EnvironmentLacksError, match="has no model 'sam9'; it has classical"):
            connect_with(server.url, TOKEN, "sam9")
    with pytest.raises(UserInputError, match="no address of a server"):
        connect_with("gpu:8765", TOKEN, "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "ftp://gpu:8765",
        "http://gpu:99999",
        "http://gpu:0",
        "http://gpu:port",
        "http://gpu:8765/path",
        "http://gpu:8765/?query",
        "http://gpu:8765/#part",
        "http://my gpu:8765",
        "http://.gpu:8765",
        f"http://{'a' * 70}:8765",
        "http://[::1:8765",
        "http://::1:8765",
    ],
)
def test_what_is_no_address_is_told_before_anybody_is_asked(url):
    with pytest.raises(UserInputError, match=r"is no address of a server; give http://host:8765"):
        connect_with(url, TOKEN, "")


@pytest.mark.parametrize("url", ["http://me:secret@gpu:8765", "http://me:secret@gpu:port", "https://me@gpu"])
def test_user_and_password_in_an_address_are_refused_and_not_repeated(url):
    with pytest.raises(UserInputError) as refused:
        connect_with(url, TOKEN, "")
    assert "secret" not in str(refused.value)
    assert "me@" not in str(refused.value)


def test_an_ipv6_address_is_asked_and_named_in_brackets(model):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = ModelServer(Place("::1", 0), {"classical": model}, (TOKEN,), Limits(1 << 28))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        elsewhere = connect_with(server.url, TOKEN, "")
        assert elsewhere.lease.connection.name == server.url.removeprefix("http://")
        elsewhere.close()
    finally:
        server.stop()
        thread.join()
    with pytest.raises(EnvironmentLacksError, match=r"The server \[::1\]:\d+ does not answer"):
        connect_with(server.url, TOKEN, "")


class WebPages:
    """Passes requests on to a server, but for some, which it answers with a web page of its own."""

    def __init__(self, server):
        self.wanted, self.given = 0, 0
        near = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def any_verb(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if near.wanted:
                    near.wanted -= 1
                    near.given += 1
                    reply(self, 200, "text/html; charset=utf-8", b"<html>Maintenance")
                    return
                far = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"))
                far.request(self.command, self.path, body, dict(self.headers))
                response = far.getresponse()
                reply(self, response.status, response.headers["Content-Type"], response.read())
                far.close()

            def log_message(self, *_):
                pass

        for verb in ("GET", "POST", "PUT", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler.any_verb)
        self._running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._running.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._running.server_address[1]}"

    def close(self):
        self._running.shutdown()
        self._running.server_close()
        self._thread.join()


def test_a_web_page_of_a_proxy_instead_of_an_answer_is_a_pause(model, expected):
    with served({"classical": model}) as server:
        proxy = WebPages(server)
        try:
            notes = []
            elsewhere = connect_with(proxy.url, TOKEN, "", say=notes.append)
            session = Session(VOLUME, elsewhere)
            for work in (lambda: session.add_prompt(1, BOX), lambda: list(session.propagate())):
                proxy.wanted = 2
                work()
            assert np.array_equal(session.label_map(), expected)
            assert proxy.given == 4
            assert sum("a web page comes instead" in note for note in notes) == 2
            elsewhere.close()
        finally:
            proxy.close()


def test_proxy_settings_do_not_catch_what_goes_to_the_server(model, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with served({"classical": model}) as server, remote(server, "") as elsewhere:
        assert elsewhere.card.name == "classical"


def test_an_encrypted_address_of_a_plain_server_is_told_with_the_remedy(model):
    with (
        served({"classical": model}) as server,
        pytest.raises(EnvironmentLacksError, match=r"does not speak https; give its address with http://"),
    ):
        connect_with(server.url.replace("http://", "https://"), TOKEN, "")


def test_a_folder_in_place_of_a_token_file_is_told(tmp_path):
    with pytest.raises(UserInputError, match="is a folder; give the file"):
        read_tokens(tmp_path)


def test_a_token_file_is_for_its_owner_alone(tmp_path):
    write_token(tmp_path / "token")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert len(read_tokens(tmp_path / "token")[0]) >= 43
    with pytest.raises(FileExistsError):
        write_token(tmp_path / "token")
    (tmp_path / "token").chmod(0o640)
    with pytest.raises(UserInputError, match="chmod 600 token"):
        read_tokens(tmp_path / "token")
    for text in ("", "short", "x" * 40 + "\nsecret pass"):
        (tmp_path / "token").write_text(text)
        (tmp_path / "token").chmod(0o600)
        with pytest.raises(UserInputError, match="holds no token"):
            read_tokens(tmp_path / "token")


def test_a_silent_stream_is_kept_alive_and_a_slow_reader_holds_nobody_up(model, monkeypatch):
    monkeypatch.setattr(streaming, "ALIVE_SECONDS", 0.05)
    with served({"classical": model}) as server, remote(server, "") as elsewhere:
        session = Session(VOLUME, elsewhere)
        session.add_prompt(1, BOX)
        gate = threading.Event()
        run = session.propagate()
        next(run)
        server.turns.click("other", lambda: gate.wait(1))
        started = time.monotonic()
        list(run)
        gate.set()
        assert time.monotonic() - started < 20
