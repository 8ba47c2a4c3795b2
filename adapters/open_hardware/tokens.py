"""Who may use a served device: bearer tokens, of which a file holds the hashes.

A line is ``NAME sha256:HEX``; empty lines and those that begin with ``#`` count for nothing. The
tokens have 256 random bits, so that one round of SHA-256 hides them. A changed file counts at once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from pathlib import Path

from qcpaas.errors import CredentialsRefused, InputError

ANYBODY = "anybody"
_NAME = re.compile(r"[\w.@+-]{1,100}")
_LINE = re.compile(r"([\w.@+-]{1,100})\s+sha256:([0-9a-f]{64})")


class Tokens:
    """Args:
    file: ``None`` lets everybody in.

    Raises:
        InputError: The file cannot be read, or names nobody.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._hashes: tuple[tuple[str, bytes], ...] = ()
        if file is not None and not self._known():
            raise InputError(f"{file} holds no token. Make one: qcpaas device token NAME.")

    @property
    def open(self) -> bool:
        """Whether everybody is let in."""
        return self._file is None

    def owner(self, token: str | None) -> str:
        """Whose token it is.

        Raises:
            CredentialsRefused: Nobody's.
        """
        if self._file is None:
            return ANYBODY
        if not token:
            raise CredentialsRefused(
                "this device needs a token. Send it as 'Authorization: Bearer TOKEN'; its owner "
                "gives you one."
            )
        digest = _digest(token)
        # All are compared, so that the time tells nothing.
        found = [name for name, known in self._known() if hmac.compare_digest(known, digest)]
        if not found:
            raise CredentialsRefused("this token opens nothing here. Ask the device's owner.")
        return found[0]

    def _known(self) -> tuple[tuple[str, bytes], ...]:
        assert self._file is not None
        with self._lock:
            try:
                stat = self._file.stat()
                stamp = (stat.st_mtime_ns, stat.st_size)
                if stamp != self._read_at:
                    self._hashes = _read(self._file)
                    self._read_at = stamp
            except OSError as error:
                raise InputError(
                    f"{self._file} cannot be read: {error.strerror or error}."
                ) from error
            return self._hashes


def add_token(file: Path, name: str) -> str:
    """A new token, told once; the file gets its hash.

    Raises:
        InputError: The name is not usable or taken, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for a token. Use letters, digits and . @ + - _")
    if file.exists() and any(known == name for known, _ in _read(file)):
        raise InputError(f"{file} has a token of {name}. Remove its line first, or choose a name.")
    token = secrets.token_urlsafe(32)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a") as opened:
            opened.write(f"{name} sha256:{_digest(token).hex()}\n")
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}.") from error
    return token


def _read(file: Path) -> tuple[tuple[str, bytes], ...]:
    found = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(f"{file}, line {number}: it is not 'NAME sha256:HEX'.")
        found.append((match[1], bytes.fromhex(match[2])))
    return tuple(found)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
