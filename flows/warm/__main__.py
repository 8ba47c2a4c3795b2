"""``python -m flows.warm FD``: a zygote with everything loaded, for the worker at socket FD."""

from __future__ import annotations

import socket
import sys

from flows.warm import child
from flows.warm.preload import preload
from flows.warm.zygote import Zygote


def main() -> None:
    """The children leave through here too: what they still have to send, they send on the way."""
    mark = child.EnvironmentMark()
    preload()
    child.set_up_logging()
    payload = Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()
    if payload is not None:
        child.become(payload, mark)


if __name__ == "__main__":
    main()
