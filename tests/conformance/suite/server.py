"""The server behind a device, for one test."""

import pytest
from vendors.subjects import NoSuchFault


class WatchedServer:
    """What stands where the vendor's service stands, and the jobs that it took since a test began.

    A fault that it cannot have skips the test.
    """

    def __init__(self, server):
        self._server = server
        self._before = server.count()

    def set(self, **faults):
        try:
            self._server.set(**faults)
        except NoSuchFault as fault:
            pytest.skip(str(fault))

    def count(self):
        return self._server.count()

    def jobs(self, token=None):
        return self._server.jobs(token)

    def new_jobs(self):
        """Accepted since the test began, in order."""
        return self._server.jobs()[self._before :]

    def start(self):
        self._server.start()

    def kill(self):
        self._server.kill()

    def restart(self):
        self._server.restart()
