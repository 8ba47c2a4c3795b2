"""A quilc that speaks ``quilc -R``'s protocol, and leaves a program as it is but for a mark.

It proves that Rigetti's client sends the program and the processor's description, and that what
comes back is what is translated. It compiles nothing.
"""

import os
import sys
import threading

MARK = "PRAGMA SEEN_BY_QUILC"


def serve(port):
    """Until standard input ends."""
    from rpcq import Server
    from rpcq.messages import NativeQuilResponse

    server = Server()

    def quil_to_native_quil(request, protoquil=None):
        del protoquil
        return NativeQuilResponse(quil=f"{request.quil}{MARK}\n")

    server.rpc_handler(quil_to_native_quil)
    server.run(f"tcp://127.0.0.1:{port}")


def end_with_input():
    sys.stdin.read()
    os._exit(0)  # the server's loop has no other end


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    serve(int(sys.argv[1]))
