"""Passwords and tokens: from a key, or from a file that is read again when it changes. Never logged."""

from __future__ import annotations

from pathlib import Path

from kubewitness.config.keys import Key, Options
from kubewitness.errors import Retry, UsageError


def secret_keys(name: str, doc: str) -> tuple[Key, Key]:
    """The key, and the one that names a file with it."""
    return (
        Key(name, doc=doc),
        Key(f"{name}_file", doc=f"file that holds `{name}`; read again when it changes (not in Fluent Bit)"),
    )


class Secret:
    """The value of key `name`, or the content of the file that `name`_file says."""

    def __init__(self, what: str, opts: Options, name: str) -> None:
        self._value = opts.text(name)
        self._file = opts.text(f"{name}_file")
        self._stamp: tuple[int, int, int] | None = None
        if self._value and self._file:
            raise UsageError(f"{what}: {name!r} and '{name}_file' are both given; give one")
        if self._file:
            try:
                self.value()
            except Retry as e:
                raise UsageError(f"{what}: '{name}_file': {e}") from e

    def __bool__(self) -> bool:
        return bool(self._value or self._file)

    def __repr__(self) -> str:
        return "<Secret>"

    def value(self) -> str:
        """As of now. Retry when the file cannot be read."""
        if self._file:
            try:
                stat = Path(self._file).stat()
                stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
                if stamp != self._stamp:
                    self._value, self._stamp = Path(self._file).read_text().strip(), stamp
            except (OSError, UnicodeDecodeError) as e:
                raise Retry(f"{self._file}: {getattr(e, 'strerror', None) or 'not text'}") from e
        return self._value
