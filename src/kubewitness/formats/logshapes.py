"""Log records as JSON objects, in Fluent Bit's shapes: what outputs write of a chunk of table `logs`.

| form | object |
|---|---|
| text | {"log": LINE} |
| cri | {"time": ..., "stream": ..., "_p": "F", "log": TEXT}; `time` and `_p` are the first part's |
| docker, json | the line itself; of a docker line in parts, `log` is all of them |
| klog | {"log": LINES} |
| record | the record itself: a filter or parser made an object of it (`formats.recordform`) |

`Origin` names the keys, and `Chunk.also` holds members that all records have, too. What is not of its form is
{"log": LINE}, as where a parser of Fluent Bit's fails. Whole blocks are escaped and split at once: encoding line by
line costs twice as much.
"""

from __future__ import annotations

import msgspec

from kubewitness.errors import Malformed
from kubewitness.record import Chunk, Origin

#: as Fluent Bit's multiline parser `cri` calls the fields
CRI_FIELDS = "time,stream,_p,log"

_encode = msgspec.json.Encoder().encode
_DEFAULT = Origin("", key="log", fields=CRI_FIELDS)
#: what JSON does not take as it is, and how it does
_ESCAPES = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\t", b"\\t"), (b"\r", b"\\r"), (b"\x1b", b"\\u001b"))
#: the other control characters, rare in logs
_CONTROLS = bytes(i for i in range(32) if i not in (9, 10, 13, 27))


class _Object(msgspec.Struct):
    """Any JSON object: read through, nothing kept."""


_is_object = msgspec.json.Decoder(_Object).decode


class _Docker(msgspec.Struct):
    log: str = ""


_docker = msgspec.json.Decoder(_Docker).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def lines(chunk: Chunk) -> bytes:
    """One JSON object for each record, each with its newline."""
    if chunk.form == "record" and chunk.lines:
        if not chunk.also:
            return chunk.data
        if chunk.data.count(b"}\n") == len(chunk) and b"{}\n" not in chunk.data:
            return chunk.data.replace(b"}\n", b"," + chunk.also + b"}\n")
    return _block(chunk) or b"\n".join((*_one_by_one(chunk), b""))


def objects(chunk: Chunk) -> list[bytes]:
    """The same, each for itself."""
    found = _block(chunk)
    return found.split(b"\n")[:-1] if found is not None else _one_by_one(chunk)


def _one_by_one(chunk: Chunk) -> list[bytes]:
    if chunk.form == "record":
        return [with_members(raw, chunk.also) for raw in chunk.records()] if chunk.also else list(chunk.records())
    origin = chunk.origin or _DEFAULT
    shape = _SHAPES.get(chunk.form, _text)
    made = []
    for i, (start, end) in enumerate(chunk.spans()):
        raw = chunk.data[start:end]
        try:
            line = shape(raw, origin)
        except (Malformed, msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            line = _text(raw, origin)
        line = _with_place(line, chunk, i, start, origin)
        made.append(with_members(line, chunk.also) if chunk.also else line)
    return made


def with_members(line: bytes, members: bytes) -> bytes:
    """A JSON object with further members behind its own; what is none stays as it is."""
    head = line.rstrip()
    if head[-1:] != b"}" or head[:1] != b"{":
        return line
    head = head[:-1].rstrip()
    return head + (b"" if head == b"{" else b",") + members + b"}"


def _block(chunk: Chunk) -> bytes | None:
    """All records at once; None when something in the block needs a closer look."""
    data = chunk.data
    origin = chunk.origin or _DEFAULT
    if origin.path_key or origin.offset_key or not data or chunk.form not in ("cri", "", "text"):
        return None
    if (chunk.form != "cri" and not chunk.lines) or len(data.translate(None, _CONTROLS)) != len(data):
        return None
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return None
    for char, escape in _ESCAPES:
        if char in data:
            data = data.replace(char, escape)
    found = data.split(b"\n")
    found.pop()
    tail = b'",' + chunk.also + b"}\n" if chunk.also else b'"}\n'
    if chunk.form == "cri":
        return _cri_block(found, origin, len(chunk), tail)
    return _joined(found, b"{" + _encode(origin.key) + b':"', tail)


def _cri_block(found: list[bytes], origin: Origin, records: int, tail: bytes) -> bytes | None:
    """Lines whose times are as long as the first one's, which is what a runtime writes."""
    names = [_encode(name) for name in (origin.fields or CRI_FIELDS).split(",")]
    begin = found[0].find(b" ")
    end = begin + len(b" stdout F ")
    if len(found) != records:
        for i in reversed([i for i, line in enumerate(found) if line[end - 2 : end - 1] == b"P"]):
            if i + 1 == len(found) or found[i + 1][begin : end - 2] != found[i][begin : end - 2]:
                return None
            found[i] += found.pop(i + 1)[end:]
    middles = {
        b" %b %b " % (stream, tag): b'",%b:"%b",%b:"%b",%b:"' % (names[1], stream, names[2], tag, names[3])
        for stream in (b"stdout", b"stderr")
        for tag in (b"F", b"P")
    }
    try:
        made = [line[:begin] + middles[line[begin:end]] + line[end:] for line in found]
    except KeyError:
        return None
    return _joined(made, b"{" + names[0] + b':"', tail) if len(made) == records and begin > 0 else None


def _joined(made: list[bytes], head: bytes, tail: bytes) -> bytes:
    """Each between `head` and `tail`, the beginning and the end of a JSON object, in one copy."""
    made[0] = head + made[0]
    made[-1] += tail
    return (tail + head).join(made)


def _cri(raw: bytes, origin: Origin) -> bytes:
    """`raw` may hold several parts, a newline between them."""
    parts = [part.split(b" ", 3) for part in raw.split(b"\n")]
    if any(len(part) < 3 or part[1] not in (b"stdout", b"stderr") for part in parts):
        raise Malformed("not a CRI log line")
    texts = b"".join(part[3] for part in parts if len(part) > 3)
    values = (*parts[0][:3], texts)
    names = (origin.fields or CRI_FIELDS).split(",")
    return _encode({name: _decoded(value) for name, value in zip(names, values, strict=True)})


def _docker_line(raw: bytes, origin: Origin) -> bytes:
    if b"\n" not in raw:
        _is_object(raw)
        return raw
    return docker_joined(raw)


def docker_joined(raw: bytes) -> bytes:
    """One line of docker's driver of several, the parts of one: `log` is all of theirs, the rest the first's."""
    parts = [_docker(part) for part in raw.split(b"\n")]
    return _encode(_object(raw.partition(b"\n")[0]) | {"log": "".join(part.log for part in parts)})


def _json(raw: bytes, origin: Origin) -> bytes:
    _is_object(raw)
    return raw.replace(b"\n", b" ")


def _text(raw: bytes, origin: Origin) -> bytes:
    return _encode({origin.key: _decoded(raw)})


_SHAPES = {"cri": _cri, "docker": _docker_line, "json": _json}


def _with_place(line: bytes, chunk: Chunk, index: int, start: int, origin: Origin) -> bytes:
    """Puts the file's name and the offset before the other keys, if they are asked for."""
    if not origin.path_key and not origin.offset_key:
        return line
    file, offset = chunk.place(index, start)
    extra: dict[str, str | int] = {origin.path_key: file} if origin.path_key else {}
    if origin.offset_key:
        extra[origin.offset_key] = offset
    rest = line.lstrip()[1:]
    return _encode(extra)[:-1] + (b"" if rest.lstrip().startswith(b"}") else b",") + rest


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
