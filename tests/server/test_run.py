"""Where a server may listen, and that it can encrypt."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.remote.model import connect_with
from napari_sam2.server.holdings import Limits
from napari_sam2.server.run import ModelServer, Place
from tests.remote.serving import TOKEN


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key, and a certificate for 127.0.0.1 that signs itself; their files."""
    folder = tmp_path_factory.mktemp("tls")
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gpu")]),
    )
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_server_that_encrypts_is_asked_with_its_certificate_and_not_without(certificate, monkeypatch):
    server = ModelServer(Place("127.0.0.1", 0, *certificate), {"classical": ClassicalModel()}, [TOKEN], Limits(1 << 20))
    assert server.url.startswith("https://127.0.0.1:")
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        with pytest.raises(EnvironmentLacksError, match=r"is not trusted .* SSL_CERT_FILE"):
            connect_with(server.url, TOKEN, "")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        model = connect_with(server.url, TOKEN, "")
        assert model.card.name == "classical"
        model.close()
    finally:
        server.stop()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_this_machines_own_address_needs_no_encryption(host):
    Place(host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "gpu.lab"])
def test_any_other_address_is_refused_unless_something_encrypts(host, certificate):
    with pytest.raises(UserInputError, match="unencrypted"):
        Place(host).check()
    Place(host, behind_proxy=True).check()
    Place(host, 1, *certificate).check()


def test_a_certificate_without_its_key_or_file_is_told(certificate, tmp_path):
    with pytest.raises(UserInputError, match="together"):
        Place(certificate=certificate[0]).check()
    with pytest.raises(UserInputError, match="no such file"):
        Place(certificate=certificate[0], key=tmp_path / "none.pem").check()


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentLacksError, match=f"127.0.0.1:{port} cannot be used"):
            ModelServer(Place(port=port), {}, [TOKEN], Limits(1))
