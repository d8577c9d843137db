"""Credentials in the words of others: what a server, a proxy or a credential plugin says may repeat what we sent it.

Whoever reads a credential adds it here; every text from outside that goes into an error, a log, a health or a reject
is masked here before it is cut to length. What is only alike (a bearer token of before, a part of one, userinfo in an
address) is masked, too: better a word too many than a credential.
"""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
#: shorter ones would take messages apart, and protect nothing
_SHORTEST = 4
#: a credential that is not there as a whole is known by so many characters of its beginning
_BEGINNING = 16
#: so many are remembered: a rotated one may come back late
_REMEMBERED = 64

_ALIKE = re.compile(
    r"(?P<kept>\b(?:bearer|basic)(?:\s|%20|\+)+)[\w.~+/=%-]{16,}"
    r"|eyJ[\w-]{6,}(?:\.[\w-]*){0,4}"  # a JSON object in base64url: a JWT
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*KEY-----|\Z)"
    r"|(?P<scheme>://)[^/\s@\"'<>]+(?=@)",
    re.IGNORECASE,
)
#: what a program that was to print a credential may print instead
_OPAQUE = re.compile(
    r"(?P<name>(?:password|passwd|secret|token|key)[\"']?\s*[=:]\s*)[\"']?[^\s\"',;&]{8,}"
    r"|[\w+=~-]{20,}",
    re.IGNORECASE,
)


class Secrets:
    """The credentials of one access, so far."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        #: longest first, so that one that begins another does not leave its end
        self._forms: list[str] = []
        self._beginnings: list[str] = []

    def add(self, *secrets: str | None) -> None:
        """Remembers them. None and very short ones are nothing to hide."""
        new = [s for s in secrets if s and len(s) >= _SHORTEST and s not in self._known]
        if not new:
            return
        self._known.update(dict.fromkeys(new))
        for old in list(self._known)[:-_REMEMBERED]:
            del self._known[old]
        self._forms = sorted({form for s in self._known for form in _forms(s)}, key=len, reverse=True)
        self._beginnings = sorted({form[:_BEGINNING] for form in self._forms if len(form) > _BEGINNING})

    def add_basic(self, user: str, password: str) -> str:
        """Remembers a password and gives what stands for it in a header."""
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.add(both, password)
        return both

    def add_address(self, url: str | None) -> None:
        """Remembers the password in an address, if there is one."""
        try:
            parts = urlsplit(url or "")
        except ValueError:
            return
        if parts.password:
            self.add_basic(unquote(parts.username or ""), unquote(parts.password))
            self.add(parts.password)

    def mask(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        text = _ALIKE.sub(lambda m: (m["kept"] or m["scheme"] or "") + MASK, text)
        for begun in self._beginnings:
            # cut off, or written in some other way: who knows where it ends
            at = text.find(begun)
            text = text[:at] + MASK if at >= 0 else text
        return text

    def mask_bytes(self, data: bytes) -> bytes:
        """The same of bytes that need not be text; unchanged ones are the same object."""
        text = data.decode("utf-8", "surrogateescape")
        masked = self.mask(text)
        return data if masked == text else masked.encode("utf-8", "surrogateescape")

    def mask_output(self, text: str, printed: bytes) -> str:
        """Of a credential plugin that failed: what it said, without the words that it `printed` as its credential,
        nor any that look like one."""
        words = Secrets()
        words.add(*re.findall(r"[\w.~+/=-]{8,}", printed.decode("utf-8", "replace")))
        return _OPAQUE.sub(_hide_opaque, words.mask(self.mask(text)))


def _hide_opaque(found: re.Match[str]) -> str:
    """Long words without a digit are words of a language, long numbers are numbers."""
    word = found[0]
    if found["name"] is None and (word.isdigit() or not any(map(str.isdigit, word))):
        return word
    return (found["name"] or "") + MASK


def _forms(secret: str) -> set[str]:
    """As it is, in an address, in a page, as bytes in a message, and in JSON as Python and as Go write it."""
    go = json.dumps(secret, ensure_ascii=False)[1:-1]
    for sign in "&<>":
        go = go.replace(sign, f"\\u{ord(sign):04x}")
    said = {secret, html.escape(secret), repr(secret.encode())[2:-1], json.dumps(secret)[1:-1], go}
    return said | {quote(secret, safe=""), quote(secret, safe="/")}
