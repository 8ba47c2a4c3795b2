"""``python -m gateway``: one gateway, configured by ``QCPAAS_GATEWAY_*`` variables."""

from __future__ import annotations

import logging
import sys

from pydantic import ValidationError

from gateway.replies import problems
from gateway.serve import serve
from gateway.settings import GatewaySettings
from qcpaas.errors import QCPaaSError
from qcpaas.settings import Settings


def main() -> int:
    """Serve until the process is ended; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        serve(GatewaySettings(), Settings().resolved_store_url)
    except ValidationError as error:
        sys.stderr.write(f"gateway: QCPAAS_GATEWAY_*: {problems(error.errors())}\n")
        return 2
    except QCPaaSError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
