import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deployments import health
from store.database import open_store
from store.workers import Workers
from tasks.describe_environment import describe


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/ready" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def served(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("QCPAAS_GATEWAY_PORT", str(server.server_port))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_gateway_is_as_well_as_it_says(served, monkeypatch, status, code):
    monkeypatch.setattr(Answer, "status", status)
    assert health.main(["gateway"]) == code


def test_a_worker_is_well_from_its_registration_on(tmp_path, monkeypatch, capsys):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("QCPAAS_STORE_URL", url)
    monkeypatch.setenv("QCPAAS_WORKER_NAME", "lab-1")
    assert health.main(["worker"]) == 1
    assert "worker lab-1 has not renewed its registration" in capsys.readouterr().err
    with open_store(url) as store:
        Workers(store).register("lab-1", "qcpaas", describe())
    assert health.main(["worker"]) == 0


def test_an_unknown_part_is_refused_with_the_known_ones(capsys):
    assert health.main(["robot"]) == 2
    assert "gateway, server, worker" in capsys.readouterr().err
