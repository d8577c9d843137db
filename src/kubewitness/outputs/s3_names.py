"""Names of objects, as key `s3_key_format` of Fluent Bit's output `s3` has them."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

_TAG_PART = re.compile(r"\$TAG\[(\d)\]")


class ObjectNames:
    """`$TAG`, `$TAG[N]` (its part N between `delimiters`), `$UUID` (eight random characters), `$INDEX` (a count from 0
    for each start), and the time as strftime writes it (UTC).

    Without `$UUID` a name ends in `-object` and eight such characters, before its extension: two objects of one second
    must not be one. `fixed` leaves that out.
    """

    def __init__(self, form: str, delimiters: str, *, fixed: bool) -> None:
        self._form = form
        self._delimiters = re.compile(f"[{re.escape(delimiters)}]")
        self._fixed = fixed or "$UUID" in form
        self._index = 0

    def name(self, tag: str, seconds: int) -> str:
        """Of an object whose first record has that tag and time."""
        parts = self._delimiters.split(tag)
        text = datetime.fromtimestamp(seconds, UTC).strftime(self._form)
        text = _TAG_PART.sub(lambda m: parts[int(m[1])] if int(m[1]) < len(parts) else "", text)
        text = text.replace("$TAG", tag).replace("$UUID", secrets.token_hex(4)).replace("$INDEX", str(self._index))
        self._index += 1
        if not self._fixed:
            folder, slash, last = text.rpartition("/")
            stem, dot, extension = last.partition(".")
            text = f"{folder}{slash}{stem}-object{secrets.token_hex(4)}{dot}{extension}"
        return text.strip("/")
