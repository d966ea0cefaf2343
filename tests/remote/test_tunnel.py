"""The way through ssh: what addresses mean, that it opens again, that it starts a server and takes it along."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.prompts import Box
from napari_sam2.core.volume import Volume
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.remote.model import connect
from napari_sam2.remote.tunnel import SshTarget
from napari_sam2.session.session import Session
from tests.remote.serving import TOKEN, served

VOLUME = Volume(np.pad(np.full((6, 6, 4), 100.0), 3), np.eye(4))


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Puts the stand-in before the system's ssh; what it was asked."""
    script = tmp_path / "ssh"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parent / "fake_ssh.py"}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SSH_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ssh://gpu", SshTarget("gpu")),
        ("ssh://me@gpu.lab", SshTarget("me@gpu.lab")),
        ("ssh://me@gpu:2222/9000", SshTarget("me@gpu", 2222, 9000)),
        ("ssh://me@gpu?start", SshTarget("me@gpu", starts=True)),
    ],
)
def test_an_address_says_where_ssh_goes(url, target):
    assert SshTarget.of(url) == target


@pytest.mark.parametrize(
    "url",
    ["ssh://", "ssh://-oProxyCommand=x", "ssh://-l@gpu", "ssh://me:secret@gpu", "ssh://gpu/x", "ssh://gpu?stop",
     "ssh://gpu;ls", "ssh://gpu/99999", "ssh://gpu:x"],
)  # fmt: skip
def test_an_address_that_ssh_would_misread_is_refused(url):
    with pytest.raises(UserInputError, match="no address for ssh"):
        SshTarget.of(url)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(UserInputError, match="gpu is no address for ssh") as refused:
        SshTarget.of("ssh://me:hunter2@gpu")
    assert "hunter2" not in str(refused.value)


def test_a_tunnel_that_breaks_is_opened_again_and_the_session_goes_on(log, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    with served({"classical": ClassicalModel()}) as server:
        port = server.url.rsplit(":", 1)[1]
        model = connect(f"ssh://me@gpu/{port}", tmp_path / "token", "")
        session = Session(VOLUME, model)
        session.add_prompt(1, Box(((3, 3, 5), (8, 8, 5))))
        model.lease.way._ssh.kill()
        assert list(session.propagate())
        model.close()
    first, second = log.read_text().splitlines()
    assert first == second
    assert first.endswith("-N\tme@gpu")


def test_a_server_is_started_at_the_other_end_and_ends_with_the_tunnel(log, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = connect("ssh://me@gpu?start", None, "classical")
    session = Session(VOLUME, model)
    session.add_prompt(1, Box(((3, 3, 5), (8, 8, 5))))
    assert session.label_map().any()
    ssh = model.lease.way._ssh
    model.close()
    assert ssh.poll() is not None
    (asked,) = log.read_text().splitlines()
    assert model.lease.token not in asked, "the token never stands on a command line"


def test_without_a_token_only_a_server_that_is_started_can_be_asked():
    for url in ("http://127.0.0.1:1", "ssh://gpu"):
        with pytest.raises(UserInputError, match="token"):
            connect(url, None, "")
