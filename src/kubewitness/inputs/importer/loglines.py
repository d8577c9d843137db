"""Readers of container and component logs: basic, right for whole files; the pipeline's parsers do more.

A record keeps the exact lines it was made of. Long lines that the runtime split (CRI's P tag, docker's missing
newline) are joined per stream. Lines that hold an audit event (an API server that logs its audit to stdout) become
audit records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from kubewitness.errors import Malformed
from kubewitness.formats.found import Found
from kubewitness.formats.ingest import LINE_LIMIT, Ingest
from kubewitness.formats.logs import decode, docker_part
from kubewitness.formats.sniff import sniff
from kubewitness.inputs.importer.detect import CRI, KLOG
from kubewitness.record import Chunk


class _LogReader(ABC):
    """Blocks to lines; subclasses join lines to records."""

    form = ""

    def __init__(self, ingest: Ingest, file: str) -> None:
        self._ingest = ingest
        self._file = file
        self._rest = b""
        self._offset = 0

    def feed(self, block: bytes) -> list[Chunk]:
        data = self._rest + block if self._rest else block
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if end:
            self._block(data[: end - 1])
            self._offset += end
        if len(self._rest) > LINE_LIMIT:
            self._reject(self._rest, f"a line of more than {LINE_LIMIT} bytes", self._offset)
            self._offset += len(self._rest)
            self._rest = b""
        return self._ingest.take() if self._ingest.pending else []

    def close(self) -> list[Chunk]:
        if self._rest:
            self._block(self._rest)
            self._rest = b""
        self._flush()
        return self._ingest.take()

    def _block(self, lines: bytes) -> None:
        offset = self._offset
        for line in lines.split(b"\n"):
            if line.strip():
                self._line(line.removesuffix(b"\r"), offset)
            offset += len(line) + 1

    @abstractmethod
    def _line(self, line: bytes, offset: int) -> None:
        """One line that is not empty, and where it begins in the file."""

    def _flush(self) -> None:  # noqa: B027 (readers of whole lines have nothing that waits)
        """The end of the file: hands on what still waited for more."""

    def _record(self, raw: bytes, offset: int, flags: tuple[str, ...] = ()) -> None:
        found = self._audit(raw) or [Found("logs", raw, self.form, form=self.form, flags=flags)]
        for record in found:
            self._ingest.add(record, file=self._file, offset=offset)

    def _audit(self, raw: bytes) -> list[Found]:
        if b"auditID" not in raw:
            return []
        try:
            records = sniff(decode(self.form, raw).message.encode())
        except Malformed:
            return []
        return [r._replace(how=self.form) for r in records] if all(r.table == "audit" for r in records) else []

    def _reject(self, raw: bytes, reason: str, offset: int) -> None:
        self._ingest.add_reject(raw, reason, file=self._file, offset=offset)


class _JoiningReader(_LogReader):
    """Joins the parts of split lines, each stream for itself."""

    def __init__(self, ingest: Ingest, file: str) -> None:
        super().__init__(ingest, file)
        self._parts: dict[bytes, list[bytes]] = {}
        self._begins: dict[bytes, int] = {}
        self._sizes: dict[bytes, int] = {}

    def _part(self, stream: bytes, line: bytes, offset: int, *, last: bool) -> None:
        parts = self._parts.get(stream)
        if parts is None:
            if last:
                self._record(line, offset)
                return
            parts = self._parts[stream] = []
            self._begins[stream] = offset
            self._sizes[stream] = 0
        parts.append(line)
        self._sizes[stream] += len(line)
        if last or self._sizes[stream] > LINE_LIMIT:
            self._join(stream, () if last else ("line-cut",))

    def _join(self, stream: bytes, flags: tuple[str, ...]) -> None:
        self._record(b"\n".join(self._parts.pop(stream)), self._begins.pop(stream), flags)

    def _flush(self) -> None:
        for stream in list(self._parts):
            self._join(stream, ("line-unfinished",))


class CriReader(_JoiningReader):
    """containerd and CRI-O: `TIME stdout|stderr P|F TEXT`."""

    form = "cri"

    def _line(self, line: bytes, offset: int) -> None:
        match = CRI.match(line)
        if match is None:
            self._reject(line, "not a CRI log line: TIME STREAM P|F TEXT expected", offset)
            return
        self._part(match[1], line, offset, last=match[0].rstrip()[-1:] == b"F")


class DockerReader(_JoiningReader):
    """docker's json-file driver: a `log` without a newline at its end goes on in the next line."""

    form = "docker"

    def _line(self, line: bytes, offset: int) -> None:
        try:
            stream, complete = docker_part(line)
        except Malformed as e:
            self._reject(line, str(e), offset)
            return
        self._part(stream.encode(), line, offset, last=complete)


class KlogReader(_LogReader):
    """Kubernetes components: lines without a header (stack traces) belong to the record before them."""

    form = "klog"

    def __init__(self, ingest: Ingest, file: str) -> None:
        super().__init__(ingest, file)
        self._open: list[bytes] = []
        self._begin = 0
        self._size = 0

    def _line(self, line: bytes, offset: int) -> None:
        if KLOG.match(line):
            self._flush()
            self._begin = offset
        elif not self._open or self._size > LINE_LIMIT:
            self._reject(line, "not a klog line: it does not begin like `I1122 21:25:09.518619 `", offset)
            return
        self._open.append(line)
        self._size += len(line)

    def _flush(self) -> None:
        if self._open:
            self._record(b"\n".join(self._open), self._begin)
        self._open, self._size = [], 0


class JsonLogReader(_LogReader):
    """One JSON object a line."""

    form = "json"

    def _line(self, line: bytes, offset: int) -> None:
        self._record(line, offset)
