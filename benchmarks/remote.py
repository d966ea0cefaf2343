"""The model on another machine: what it costs, and what becomes of work when something breaks.

    python benchmarks/remote.py same|kill|delay|four|fuzz|thin [--trials N]

same: label maps and scores against the model on this machine, and a local replay of the remote session;
    [--models bundled,classical,tiny] [--size 512].
kill: SIGKILL of the server at random moments of a run, and its restart: what is lost, what differs.
delay: a click's time over that of the same click here, with delay on the line; bytes of a 512 x 512 x 300 CT.
four: three clients run with eight objects each, a fourth one clicks: what a click waits beyond the step under way;
    what the server holds.
fuzz: damaged requests: every answer, and whether anything of a scan is on the disk or in the log.
thin: importing the client, and a session with it, where there is neither torch nor transformers.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from napari_sam2 import read_volume
from napari_sam2._version import __version__
from napari_sam2.core.prompts import Box, Point
from napari_sam2.core.volume import Volume
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.models import load_model
from napari_sam2.models.base import ModelCard
from napari_sam2.models.sam2.adapter import Sam2Model
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.remote import pieces, wire
from napari_sam2.remote.model import connect
from napari_sam2.remote.tokens import read_tokens
from napari_sam2.sample_data import sample
from napari_sam2.session.session import Session

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.remote.serving import ServerProcess, remote, served

SPLEEN = Box(((76, 32, 79), (93, 54, 79)))
KIDNEY = Box(((27, 28, 93), (44, 45, 93)))
SLICES = range(66, 100)
PLAN = FitPlan(steps=10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["same", "kill", "delay", "four", "fuzz", "thin"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--models", default="bundled,classical,tiny", help="for same")
    parser.add_argument("--size", type=int, default=512, help="for same: view of SAM 2 tiny, in pixels")
    given = parser.parse_args()
    if given.what == "same":
        same(given.models.split(","), given.size)
        return
    {"kill": kill, "delay": delay, "four": four, "fuzz": fuzz, "thin": thin}[given.what](given.trials)


def sam2_tiny(size: int):
    """SAM 2 tiny's architecture with random weights."""
    import torch
    from transformers import Sam2VideoConfig, Sam2VideoModel

    from napari_sam2.models.sam2.sizing import resize_config

    config = Sam2VideoConfig(
        enable_occlusion_spatial_embedding=True, enable_temporal_pos_encoding_for_object_pointers=True
    )
    resize_config(config, size)
    torch.manual_seed(0)
    network = Sam2VideoModel(config).eval()
    network.shared_image_embedding = network.prompt_encoder.shared_embedding
    return Sam2Model(network, ModelCard("random-tiny", "sam2"))


def worked(session: Session, n_objects: int, slices: range = SLICES) -> Session:
    """Boxes, a run, then for every object a click on a carried slice and a box on another slice."""
    ct_boxes = [(76, 32, 79, 93, 54), (27, 28, 93, 44, 45), (34, 51, 97, 48, 74), (44, 36, 86, 76, 70)]
    for number in range(n_objects):
        i, j, k, i1, j1 = ct_boxes[number % 4]
        shift = number // 4 * 3
        session.add_prompt(number + 1, Box(((i + shift, j, k - shift), (i1 + shift, j1, k - shift))))
    list(session.propagate(slices=slices))
    for object_id, obj in list(session.objects.items()):
        carried = [index for index, found in obj.results.items() if found.mask.n_voxels and not found.prompted]
        if carried:
            index = carried[len(carried) // 2]
            row, col = obj.results[index].mask.row, obj.results[index].mask.col
            i, j, k = session.volume.plane(2).to_voxel(np.array([row, col]), index)
            session.add_prompt(object_id, Point((float(i), float(j), float(k))))
            list(session.spread(object_id, index, slices=slices))
    session.add_prompt(1, Box(((78, 34, 76), (90, 50, 76))))
    list(session.spread(1, 76, slices=slices))
    return session


def same(names: list[str], size: int) -> None:
    volume = read_volume(sample("ct_abdomen")[0])
    models = {name: sam2_tiny(size) if name == "tiny" else load_model(name) for name in names}
    with served(models) as server, tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            # A slice of the transformer takes seconds of a processor.
            slices = range(90, 95) if name == "tiny" else SLICES
            for n_objects in (1, 10):
                place = Path(folder) / f"{name}{n_objects}.sam2session"
                with remote(server, name) as elsewhere:
                    session = Session(volume, elsewhere, fit=PLAN)
                    journal = Journal(session, place)
                    there = worked(session, n_objects, slices)
                    journal.close()
                here = worked(Session(volume, model, fit=PLAN), n_objects, slices)
                equal = np.array_equal(there.label_map(), here.label_map())
                scores = all(repr(scores_of(there, i)) == repr(scores_of(here, i)) for i in here.objects)
                again = replay(volume, model, place).identical
                print(
                    f"{name}, {n_objects} objects: label maps equal {equal} ({np.count_nonzero(here.label_map())} "
                    f"voxels), scores equal {scores}, local replay identical {again}",
                    flush=True,
                )


def scores_of(session, object_id):
    return [(i, found.scores) for i, found in sorted(session.objects[object_id].results.items())]


def kill(trials: int | None) -> None:
    volume, model = read_volume(sample("ct_abdomen")[0]), load_model("bundled")
    plan, slices = FitPlan(steps=3), range(74, 88)
    here = Session(volume, model, fit=plan)
    here.add_prompt(1, SPLEEN)
    n_results = sum(1 for _ in here.propagate(slices=slices))
    here.add_prompt(1, Box(((78, 34, 76), (90, 50, 76))))
    list(here.spread(1, 76, slices=slices))
    wanted = [mask for o in here.objects.values() for _, mask in sorted(masks_of(o).items())]
    rng, lost, differ, waits = random.Random(3), 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder))
        for trial in range(trials or 20):
            at, seen, notes = rng.randrange(1, n_results), 0, []
            elsewhere = connect(server.url, server.token_file, "bundled", say=notes.append)
            session = Session(volume, elsewhere, fit=plan)
            session.add_prompt(1, SPLEEN)
            n_prompts, restarting = sum(len(o.prompts) for o in session.objects.values()), None
            for _ in session.propagate(slices=slices):
                seen += 1
                if seen == at:
                    killed = time.perf_counter()
                    server.kill()
                    pause = rng.uniform(0, 2)
                    restarting = threading.Thread(target=lambda s=pause: (time.sleep(s), server.restart()))
                    restarting.start()
                elif seen == at + 1 and restarting is not None:
                    waits.append(time.perf_counter() - killed)
            if restarting is not None:
                restarting.join()
            session.add_prompt(1, Box(((78, 34, 76), (90, 50, 76))))
            list(session.spread(1, 76, slices=slices))
            elsewhere.close()
            found = [mask for o in session.objects.values() for _, mask in sorted(masks_of(o).items())]
            kept = n_prompts == 1 and seen == n_results
            equal = len(found) == len(wanted) and all(a.same_as(b) for a, b in zip(found, wanted, strict=True))
            lost += not kept
            differ += not (equal and np.array_equal(session.label_map(), here.label_map()))
            print(
                f"trial {trial + 1}: killed after {at} of {n_results} results, all came {kept}, equal {equal}",
                flush=True,
            )
        server.close()
    print(f"results or prompts lost in {lost}, masks different in {differ} of {trials or 20} trials")
    if waits:
        print(f"from SIGKILL to the next result, restart included: {spread(waits)} s")


def masks_of(obj):
    return {index: found.mask for index, found in obj.results.items()}


def spread(values, digits=1):
    ordered = sorted(values)
    return f"median {statistics.median(ordered):.{digits}f}, 95th {ordered[int(0.95 * (len(ordered) - 1))]:.{digits}f}"


class DelayedLine:
    """A TCP relay that holds everything for a while in each direction, without narrowing the way."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port, self._seconds = port, seconds
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self._listening.accept()
            far = socket.create_connection(("127.0.0.1", self._port))
            for a, b in ((near, far), (far, near)):
                for sock in (a, b):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source, target):
        import queue

        waiting = queue.SimpleQueue()

        def send():
            while True:
                due, piece = waiting.get()
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    if not piece:
                        target.shutdown(socket.SHUT_WR)
                        return
                    target.sendall(piece)
                except OSError:
                    return

        threading.Thread(target=send, daemon=True).start()
        while True:
            try:
                piece = source.recv(1 << 16)
            except OSError:
                piece = b""
            waiting.put((time.monotonic() + self._seconds, piece))
            if not piece:
                return


def ct(shape=(512, 512, 300)):
    """The bundled CT, enlarged to the size of a clinical one, with noise of 8 HU."""
    small = read_volume(sample("ct_abdomen")[0]).voxels
    index = [np.minimum(np.arange(n) * s // n, s - 1) for n, s in zip(shape, small.shape, strict=True)]
    large = small[np.ix_(*index)].astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 8, (*shape[:2], 16)).astype(np.int16)
    for k in range(shape[2]):
        large[:, :, k] += noise[:, :, k % 16]
    return Volume(large, np.diag([0.75, 0.75, 1.12, 1]))


def delay(trials: int | None) -> None:
    volume, model = ct(), load_model("bundled")
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder))
        for added in (0.0, 0.02, 0.1):
            line = DelayedLine(server.port, added / 2)
            url = f"http://127.0.0.1:{line.port}" if added else server.url
            elsewhere = connect(url, server.token_file, "bundled")
            here, there = Session(volume, model, fit=None), Session(volume, elsewhere, fit=None)
            box = Box(((330, 170, 212), (395, 270, 212)))
            started = time.perf_counter()
            there.add_prompt(1, box)
            first = time.perf_counter() - started
            here.add_prompt(1, box)
            extra, plain = [], []
            over = overheads(elsewhere, there.engine(2))
            rng = random.Random(1)
            for _ in range(trials or 40):
                click = Point((rng.uniform(335, 390), rng.uniform(180, 260), 212), positive=rng.random() < 0.7)
                times = []
                for session in (here, there):
                    started = time.perf_counter()
                    session.add_prompt(1, click)
                    times.append(time.perf_counter() - started)
                plain.append(times[0] * 1000)
                extra.append((times[1] - times[0]) * 1000)
            print(
                f"delay {added * 1000:.0f} ms, load {os.getloadavg()[0]:.1f}: a click elsewhere beside the model's own "
                f"time {spread(over)}, most {max(over):.1f} ms; click here {spread(plain)} ms, elsewhere longer by "
                f"{spread(extra)}; "
                f"first click with the scan's upload {first:.1f} s, {elsewhere.sent_bytes / 1e6:.1f} MB up "
                f"of {volume.voxels.nbytes / 1e6:.0f} MB",
                flush=True,
            )
            if not added:
                received = run_and_count(server, volume, box)
                print(f"a run through the scan: {received / 1e3:.0f} kB down", flush=True)
            elsewhere.close()
        server.close()


def overheads(elsewhere, engine):
    """Milliseconds of every click from now on beside those in which the server's model worked; a list that grows."""
    took, over = [], []
    ask, predict = elsewhere.lease.connection.ask, engine.predict

    def noted(*given, **named):
        answer = ask(*given, **named)
        if given[1].endswith("/predict"):
            took.append(wire.unpacked(answer, finite=False).header["took"])
        return answer

    def timed(*given, **named):
        started = time.perf_counter()
        anchor = predict(*given, **named)
        over.append((time.perf_counter() - started - took.pop()) * 1000)
        return anchor

    elsewhere.lease.connection.ask, engine.predict = noted, timed
    return over


def run_and_count(server, volume, box):
    """Bytes that a run brings down, as a relay without delay counts them."""
    count = [0]

    class Counting(DelayedLine):
        def _pump(self, source, target):
            down = source.getpeername()[1] == server.port
            while True:
                try:
                    piece = source.recv(1 << 16)
                    if not piece:
                        target.shutdown(socket.SHUT_WR)
                        return
                    target.sendall(piece)
                except OSError:
                    return
                count[0] += len(piece) * down

    elsewhere = connect(f"http://127.0.0.1:{Counting(server.port, 0).port}", server.token_file, "bundled")
    session = Session(volume, elsewhere, fit=None)
    session.add_prompt(1, box)
    before = count[0]
    n_slices = sum(1 for _ in session.propagate())
    print(f"{n_slices} slices; ", end="")
    elsewhere.close()
    return count[0] - before


def four(trials: int | None) -> None:
    volume = read_volume(sample("ct_abdomen")[0])
    limit = 4 * volume.voxels.nbytes + (40 << 20)
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder), 0, "--memory", str(limit / 1e9))
        process, stopping = psutil.Process(server.process.pid), threading.Event()
        held, resident, faults = [], [], []

        def runs(number: int) -> None:
            own = Volume(volume.voxels + number, volume.affine)
            elsewhere = connect(server.url, server.token_file, "bundled")
            session = Session(own, elsewhere, fit=None)
            for object_id in range(1, 9):
                session.add_prompt(object_id, shifted((SPLEEN, KIDNEY)[object_id % 2], object_id))
            try:
                while not stopping.is_set():
                    list(session.propagate(should_stop=stopping.is_set))
            except Exception as error:
                faults.append(error)
            elsewhere.close()

        others = [threading.Thread(target=runs, args=(number,)) for number in range(3)]
        for thread in others:
            thread.start()
        elsewhere = connect(server.url, server.token_file, "bundled")
        session = Session(Volume(volume.voxels + 9, volume.affine), elsewhere, fit=None)
        session.add_prompt(1, SPLEEN)
        waits, steps, beyond = [], [], []
        ask = elsewhere.lease.connection.ask

        def noted(*given, **named):
            answer = ask(*given, **named)
            if given[1].endswith("/predict"):
                header = wire.unpacked(answer, finite=False).header
                waits.append(header["waited"] * 1000)
                steps.append(header["step"] * 1000)
                beyond.append(max(0.0, waits[-1] - steps[-1]))
            return answer

        elsewhere.lease.connection.ask = noted
        rng = random.Random(2)
        for _ in range(trials or 60):
            session.add_prompt(1, Point((rng.uniform(80, 90), rng.uniform(36, 50), 79)))
            load = json.loads(ask("GET", "/v1/status"))["load"]
            held.append(load["volume_bytes"] + load["feature_bytes"] + load["answer_bytes"])
            resident.append(process.memory_info().rss)
            time.sleep(rng.uniform(0.05, 0.25))
        stopping.set()
        for thread in others:
            thread.join()
        elsewhere.close()
        server.close()
    print(
        f"clicks {len(waits)}, three runs beside: waited {spread(waits)}, longest {max(waits):.1f} ms; "
        f"{faults or 'no fault'}"
    )
    print(
        f"step of a run: {spread(steps)} ms; waited beyond the step under way: {spread(beyond)}, "
        f"most {max(beyond):.1f} ms"
    )
    print(
        f"held {max(held) / 1e6:.1f} of {limit / 1e6:.1f} MB allowed; process {min(resident) / 1e6:.0f} to "
        f"{max(resident) / 1e6:.0f} MB"
    )


def shifted(box: Box, slices: int) -> Box:
    """The same box some slices lower."""
    first, second = ((i, j, k - slices) for i, j, k in box.corners)
    return Box((first, second))


CANARY = b"CANARYVOXELS-9f31"


def fuzz(trials: int | None) -> None:
    n_requests = trials or 2000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ.update(HOME=folder, TMPDIR=folder, XDG_CACHE_HOME=folder)
        before = time.time()
        server = ServerProcess(home, 0, "--models", "classical")
        (token,) = read_tokens(server.token_file)
        headers = {"Authorization": f"Bearer {token}", "Napari-Sam2": f"{wire.PROTOCOL} {__version__}"}
        voxels = np.frombuffer((CANARY * 2000)[: 24 * 30 * 40], np.uint8).reshape(24, 30, 40)
        elsewhere = connect(server.url, server.token_file, "classical")
        session = Session(Volume(voxels, np.eye(4)), elsewhere)
        session.add_prompt(1, Box(((5, 5, 20), (15, 20, 20))))
        list(session.propagate())
        engine = session.engine(2)._id
        flat, layout = voxels.reshape(-1).data, pieces.layout_of(voxels)
        key, lease = pieces.key_of(token, layout, flat), elsewhere.lease.id
        prompts = {"points": [[2, 2]], "positive": [True], "box": [0.5, 0.5, 9.5, 9.5], "mask": None}
        click = {"key": 1, "index": 1, "prompts": prompts, "previous": None, "others": []}
        run = {"objects": [[1, [1]]], "slices": [0, 5], "direction": "both", "known": [], "plan": [2, 0], "skip": 0}
        wanted = {"lease": lease, "volume": key, "spacing": [1, 1, 1], "orientation": "RAS", "axis": 2,
                  "window": [0, 9], "model": {"name": "classical", "sha256": ""}}  # fmt: skip

        def engine_bodies(engine):
            return [
                ("POST", f"/v1/engines/{engine}/predict", wire.packed(click)),
                ("POST", f"/v1/engines/{engine}/propagate", wire.packed(run)),
                ("POST", f"/v1/engines/{engine}/fit", wire.packed({"lessons": [], "plan": [1, 0]})),
            ]

        bodies = [
            ("POST", "/v1/volumes", json.dumps({"key": key, "lease": lease, **layout.as_json()}).encode()),
            ("PUT", f"/v1/volumes/{key}/0", pieces.deflated(flat, 1)),
            ("POST", "/v1/engines", json.dumps(wanted).encode()),
            ("POST", f"/v1/leases/{lease}", b'{"forget": [1, 2]}'),
            ("GET", "/v1/status", b""),
        ]
        rng, statuses, bad = random.Random(0), {}, []
        for number in range(n_requests):
            if number % 20 == 0:
                # A damaged request may have ended the lease or the volume.
                session.add_prompt(1, Point((8.0 + number % 5, 9.0, 20.0)))
                engine = session.engine(2)._id
            method, path, body = rng.choice(bodies + engine_bodies(engine))
            status, answer = one(server.port, *damaged(rng, method, path, body, headers))
            statuses[status] = statuses.get(status, 0) + 1
            if status >= 500 or (status >= 400 and not sentence_in(answer)):
                bad.append((number, method, path, status, answer[:80]))
        alive = server.process.poll() is None and one(server.port, "GET", "/v1/status", b"", headers)[0] == 200
        written = [p for p in home.rglob("*") if p.is_file() and p.stat().st_mtime >= before - 1]
        for place in ("/tmp", "/var/tmp"):
            written += [p for p in Path(place).glob("*") if p.is_file() and p.stat().st_mtime >= before - 1]
        leaks = [p.name for p in written if CANARY[:12] in p.read_bytes()]
        log = (home / "serve.log").read_text()
        elsewhere.close()
        server.close()
    print(
        f"{n_requests} requests: {dict(sorted(statuses.items()))}; alive {alive}; "
        f"answers that are wrong {len(bad)} {bad[:3]}"
    )
    print(
        f"{len(written)} files written, with a voxel {leaks}; log of {len(log.splitlines())} lines "
        f"names it: {'CANARY' in log}"
    )
    print(f"in the log: key {key in log}, token {token in log}")


def damaged(rng, method, path, body, headers):
    kind = rng.randrange(7)
    if kind == 0:
        body = body[: rng.randrange(len(body) + 1)]
    elif kind == 1:
        at = rng.randrange(len(body) + 1)
        body = body[:at] + rng.randbytes(rng.randrange(1, 40)) + body[at:]
    elif kind == 2 and body:
        spot = rng.randrange(len(body))
        body = body[:spot] + rng.choice([b"-", b"9", b"\x00", b'"', b"1e99", b"null", b"[[["]) + body[spot + 1 :]
    elif kind == 3:
        spot = rng.randrange(len(path))
        path = path[:spot] + rng.choice(["x", "..", "%00", "/", "0", "\xe9".encode().hex()]) + path[spot + 1 :]
    elif kind == 4:
        method = rng.choice(["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
    elif kind == 5:
        headers = {**headers, rng.choice(list(headers)): rng.choice(["", "Bearer x", "1", "2 3", "x" * 5000])}
    else:
        body = rng.randbytes(rng.randrange(0, 3000))
    return method, path, body, headers


def one(port, method, path, body, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 599, str(error).encode()
    finally:
        connection.close()


def sentence_in(answer):
    try:
        return bool(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return b"Invalid HTTP request" in answer


def thin(trials: int | None) -> None:
    blocked = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers'): raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    for what in ("napari_sam2.remote.model", "numpy"):
        times, busy = [], []
        for _ in range(trials or 9):
            code = (
                f"{blocked}import time; t, c = time.perf_counter(), time.process_time(); import {what}; "
                "print(time.perf_counter() - t, time.process_time() - c)"
            )
            run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            seconds, cpu = (float(part) * 1000 for part in run.stdout.split())
            times.append(seconds)
            busy.append(cpu)
        print(f"import {what}: {spread(times, 0)} ms, least {min(times):.0f} ms; ", end="")
        print(f"processor time {spread(busy, 0)} ms, least {min(busy):.0f} ms", flush=True)


if __name__ == "__main__":
    main()
