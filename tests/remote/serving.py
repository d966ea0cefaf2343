"""Servers to talk to: in this process, and in one of their own that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

from napari_sam2.remote.model import connect_with
from napari_sam2.remote.tokens import new_token
from napari_sam2.server.holdings import Limits
from napari_sam2.server.run import ModelServer, Place

TOKEN = new_token()


@contextmanager
def served(models, limits=None, tokens=(TOKEN,), port=0):
    """A server in this process."""
    server = ModelServer(Place(port=port), models, tokens, limits or Limits(1 << 30))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@contextmanager
def remote(server, name, **how):
    """A model on it."""
    model = connect_with(server.url, TOKEN, name, **how)
    try:
        yield model
    finally:
        model.close()


class ServerProcess:
    """``napari-sam2 serve`` as people start it."""

    def __init__(self, folder, port=0, *options):
        self.token_file = folder / "token"
        self._log = (folder / "serve.log").open("ab")
        self._start(port, options)

    def _start(self, port, options):
        code = "import sys; from napari_sam2.cli import main; sys.exit(main())"
        arguments = ["serve", "--port", str(port), "--token-file", str(self.token_file), *options]
        self._options = options
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=self._log, env=os.environ
        )
        line = self.process.stdout.readline().decode()
        self.url = line.rsplit(" ", 1)[-1].strip()
        self.port = int(self.url.rsplit(":", 1)[-1])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def restart(self):
        """At the same address, with nothing left."""
        self._start(self.port, self._options)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self._log.close()
