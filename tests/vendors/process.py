"""A vendor's loopback server as a child process."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from vendors.service import Faults

TESTS = Path(__file__).parents[1]
_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


class VendorServer:
    """Starts on entering, ends with the block, and with this process however that ends.

    Args:
        module: Of this package, such as ``ibm``.
        state: File of its jobs, made if new.
    """

    def __init__(self, module, state):
        self.module = module
        self.state = Path(state)
        self.url = ""
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        """Return when it answers; after a kill it goes on with its jobs, on the same port."""
        port = httpx.URL(self.url).port if self.url else 0
        command = [sys.executable, "-m", f"vendors.{self.module}"]
        command += ["--state", str(self.state), "--port", str(port)]
        path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
            env={**os.environ, **_THREADS, "PYTHONPATH": path},
        )
        word, _, url = self._process.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise RuntimeError(f"{self.module} ended with exit status {self._process.wait()}.")
        self.url = url

    def kill(self):
        """SIGKILL: no reply, no farewell."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
            process.stdin.close()
            process.stdout.close()

    def restart(self):
        self.kill()
        self.start()

    def set(self, **faults):
        """Change some of `Faults` from now on."""
        reply = httpx.post(f"{self.url}/_control/faults", json=faults, trust_env=False)
        return Faults.model_validate(reply.raise_for_status().json())

    def reset(self):
        """As new, and alive."""
        if not self.alive:
            self.start()
        self.set(**Faults().model_dump())

    def jobs(self, token=None):
        """Every acceptance as a dictionary of `vendors.service.Job`, in order."""
        jobs = self._asked("jobs", {} if token is None else {"token": token})
        return [job for job in jobs if token is None or job["token"] == token]

    def count(self):
        """How many it has accepted."""
        return self._asked("count")

    def _asked(self, what, query=None):
        address = f"{self.url}/_control/{what}"
        return httpx.get(address, params=query, trust_env=False).raise_for_status().json()
