import threading

import httpx
import pytest

from deployments.prefect_server import start_server
from deployments.processes import Processes, free_port

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_two_servers_share_one_new_data_folder(tmp_path):
    """As two embedded jobs do that are started at the same moment."""
    addresses = {}

    def start(name, processes):
        addresses[name] = start_server(processes, "127.0.0.1", free_port(), tmp_path, ui=False)

    with Processes() as first, Processes() as second:
        threads = [
            threading.Thread(target=start, args=("first", first)),
            threading.Thread(target=start, args=("second", second)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(20):
            for address in addresses.values():
                body = {"name": f"flow-{number}-{address[-5:]}"}
                httpx.post(f"{address}/api/flows/", json=body).raise_for_status()
        counts = [httpx.post(f"{address}/api/flows/count").json() for address in addresses.values()]
    assert counts == [40, 40]
