"""Stands in for ssh and the machine at its other end: forwards a port, runs a command here."""

import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path


def pump(source, target):
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def forward(listening, port):
    while True:
        near, _ = listening.accept()
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.close()
            continue
        for a, b in ((near, far), (far, near)):
            threading.Thread(target=pump, args=(a, b), daemon=True).start()


def main():
    arguments = sys.argv[1:]
    way = arguments[arguments.index("-L") + 1].split(":")
    with Path(os.environ["FAKE_SSH_LOG"]).open("a") as log:
        print(*arguments, sep="\t", file=log)
    listening = socket.create_server(("127.0.0.1", int(way[1])))
    threading.Thread(target=forward, args=(listening, int(way[3])), daemon=True).start()
    if "-N" in arguments:
        threading.Event().wait()
    code = "import sys; from napari_sam2.cli import main; sys.exit(main())"
    _, *command = shlex.split(arguments[-1])
    sys.exit(subprocess.run([sys.executable, "-c", code, *command], check=False).returncode)


main()
