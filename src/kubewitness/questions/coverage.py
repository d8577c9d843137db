"""What was recorded at all: time ranges of the sources, gaps, and names near one that was not found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import pairwise

from kubewitness.errors import UsageError
from kubewitness.formats.times import format_us
from kubewitness.questions.facts import Facts, Session, Window
from kubewitness.questions.lives import Life
from kubewitness.questions.model import Gap
from kubewitness.questions.targets import Ref, parse_target

_MINUTE = 60_000_000
#: an API server is never silent this long: even an idle cluster's leases and node heartbeats are requests
_SILENCE_US = 5 * _MINUTE
_DAY_US = 24 * 60 * _MINUTE
#: causes are looked for this long before the root
_BEFORE_US = 2 * _MINUTE
_NAMES = 20_000
#: more clusters than this in one state are not told apart for the user's convenience
_CLUSTERS = 100


def around(life: Life) -> Window:
    return Window(life.first - 10 * _MINUTE, life.last + 10 * _MINUTE)


def ranges(facts: Facts) -> dict[str, tuple[int, int]]:
    """(first, last) time of each source of this cluster that recorded anything."""
    found = {}
    for table in ("audit", "events", "objects", "admission"):
        sql = f"SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM {table} WHERE cluster = ?"  # noqa: S608
        rows = facts.session.query(sql, [facts.cluster])
        if rows and rows[0][0] is not None:
            found[table] = (int(rows[0][0]), int(rows[0][1]))
    return found


def told(facts: Facts) -> list[str]:
    """What is recorded, as sentences."""
    found = ranges(facts)
    if not found:
        names = clusters(facts.session)
        others = f"; recorded clusters: {', '.join(names)}" if names else ""
        return [f"any record of cluster {facts.cluster!r}{others}"]
    return [
        "it may lie outside of what was recorded: "
        + "; ".join(f"{name} from {format_us(a)} to {format_us(b)}" for name, (a, b) in found.items())
    ]


def gaps(facts: Facts, since: int, until: int, *, before: bool = True) -> list[Gap]:
    """Times in `since`..`until` (and, with `before`, some time before) without a recording of audit or Events."""
    found = []
    begins = since - _BEFORE_US if before else since
    # A proved chain stands on audit records at both of its ends: only a silence between them can be a gap.
    for table in ("audit", "events") if before else ("events",):
        window = Window(begins - _MINUTE, until + _MINUTE)
        where, params = ["cluster = ?"], [facts.cluster]
        window.conditions(where, params)
        sql = f"SELECT epoch_us(min(ts)), count(*) FROM {table} WHERE {' AND '.join(where)}"  # noqa: S608
        first, count = facts.session.query(sql, params)[0]
        if not count:
            found.append(Gap(table, format_us(begins), format_us(until), f"no {table} records in that time"))
        elif table == "audit" and (start := _silent_start(facts, begins, int(first))) is not None:
            found.append(Gap(table, format_us(begins), format_us(start), "the recording of audit began later"))
    found += _silences(facts, begins, until)
    return found


def _silent_start(facts: Facts, begins: int, first: int) -> int | None:
    """The first record's time, when nothing at all is recorded before it."""
    if first <= begins + _MINUTE // 4:
        return None
    rows = facts.session.query(
        "SELECT 1 FROM audit WHERE cluster = ? AND ts < make_timestamp(?) AND ts >= make_timestamp(?) LIMIT 1",
        [facts.cluster, first, first - 60 * _MINUTE],
    )
    return None if rows else first


def _silences(facts: Facts, since: int, until: int) -> list[Gap]:
    return [
        Gap("audit", format_us(a), format_us(b), "no audit record for minutes: the recording had stopped")
        for a, b in silent(facts, since, until)
    ]


def silent(facts: Facts, since: int, until: int) -> list[tuple[int, int]]:
    """Stretches without any audit record, only looked for when the window is longer than one could be."""
    if until - since < _SILENCE_US or until - since > _DAY_US:
        return []
    rows = facts.session.query(
        "SELECT epoch_us(time_bucket(INTERVAL '1 minute', ts)) AS minute FROM audit WHERE cluster = ? "
        "AND ts >= make_timestamp(?) AND ts <= make_timestamp(?) GROUP BY 1 ORDER BY 1",
        [facts.cluster, since, until],
    )
    minutes = [int(m) for (m,) in rows]
    return [(a + _MINUTE, b) for a, b in pairwise(minutes) if b - a > _SILENCE_US]


def unbroken(facts: Facts, began: Iterable[int]) -> Window | None:
    """For sessions that began at these times and are not known to have ended: the time up to the last audit record in
    which the recording never stopped, so that an end would have been seen. At most a day of it is looked at."""
    first = min(began, default=None)
    if first is None:
        return None
    sql = "SELECT epoch_us(max(ts)) FROM audit WHERE cluster = ? AND ts >= make_timestamp(?)"
    last = int(facts.session.query(sql, [facts.cluster, first])[0][0] or first)
    since = max(first, last - _DAY_US)
    stopped = silent(facts, since, last)
    return Window(stopped[-1][1] if stopped else since, last)


def near_names(facts: Facts, ref: Ref) -> list[str]:
    """Names of the kind that are like this one: same namespace first, then the same name elsewhere."""
    where, params = ["cluster = ?", "resource = ?", "name <> ''"], [facts.cluster, ref.resource]
    facts.window.conditions(where, params)
    sql = f"SELECT namespace, name FROM audit WHERE {' AND '.join(where)} GROUP BY 1, 2 LIMIT {_NAMES}"  # noqa: S608
    rows = facts.session.query(sql, params)
    here = sorted({str(n) for ns, n in rows if (ns or "") == ref.namespace and n})
    found = [n for n in here if n.startswith(ref.name) or ref.name.startswith(n)][:5]
    found += [n for n in difflib.get_close_matches(ref.name, here, 5, 0.6) if n not in found]
    found += sorted(f"{n} in namespace {ns}" for ns, n in rows if n == ref.name and (ns or "") != ref.namespace)[:3]
    return found[:5]


def resources(facts: Facts) -> list[tuple[str, str]]:
    """(group, resource) pairs that were recorded: what custom kinds there are."""
    sql = "SELECT DISTINCT coalesce(api_group, ''), resource FROM audit WHERE resource <> '' LIMIT 5000"
    return [(str(g), str(r)) for g, r in facts.session.query(sql)]


def clusters(session: Session) -> list[str]:
    """The clusters that were recorded. Asks for one that is not known yet until there is none: the tables are
    partitioned by cluster, so that each of these questions looks into no file of a known one."""
    names: list[str] = ["default"]
    found: set[str] = set()
    for table in ("audit", "events", "objects"):
        if session.query(f"SELECT 1 FROM {table} WHERE cluster = 'default' LIMIT 1"):  # noqa: S608
            found.add("default")
        while len(names) < _CLUSTERS:
            marks = ", ".join("?" * len(names))
            sql = f"SELECT cluster FROM {table} WHERE cluster NOT IN ({marks}) LIMIT 1"  # noqa: S608
            rows = session.query(sql, names)
            if not rows:
                break
            names.append(str(rows[0][0]))
            found.add(str(rows[0][0]))
    return sorted(found)


def cluster_of(session: Session, asked: str | None) -> str:
    """The cluster asked for, else the only one recorded. Raises `UsageError` when there are several."""
    if asked:
        return asked
    names = clusters(session)
    if len(names) > 1:
        raise UsageError(f"several clusters are recorded ({', '.join(names)}); choose one with --cluster")
    return names[0] if len(names) == 1 else "default"


def find_target(session: Session, words: Sequence[str], namespace: str | None, cluster: str | None) -> Ref:
    """The object that words as typed name; custom kinds that were recorded are known. Raises `UsageError`."""
    name = cluster_of(session, cluster)
    try:
        return parse_target(words, namespace=namespace, cluster=name)
    except UsageError:
        known = resources(Facts(session, name))
        return parse_target(words, namespace=namespace, cluster=name, known=known)
