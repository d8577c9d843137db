"""The keys of input `tail`: all of Fluent Bit's (same name, type, unit), and ours.

`KEYS` is the documentation, too (docs/tail.md shows it): one entry for every key that is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from kubewitness.config.keys import Key, Options
from kubewitness.errors import UsageError
from kubewitness.formats.logshapes import CRI_FIELDS
from kubewitness.inputs.recode import UNICODE
from kubewitness.inputs.tail_docker import DockerLines
from kubewitness.inputs.tail_firstline import FirstLine
from kubewitness.inputs.tail_parsed import Parsing
from kubewitness.parsers.library import Library, asked

_NOTHING = "accepted, without effect: "
_DURABLE = _NOTHING + "positions are in the journal, committed together with the records"
_POLLED = _NOTHING + "files are looked at four times a second"
_THREAD = _NOTHING + "an input waits for room in the journal and drops nothing"

#: Fluent Bit's names of encodings -> Python's
ENCODINGS = {
    "shiftjis": "shift_jis", "uhc": "cp949", "gbk": "gbk", "gb18030": "gb18030", "big5": "big5",
    "win866": "cp866", "win874": "cp874", **{f"win125{i}": f"cp125{i}" for i in (0, 1, 2, 3, 4, 5, 6, 8)},
}  # fmt: skip

KEYS = (
    Key("path", doc="files to follow: names with `*`, `?`, `[..]` and `**`, several by commas"),
    Key("exclude_path", doc="of these not the ones that match, several by commas"),
    Key("key", "text", "log", "key of a line that no parser took apart"),
    Key("path_key", doc="key under which the file's name is put into the record; empty: not"),
    Key("offset_key", doc="key under which the line's byte offset is put into the record; empty: not"),
    Key("read_from_head", "bool", "false", "files that are there at the very first start: from the head, "
     "with what they were rotated to before, not from the end"),
    Key("read_newly_discovered_files_from_head", "bool", "true", "files found later, or made while nothing ran: "
     "from the head, with what they were rotated to meanwhile"),
    Key("refresh_interval", "seconds", "60", "new files are looked for at least so often; usually once a second"),
    Key("rotate_wait", "seconds", "5", "a file that was rotated or removed is watched for so long after its last "
     "line; it is read to its end in any case"),
    Key("ignore_older", "seconds", "0", "files not written for so long are not taken up; 0: all are"),
    Key("ignore_active_older_files", "bool", "false", "and are closed; taken up again when they grow"),
    Key("buffer_chunk_size", "size", "32768", _NOTHING + "files are read in blocks of 256 KB"),
    Key("buffer_max_size", "size", "32768", "with `skip_long_lines` or `truncate_long_lines`: the longest line. "
     "Else 16 MB, whatever this says; the beginning of a longer one is kept in table rejects, and the file goes on"),
    Key("skip_long_lines", "bool", "false", "longer lines are left out, and counted"),
    Key("truncate_long_lines", "bool", "false", "longer lines are cut, and flagged `line-cut`"),
    Key("skip_empty_lines", "bool", "false", "empty lines are left out"),
    Key("static_batch_size", "size", "50M", _NOTHING + "files take turns"),
    Key("event_batch_size", "size", "50M", _NOTHING + "files take turns"),
    Key("exit_on_eof", "bool", "false", "ends when all files have been read to their end"),
    Key("parser", doc="name of a parser. The parts of a CRI or docker line are always joined. No effect beside "
        "`multiline.parser` and `multiline`"),
    Key("multiline.parser", "list", doc="names of multiline parsers: a line goes to the one whose record it continues, "
        "else to the first that it is the beginning of", multi=True),
    Key("tag_regex", doc="regular expression on the file's name; `<name>` in `tag` stands for its group"),
    Key("db", doc="one that Fluent Bit left is read at the very first start: files go on where it stopped. It is never "
        "written: positions are in the journal, committed together with the records; where records are in memory, and "
        "without `storage.path`, in `<db>.kubewitness`"),
    Key("db.sync", "text", "normal", _DURABLE),
    Key("db.locking", "bool", "false", _DURABLE),
    Key("db.journal_mode", "text", "WAL", _DURABLE),
    Key("db.compare_filename", "bool", "false", _NOTHING + "a file is known by inode and first bytes"),
    Key("watcher_interval", "seconds", "2s", _POLLED),
    Key("progress_check_interval", "seconds", "2s", _POLLED),
    Key("progress_check_interval_nsec", "int", "0", _POLLED),
    Key("inotify_watcher", "bool", "true", _POLLED),
    Key("file_cache_advise", "bool", "true", _NOTHING + "the page cache is everyone's"),
    Key("docker_mode", "bool", "false", "joins the parts of docker lines before they are taken apart by `parser`"),
    Key("docker_mode_flush", "int", "4", "with `docker_mode_parser`: so many seconds a record waits for its next line. "
        "The parts of one line wait for each other without a limit"),
    Key("docker_mode_parser", doc="with `docker_mode`: records begin with a line whose text this parser fits"),
    Key("multiline", "bool", "false", "the older way: records begin with a line that `parser_firstline` fits"),
    Key("multiline_flush", "seconds", "4", "and wait so long for their next line"),
    Key("parser_firstline", doc="parser of the first line of a record, with `multiline`"),
    Key("parser_", "prefix", doc="parser of further lines (`parser_1`, `parser_2`, ...), with `multiline`"),
    Key("unicode.encoding", doc="encoding of files that are not in UTF-8; `auto`: UTF-16, if their first bytes say so. "
        "Lines become UTF-8 first, and offsets are those of that text", choices=tuple(UNICODE)),
    Key("generic.encoding", doc="encoding of the lines, which become UTF-8 first; not of containers' logs",
        choices=tuple(ENCODINGS)),
    # every input's
    Key("tag", doc="`*` stands for the file's name, with dots for slashes; empty: `tail.N`"),
    Key("alias", doc="name in `status`, /metrics and of the saved positions"),
    Key("storage.type", "text", "filesystem", "`filesystem` (the default here), `memory` or `memrb` (a ring that "
     "drops the oldest); the engine's"),
    Key("mem_buf_limit", "size", "0", "with `storage.type memrb`: limit of the ring. Else " + _THREAD),
    Key("threaded", "bool", "false", _THREAD),
    Key("log_level", "text", "info", _NOTHING + "`service.log_level` is for all"),
    # ours
    Key("cluster", "text", "default", "name in the store"),
    Key("node", doc="the node's name, for column `node`"),
    Key("unfinished_at_stop", "text", "keep", "a line whose end is not there at SIGTERM: `keep` it for the next "
     "start, or `deliver` it now (for a sidecar, which has no next start)"),
)  # fmt: skip

#: parsers whose lines stay as they are until somebody asks for their fields
_FORMS = {"": "text", "cri": "cri", "docker": "docker", "json": "json"}
#: of Fluent Bit's parser `cri`; its multiline parser has other names
_PARSER_FIELDS = "time,stream,logtag,message"


class Shape(NamedTuple):
    """How lines become records."""

    #: of the lines, "auto" for the first line's
    form: str
    #: names of a CRI line's fields
    fields: str = _PARSER_FIELDS
    parsing: Parsing | None = None


def shape_of(opts: Options, library: Library) -> Shape:
    """What `parser`, `multiline.parser` and the older keys say. Raises UsageError for names that are not known."""
    for name in opts.prefixed("parser_"):
        if not name.isdecimal() and name not in ("", "firstline"):
            raise UsageError(f"tail: unknown key {'parser_' + name!r}; further parsers are 'parser_1', 'parser_2', ...")
    shape = _shape(opts, library)
    encoding = ENCODINGS.get(opts.choice("generic.encoding"))
    if encoding is None:
        return shape
    if opts.text("unicode.encoding"):
        raise UsageError("tail: 'generic.encoding' cannot be with 'unicode.encoding'")
    if shape.form != "text":
        raise UsageError(f"tail: 'generic.encoding' cannot be with lines of form {shape.form}, which are UTF-8")
    return shape._replace(parsing=replace(shape.parsing or Parsing(), encoding=encoding))


def _shape(opts: Options, library: Library) -> Shape:
    several = opts.items("multiline.parser")
    if several:
        return _several(several, library)
    if opts.flag("multiline"):
        return Shape("text", parsing=_older(opts, library))
    if opts.text("docker_mode_parser") and not opts.flag("docker_mode"):
        raise UsageError("tail: 'docker_mode_parser' needs 'docker_mode'")
    name = opts.text("parser").strip()
    by_line = not opts.text("docker_mode_parser") and (name or not opts.flag("docker_mode"))
    if name in _FORMS and not library.is_own(name) and by_line:
        return Shape(_FORMS[name])
    parser = asked("tail", "parser", name, library.parser) if name else None
    if not opts.flag("docker_mode"):
        return Shape("text", parsing=Parsing(parser))
    if not opts.text("docker_mode_parser"):
        return Shape("docker", parsing=Parsing(parser))
    first = asked("tail", "docker_mode_parser", opts.text("docker_mode_parser"), library.parser)
    wait = max(1.0, float(opts.number("docker_mode_flush")))
    return Shape("docker", parsing=Parsing(machine=lambda: DockerLines(first, parser, wait=wait, limit=library.limit)))


def _several(names: Sequence[str], library: Library) -> Shape:
    if all(name in ("cri", "docker") and not library.is_own_multiline(name) for name in names):
        return Shape("auto" if len(set(names)) > 1 else names[0], CRI_FIELDS)
    from kubewitness.parsers.multiline import Multiline

    parsers = [asked("tail", "multiline.parser", name, library.multiline) for name in names]
    return Shape("text", parsing=Parsing(machine=lambda: Multiline(parsers, limit=library.limit)))


def _older(opts: Options, library: Library) -> Parsing:
    if not opts.text("parser_firstline"):
        raise UsageError("tail: 'multiline' is on; it needs 'parser_firstline'")
    first = asked("tail", "parser_firstline", opts.text("parser_firstline"), library.parser)
    numbered = {k: v for k, v in opts.prefixed("parser_").items() if k.isdecimal()}
    others = [asked("tail", f"parser_{k}", numbered[k], library.parser) for k in sorted(numbered, key=int)]
    wait = opts.seconds("multiline_flush")
    return Parsing(machine=lambda: FirstLine(first, others, wait=wait, limit=library.limit))
