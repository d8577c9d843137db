"""The errors of kubewitness, named by what the machine does next.

Each message is one line for people: what is wrong, where, and how to mend it. The command line turns
them into exit codes (CONTRACT: 2 wrong usage or configuration, 3 state or store unusable).
"""

from __future__ import annotations


class KubewitnessError(Exception):
    """Base of all errors that kubewitness raises on purpose. `exit_code` is what a command ends with."""

    exit_code = 1


class UsageError(KubewitnessError):
    """The user must change what they asked for: a flag, a name, a configuration file."""

    exit_code = 2


class StateError(KubewitnessError):
    """The state directory or the store cannot be used: missing, damaged, locked, from a newer version."""

    exit_code = 3


class Malformed(KubewitnessError):
    """One record cannot be understood. The caller keeps it in `rejects` and goes on with the next."""


class Fenced(KubewitnessError):
    """A later leader writes the store. The caller stops writing and becomes a standby; nothing of its is lost that
    its inputs cannot read again from the shared position. `term` is the later leader's."""

    exit_code = 3

    def __init__(self, message: str, term: int = 0) -> None:
        super().__init__(message)
        self.term = term


class Full(KubewitnessError):
    """The journal has reached its size limit. The caller waits (files, watches) or refuses (webhook: 503)."""


class Retry(KubewitnessError):
    """The far side may take it later. The caller waits with backoff, at least `after` seconds if given."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Finished(KubewitnessError):
    """An input's work is done, and with it the pipeline's. The engine delivers what was taken in, and the process ends
    with `exit_code`."""

    def __init__(self, message: str, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Refused(KubewitnessError):
    """The far side will never take what it was given. The caller gives it by halves, and sets the one record aside."""
