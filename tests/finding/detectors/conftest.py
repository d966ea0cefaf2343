import socket

import numpy as np
import pytest
import torch

from .tiny import write_grounding_dino, write_sam3


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing is asked of a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session", params=["", "mm"])
def dino(request, tmp_path_factory):
    """The folder of a tiny Grounding DINO of either build, and its network."""
    folder = tmp_path_factory.mktemp("dino")
    return folder, write_grounding_dino(folder, mm=bool(request.param))


@pytest.fixture(scope="session")
def sam3(tmp_path_factory):
    """The folder of a tiny SAM 3 with its detector alone, and its network."""
    folder = tmp_path_factory.mktemp("sam3")
    return folder, write_sam3(folder)


@pytest.fixture
def picture():
    torch.manual_seed(0)
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
