"""Becomes another program that cannot outlive whoever started it. Run as a script:

    python launch.py HOSTNAME PARENT-PID READY-FD COMMAND ARG...

Own session (a Ctrl-C at the terminal does not reach it), killed by the kernel when the starting *thread*
ends, and, where the kernel allows it, a host name of its own, because components write their host's name
into leases and Events. READY-FD, the writing end of a pipe, is closed when all this is done.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUTS = 0x04000000


def main(hostname: str, parent: int, ready: int, command: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # SIGKILL and not SIGTERM: it also ends a process that is stopped by SIGSTOP.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the starting process is gone")
    # Without the privilege the components go by the real host name, and everything else is the same.
    if libc.unshare(_CLONE_NEWUTS) == 0:
        socket.sethostname(hostname)
    os.nice(5)
    os.set_inheritable(ready, False)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
