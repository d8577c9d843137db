"""Lives: a name can be used again, and each use is another object with its own uid, owner, beginning and end."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from kubewitness.questions.facts import EventFact, Facts, Request, VersionFact
from kubewitness.questions.targets import Ref

#: how far clocks of API servers, controllers and kubelets may disagree, microseconds
SKEW_US = 2_000_000


class Owner(msgspec.Struct, frozen=True):
    kind: str
    name: str
    uid: str


class Life(msgspec.Struct):
    """One object that had this name: from its first sign to its last. `uid` is "" when no record tells it."""

    ref: Ref
    uid: str
    first: int
    last: int
    #: whether `first` is the creation itself, and `last` the removal itself
    born: bool = False
    gone: bool = False
    owner: Owner | None = None
    #: where the next life of the same name begins
    next_first: int | None = None
    #: how many lives of this name were recorded
    lives: int = 1

    def covers(self, ts: int, uid: str = "") -> bool:
        """Whether a record of this name belongs to this life: by uid where both tell it, else by time."""
        if uid and self.uid:
            return uid == self.uid
        begins = self.first if self.born or self.lives > 1 else None
        return (begins is None or ts >= begins - SKEW_US) and (self.next_first is None or ts < self.next_first)

    def too_early(self, received: int) -> bool:
        """Whether a request was received before this life began, and so was about the one before it."""
        return self.born and self.lives > 1 and received < self.first


def lives_of(facts: Facts, ref: Ref) -> list[Life]:
    """Every object that had this name, oldest first; empty when nothing was recorded of it."""
    requests = [r for r in facts.requests(ref) if r.done]
    events = facts.events(ref)
    versions = facts.versions(ref)
    if not requests and not events and not versions:
        requests = _was_used(facts, ref)
        if not requests:
            return []
    lives: dict[str, Life] = {}
    for r in requests:
        if r.uid and _tells_uid(r):
            life = _extend(lives, ref, r.uid, r.ts)
            _from_request(life, r)
    for v in versions:
        life = _extend(lives, ref, v.uid, v.ts)
        life.owner = life.owner or _owner(v)
        life.gone = life.gone or v.change == "DELETED"
    for e in events:
        if e.object_uid != e.object_name and (
            e.object_uid in lives or _plausible(e)
        ):  # a kubelet writes names for uids
            _extend(lives, ref, e.object_uid, e.first)
            _extend(lives, ref, e.object_uid, e.ts)
    if not lives:
        return _lives_without_uid(ref, requests, events)
    ordered = sorted(lives.values(), key=lambda life: (life.first, life.last))
    for life, after in pairwise(ordered):
        life.next_first = after.first
    for life in ordered:
        life.lives = len(ordered)
    _add_without_uid(ordered, requests)
    for life, after in pairwise(ordered):
        # A create without a uid may have begun the next life sooner, though not before this one's delete was answered.
        sooner = max(after.first, life.last + 1)
        life.next_first = min(life.next_first or sooner, sooner)
    return ordered


def _was_used(facts: Facts, ref: Ref) -> list[Request]:
    """Where nothing tells of a change: it was there to be read, or to run something in."""
    read = [r for r in facts.requests(ref, ("get", "watch")) if r.done]
    return read or [r for r in facts.sessions(ref) if r.began]


def _tells_uid(r: Request) -> bool:
    """A create's uid may be that of another object when it failed; a request's own subresources are fine."""
    return r.subresource in ("", "binding", "scale", "status", "eviction")


def _plausible(e: EventFact) -> bool:
    """Uids of Events about built-in objects look like uids."""
    return len(e.object_uid) == 36 and e.object_uid.count("-") == 4


def _extend(lives: dict[str, Life], ref: Ref, uid: str, ts: int) -> Life:
    """The life of that uid, as long as to cover `ts`; a recorded creation stays its beginning, whatever clocks say."""
    life = lives.get(uid)
    if life is None:
        life = lives[uid] = Life(ref, uid, ts, ts)
    if not life.born:
        life.first = min(life.first, ts)
    life.last = max(life.last, ts)
    return life


def _from_request(life: Life, r: Request) -> None:
    if r.owner_uid or r.owner_name:
        life.owner = life.owner or Owner(r.owner_kind, r.owner_name, r.owner_uid)
    if r.verb == "create" and not r.subresource:
        life.born = True
        life.first = min(life.first, r.received)
    if r.verb == "delete" and not r.subresource:
        life.gone = True


def _owner(v: VersionFact) -> Owner | None:
    return Owner(v.owner_kind, v.owner_name, v.owner_uid) if v.owner_name or v.owner_uid else None


def _lives_without_uid(ref: Ref, requests: list[Request], events: list[EventFact]) -> list[Life]:
    """Only names are known (level Metadata): a create begins a life, a delete ends one."""
    marks = [(r.ts, r) for r in requests]
    times = [t for t, _ in marks] + [e.ts for e in events]
    if not times:
        return []
    lives = [Life(ref, "", min(times), min(times))]
    for ts, r in marks:
        creates = r.verb == "create" and not r.subresource
        if creates and lives[-1].gone:
            lives[-1].next_first = r.received
            lives.append(Life(ref, "", r.received, ts, born=True))
        lives[-1].born = lives[-1].born or creates
        if r.verb == "delete" and not r.subresource:
            lives[-1].gone = True
        lives[-1].last = max(lives[-1].last, ts)
    lives[-1].last = max(lives[-1].last, *times)
    for life in lives:
        life.lives = len(lives)
    return lives


def _add_without_uid(lives: list[Life], requests: list[Request]) -> None:
    """Requests that tell no uid (evictions, Metadata deletes) end or lengthen the life of their time."""
    bare = [r for r in requests if not (r.uid and _tells_uid(r))]
    for r in bare:
        life = next((life for life in reversed(lives) if life.covers(r.ts)), None)
        if life is not None and r.verb == "create" and not r.subresource:
            life.born, life.first, life.last = True, min(life.first, r.received), max(life.last, r.ts)
    for r in bare:
        life = next((life for life in reversed(lives) if life.covers(r.ts) and not life.too_early(r.received)), None)
        if life is not None:
            life.last = max(life.last, r.ts)
            life.gone = life.gone or (r.verb == "delete" and not r.subresource)


def choose(lives: list[Life], *, uid: str | None, at: int | None, gone: bool) -> Life | None:
    """The life a question is about: the uid asked for, else the one around `at`, else the latest.

    With `gone`, the latest that ended is preferred. None when the uid asked for was never recorded.
    """
    if uid:
        return next((life for life in lives if life.uid == uid), None)
    if not lives:
        return None
    if at is not None:
        alive = [life for life in lives if life.first - SKEW_US <= at]
        return alive[-1] if alive else lives[0]
    if gone:
        ended = [life for life in lives if life.gone or life.next_first is not None]
        if ended:
            return ended[-1]
    return lives[-1]
