import os
import signal
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.auth.choose import open_authenticator
from gateway.serve import serve
from gateway.settings import GatewaySettings
from qcpaas.errors import InputError


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed one for 127.0.0.1, and its key."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem, private = tmp_path / "gateway.pem", tmp_path / "gateway.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


def test_a_gateway_serves_over_tls_and_ends_in_order(store, certificate, tmp_path):
    environment = {
        **os.environ,
        "QCPAAS_DATA_DIR": str(tmp_path / "data"),
        "QCPAAS_STORE_URL": store.url.render_as_string(),
        "QCPAAS_GATEWAY_PORT": "0",
        "QCPAAS_GATEWAY_AUTH": "tokens",
        "QCPAAS_GATEWAY_TLS_CERT": str(certificate[0]),
        "QCPAAS_GATEWAY_TLS_KEY": str(certificate[1]),
        "QCPAAS_GATEWAY_PREFECT_URL": "http://127.0.0.1:9/api",
    }
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        word, address = process.stdout.readline().split()
        assert word == "ready"
        assert address.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=certificate[0])
        with httpx.Client(verify=trusted, base_url=address) as client:
            alive = client.get("/health")
            assert alive.json() == {"status": "ok"}
            assert "strict-transport-security" in alive.headers
            assert "server" not in alive.headers
            assert client.get("/v1/me").status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_nobody_is_let_in_without_authentication_from_elsewhere(store):
    for host in ("0.0.0.0", "::", "192.0.2.7", "gateway.example"):
        with pytest.raises(InputError, match="QCPAAS_GATEWAY_AUTH"):
            open_authenticator(GatewaySettings(host=host), store)
    for host in ("127.0.0.1", "::1", "localhost"):
        assert open_authenticator(GatewaySettings(host=host), store).person(None).name == "local"


@pytest.mark.parametrize(
    ("auth", "match"),
    [
        ("password", "Choose none, tokens, oidc"),
        ("no.such:Class", "No module named"),
        ("gateway.person:Person", "no class derived from"),
        ("gateway.person:Nobody", "Nobody"),
        ("oidc", "OIDC_ISSUER"),
    ],
)
def test_an_authenticator_that_is_none_is_refused(store, auth, match):
    with pytest.raises(InputError, match=match):
        open_authenticator(GatewaySettings(auth=auth), store)


def test_an_authenticator_of_one_s_own_is_taken(store):
    found = open_authenticator(GatewaySettings(auth="gateway.auth.tokens:ApiTokens"), store)
    assert type(found).__name__ == "ApiTokens"


@pytest.mark.parametrize("changed", [{"tls_cert": "/none"}, {"tls_cert": "/a", "tls_key": "/b"}])
def test_half_a_certificate_is_refused(changed):
    with pytest.raises(InputError):
        serve(GatewaySettings(**changed), "sqlite:////nowhere/x.db")
