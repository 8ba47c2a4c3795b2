"""Rigetti's QCS: sign-on, processors, instruction sets, reservations, and execution over gRPC.

It proves what Rigetti's unmodified client asks, with which tokens, and what is made of the answers:
the whole way of a program, from its translation to its results, over real gRPC without encryption.
It does not prove that the real translation service takes our Quil (this one checks gates, places,
angles and readout), what its binaries are, TLS, the queue's real timing, or noise: shots are drawn
from ideal gates. For how long QCS keeps results that were retrieved is not known here either; this
one keeps them for ever.
"""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from vendors.qcs_grpc import Controllers
from vendors.qcs_isa import PROCESSORS, isa
from vendors.quil_simulator import Simulation
from vendors.service import Reply, Service, main

REFRESH_TOKEN = "loopback-refresh-token-7f3a"
CLIENT_ID = "loopback-client"
TOKEN_S = 3600


class Qcs(Service):
    """QCS over HTTP; its ``controllers`` over gRPC, at a port that survives a restart."""

    routes = (
        ("GET", "/oauth2/.well-known/openid-configuration", "discovery"),
        ("POST", "/oauth2/v1/token", "token"),
        ("GET", "/v1/quantumProcessors", "processors"),
        ("GET", "/v1/quantumProcessors/([^/]+)/instructionSetArchitecture", "architecture"),
        ("GET", "/v1/quantumProcessors/([^/]+)/accessors", "accessors"),
        ("GET", "/v1/quantumProcessors/([^/]+)/endpoints:getDefault", "default_endpoint"),
        ("GET", "/v1/endpoints/([^/]+)", "endpoint"),
        ("GET", "/v1/reservations", "reservations"),
        ("GET", "/grpc", "grpc_place"),  # for tests
    )
    url = ""
    controllers = None

    def isa(self, processor):
        return isa(processor, self.jobs.faults.calibration)

    def run(self, request):
        simulation = Simulation(request["quil"], request["memory"], pulse_level=True)
        memory = simulation.run(request["shots"])
        read = {}
        for place, stream in request["readout"].items():
            region, _, index = place.rstrip("]").partition("[")
            read[stream] = [row[int(index)] for row in memory[region]]
        return read

    # --- who is let in ----------------------------------------------------------------------

    def discovery(self, _request):
        return Reply(
            200,
            {
                "issuer": f"{self.url}/oauth2",
                "authorization_endpoint": f"{self.url}/oauth2/v1/authorize",
                "token_endpoint": f"{self.url}/oauth2/v1/token",
                "jwks_uri": f"{self.url}/oauth2/v1/keys",
                "scopes_supported": ["openid"],
            },
        )

    def token(self, request):
        form = {name: values[-1] for name, values in parse_qs(request.raw.decode()).items()}
        if self.jobs.faults.refuse_credentials or form.get("refresh_token") != REFRESH_TOKEN:
            return Reply(400, {"error": "invalid_grant", "error_description": "unknown token"})
        issued = access_token(time.time() + TOKEN_S)
        self.jobs.keep("issued", [*(self.jobs.keep("issued") or []), issued][-20:])
        return Reply(
            200,
            {
                "token_type": "Bearer",
                "expires_in": TOKEN_S,
                "access_token": issued,
                "refresh_token": REFRESH_TOKEN,
                "id_token": issued,
                "scope": "openid",
            },
        )

    def lets_in(self, authorization):
        if self.jobs.faults.refuse_credentials:
            return False
        return authorization.removeprefix("Bearer ") in (self.jobs.keep("issued") or [])

    def failing(self, faults):
        """Its gateway's failures; of others, such as 500, the controllers tell over gRPC."""
        return faults.status if faults.status in {502, 503} else 0

    def answer(self, request):
        """Everything below ``/v1`` asks for a token."""
        known = self.lets_in(request.headers.get("authorization", ""))
        if request.path.startswith("/v1/") and not known and not self.failing(self.jobs.faults):
            return error(401, "invalid_jwt", "the token is not valid")
        return super().answer(request)

    # --- processors -------------------------------------------------------------------------

    def processors(self, request):
        """One to a page, so that pages are followed."""
        at = int(request.query.get("pageToken", 0))
        page = {"quantumProcessors": [{"id": PROCESSORS[at]}]}
        if at + 1 < len(PROCESSORS):
            page["nextPageToken"] = str(at + 1)
        return Reply(200, page)

    def architecture(self, _request, processor):
        if processor not in PROCESSORS:
            return error(404, "not_found", f"no processor {processor}")
        return Reply(200, self.isa(processor))

    def accessors(self, _request, processor):
        if processor not in PROCESSORS:
            return error(404, "not_found", f"no processor {processor}")
        gateway = {
            "accessType": "gateway.v1",
            "live": not self.jobs.faults.maintenance,
            "id": "gateway",
            "url": self.grpc_url,
            "rank": 0,
        }
        return Reply(200, {"accessors": [gateway]})

    def default_endpoint(self, request, processor):
        return self.endpoint(request, f"{processor}-default", (processor,))

    def endpoint(self, _request, endpoint, processors=PROCESSORS):
        return Reply(
            200,
            {
                "id": endpoint,
                "address": self.grpc_url,
                "addresses": {"grpc": self.grpc_url},
                "healthy": not self.jobs.faults.maintenance,
                "mock": False,
                "quantumProcessorIds": list(processors),
            },
        )

    def reservations(self, request):
        """One that is over, one to come, one cancelled, on the first processor."""
        now = datetime.now(UTC).replace(microsecond=0)
        begin = {11: now - timedelta(days=1), 12: now + timedelta(hours=2), 13: now}
        del request
        return Reply(
            200,
            {
                "reservations": [
                    {
                        "id": number,
                        "quantumProcessorId": PROCESSORS[0],
                        "startTime": start.isoformat(),
                        "endTime": (start + timedelta(minutes=30)).isoformat(),
                        "createdTime": (now - timedelta(days=9)).isoformat(),
                        "accountId": "someone",
                        "accountType": "group",
                        "userId": "1",
                        "price": 100,
                        "cancelled": number == 13,
                        "notes": "night shift",
                    }
                    for number, start in begin.items()
                ],
                "nextPageToken": "",
            },
        )

    def grpc_place(self, _request):
        return Reply(200, {"url": self.grpc_url})

    @property
    def grpc_url(self):
        return f"http://127.0.0.1:{self.controllers.wire.port}"

    def serve_grpc(self, server):
        """Once the HTTP server has its port."""
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.controllers = Controllers(self, self.jobs.keep("grpc_port") or 0)
        self.jobs.keep("grpc_port", self.controllers.wire.port)


def access_token(expires_at):
    """As a JSON web token; nobody here checks its signature."""
    parts = ({"alg": "none"}, {"exp": int(expires_at), "jti": str(time.time_ns())})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*texts, b"c2lnbmVk"]).decode()


def error(status, code, message):
    return Reply(status, {"code": code, "message": message, "requestId": "loopback"})


def write_profile(folder, url, refresh_token=REFRESH_TOKEN):
    """QCS's settings and secrets files for this server, and the variables that name them."""
    grpc_url = grpc_address(url)
    settings, secrets = folder / "settings.toml", folder / "secrets.toml"
    settings.write_text(
        f"""default_profile_name = "loopback"
[profiles.loopback]
api_url = "{url}"
grpc_api_url = "{grpc_url}"
auth_server_name = "loopback"
credentials_name = "loopback"
[auth_servers.loopback]
client_id = "{CLIENT_ID}"
issuer = "{url}/oauth2"
"""
    )
    secrets.write_text(
        f"""[credentials.loopback.token_payload]
refresh_token = "{refresh_token}"
access_token = "{access_token(0)}"
scope = "openid"
expires_in = 3600
id_token = "old"
token_type = "Bearer"
"""
    )
    return {"QCS_SETTINGS_FILE_PATH": str(settings), "QCS_SECRETS_FILE_PATH": str(secrets)}


def grpc_address(url):
    """Where the services of the server at ``url`` are over gRPC."""
    import httpx

    return httpx.get(f"{url}/grpc", trust_env=False).raise_for_status().json()["url"]


if __name__ == "__main__":
    main(Qcs, lambda server: server.service.serve_grpc(server))
