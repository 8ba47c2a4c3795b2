"""A gateway around a store of its own, and an identity provider on this machine."""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.auth.choose import open_authenticator
from gateway.engine.prefect import open_engine
from gateway.platform import Platform
from gateway.settings import GatewaySettings
from qcpaas.scheduling import Role, UserInfo
from store.database import Store, open_store
from store.people import People

# Nothing listens there.
NO_PREFECT = "http://127.0.0.1:9/api"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store without rows, for tests to copy."""
    file = tmp_path_factory.mktemp("store") / "empty.db"
    open_store(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Iterator[Store]:
    file = tmp_path / "store.db"
    shutil.copy(empty_store, file)
    with open_store(f"sqlite:///{file}") as opened:
        yield opened


@pytest.fixture
def open_platform(store: Store) -> Callable[..., Platform]:
    """A platform with settings of one's own; its Prefect does not answer."""

    def opened(**settings: Any) -> Platform:
        configured = GatewaySettings(**{"prefect_url": NO_PREFECT, "auth": "tokens", **settings})
        authenticator = open_authenticator(configured, store)
        return Platform(configured, store, open_engine(configured), authenticator)

    return opened


class Caller:
    """Sends requests to an application in this process, as if over HTTP.

    Args:
        address: Of the client.
    """

    def __init__(self, app: Any, token: str = "", address: str = "127.0.0.1") -> None:
        self._transport = httpx.ASGITransport(
            app, raise_app_exceptions=False, client=(address, 4711)
        )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, **asked: Any) -> httpx.Response:
        return asyncio.run(self._send(method, path, **asked))

    async def _send(self, method: str, path: str, **asked: Any) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=self._transport, base_url="http://127.0.0.1", headers=self._headers
        ) as client:
            return await client.request(method, path, **asked)


@pytest.fixture(scope="session")
def caller() -> type[Caller]:
    """Of an application, a token and an address."""
    return Caller


@pytest.fixture
def token_of(store: Store) -> Callable[..., str]:
    """The token of a user who is made for it."""

    def made(name: str, role: Role = Role.USER, **token: Any) -> str:
        People(store).keep(UserInfo(name=name, role=role))
        return People(store).create_token(name, **token).token

    return made


@functools.cache  # a key takes a processor a tenth of a second and more
def _rsa_key(key_id: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class IdentityProvider:
    """An issuer that publishes keys on loopback and signs what a test likes.

    Attributes:
        keys: Private keys that it publishes, by id.
        asked: Paths, in the order in which they were asked for.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.asked: list[str] = []
        self.algorithms: dict[str, str] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                body = json.dumps(provider._reply(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/realm"
        self.new_key("first")

    def new_key(self, key_id: str, algorithm: str = "RS256") -> None:
        if algorithm.startswith("ES"):
            self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())
        else:
            self.keys[key_id] = _rsa_key(key_id)
        self.algorithms[key_id] = algorithm

    def token(self, claims: dict[str, Any], key_id: str = "first", **headers: Any) -> str:
        return jwt.encode(
            claims,
            self.keys[key_id],
            algorithm=self.algorithms[key_id],
            headers={"kid": key_id, **headers},
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _reply(self, path: str) -> dict[str, Any]:
        if path.endswith("openid-configuration"):
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return {"keys": [self._published(key_id) for key_id in self.keys]}

    def _published(self, key_id: str) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name(self.algorithms[key_id])
        public = algorithm.to_jwk(self.keys[key_id].public_key(), as_dict=True)
        return {**public, "kid": key_id, "use": "sig", "alg": self.algorithms[key_id]}


@pytest.fixture
def identity_provider() -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    yield provider
    provider.close()
