"""Free TCP ports."""

from __future__ import annotations

import random
import socket

_given: set[int] = set()

#: Below the range from which Linux takes the local ports of outgoing connections (32768-60999), so that
#: no connection of a neighbour sits on the port between our choice and the server's bind.
_RANGE = range(21000, 32000)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens; never the same one twice in a process."""
    for _ in range(1000):
        port = random.choice(_RANGE)
        if port in _given:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError(f"no free port on 127.0.0.1 in {_RANGE}")
