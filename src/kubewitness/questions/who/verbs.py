"""The verbs about an object that is there: created, changed, scaled, read, exec; and containers that just ended."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from kubewitness.questions import coverage, operations
from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Request, Window
from kubewitness.questions.lives import SKEW_US, Life
from kubewitness.questions.model import AskedObject, Certainty, Gap, Link, WhoAnswer
from kubewitness.questions.operations import command_of
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import creation, engine
from kubewitness.questions.who.case import Case, Deed, controller_of, deed_of, event_deed, tool_of, who_said
from kubewitness.questions.who.history import SpecState, spec_history
from kubewitness.questions.who.mechanisms.replicas import scaling_deed, template_deed

_FOREVER = 1 << 62
_STREAMS = {"exec": "ran {command} in", "attach": "attached to", "portforward": "forwarded ports of"}
#: reasons of Events and of container states that say that a container ended by itself
_FAILURES = (
    "OOMKilled",
    "OOMKilling",
    "Error",
    "ContainerCannotRun",
    "DeadlineExceeded",
    "Unhealthy",
    "BackOff",
    "Failed",
)

#: reasons of a waiting container that will not run by itself (kubelet/images/types.go, kuberuntime)
_CANNOT_START = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)


def ask(case: Case, asked: AskedObject, life: Life, verb: str, at_us: int | None) -> WhoAnswer:
    """The answer for one verb."""
    until = _FOREVER if at_us is None else at_us + SKEW_US // 4
    if verb == "created":
        return _chain(case, asked, creation.find(case, life), "direct", f"the creation of {life.ref.said()}")
    if verb in ("changed", "granted"):  # whoever wrote a binding last gave what it gives
        return _chain(case, asked, _changed(case, life, until), "direct", f"a change of {life.ref.said()}")
    if verb == "scaled":
        return _chain(case, asked, _scaled(case, life, until), "direct", f"a scaling of {life.ref.said()}")
    if verb == "read":
        return _several(case, asked, _reads(case, life, until), f"read {life.ref.said()}")
    return _several(case, asked, _streams(case, life, until), f"used exec, attach or port-forward on {life.ref.said()}")


def _chain(case: Case, asked: AskedObject, effect: Deed | None, default: str, what: str) -> WhoAnswer:
    if effect is None:
        case.need(f"the request that made {what}: an audit rule of level Metadata or higher would have recorded it")
        summary = f"No record tells of {what}."
        return not_found(case, asked, summary, [], [])
    chain = engine.follow(case, effect)
    return engine.answer(
        case, asked, chain, default=default if len(chain.deeds) == 1 and not effect.controller else "controller"
    )


def _changed(case: Case, life: Life, until: int) -> Deed | None:
    """The last accepted write of the object (its scale included); writes that changed nothing are passed over."""
    states = [s for s in spec_history(case.facts, life, until) if s.touched is None or s.touched]
    own = [s for s in states if not controller_of(s.request)] or states
    # `scaled` asks for scalings: they are told here only when nothing else was changed.
    chosen = [s for s in own if not _only_scales(s)] or own
    if not chosen:
        return None
    deed = told(chosen[-1], life.ref, states)
    if chosen[-1].touched is None:
        deed.certainty = "inferred"
        case.need(f"whether the {deed.action} of {life.ref.said()} changed anything, and what: audit level Request")
    return deed


def _only_scales(state: SpecState) -> bool:
    return state.request.subresource == "scale" or state.touched == frozenset({"replicas"})


def last_verb(case: Case, life: Life) -> str:
    """`scaled` when the object's last accepted write by somebody was a scaling, else `changed`."""
    states = [s for s in spec_history(case.facts, life, _FOREVER) if s.touched is None or s.touched]
    own = [s for s in states if not controller_of(s.request)]
    return "scaled" if own and _only_scales(own[-1]) else "changed"


def told(state: SpecState, ref: Ref, states: list[SpecState]) -> Deed:
    """A write of an object, told by what it changed."""
    touched = state.touched or frozenset()
    if state.request.verb != "create" and "template" in touched:
        return template_deed(state, ref, "proved", states)
    if state.request.subresource == "scale" or touched == frozenset({"replicas"}):
        return scaling_deed(state, ref, "proved")
    request = state.request
    did = "created" if request.verb == "create" else "changed"
    words = f" ({state.words})" if state.words and did == "changed" else ""
    return deed_of(
        request,
        f"{who_said(request)} {did} {ref.said()}{words}{tool_of(request)}",
        ref=ref,
        root_action=request.verb,
        role="create" if did == "created" else "change",
    )


def _scaled(case: Case, life: Life, until: int) -> Deed | None:
    states = spec_history(case.facts, life, until)
    scaled = [
        s
        for s in states
        if (s.request.verb != "create" and s.touched is not None and "replicas" in s.touched and s.before != s.replicas)
        or s.request.subresource == "scale"
    ]
    if scaled:
        return scaling_deed(scaled[-1], life.ref, "proved")
    unknown = [s for s in states if s.touched is None]
    if not unknown:
        return None
    case.need(f"what the writes of {life.ref.said()} changed: audit level Request would show spec.replicas")
    return scaling_deed(unknown[-1], life.ref, "inferred")


def _reads(case: Case, life: Life, until: int) -> list[Deed]:
    """Gets by name, and lists and watches that covered the object; one deed for each user and way, the newest."""
    ref = life.ref
    requests = [(r, "") for r in case.facts.requests(ref, ("get", "watch", "list")) if not r.subresource]
    for scope in {("all of the namespace", ref.namespace), ("all namespaces", "")}:
        collection = Ref(ref.cluster, ref.group, ref.resource, scope[1], "")
        requests += [(r, scope[0]) for r in case.facts.requests(collection, ("list", "watch"))]
    found: dict[tuple[str, str, str], tuple[Request, str, int]] = {}
    for r, scope_name in requests:
        open_watch = r.course is not None and r.course.open  # it may go on, and see what comes
        if (
            not r.began
            or r.received > until
            or not _selects(r, ref)
            or (life.born and r.ts < life.first and not open_watch)
        ):
            continue
        key = (r.person, r.verb, scope_name)
        held = found.get(key)
        count = (held[2] if held else 0) + 1
        found[key] = (r, scope_name, count) if held is None or r.ts >= held[0].ts else (*held[:2], count)
    deeds = []
    recorded = _recorded(case, [r for r, _, _ in found.values()])
    for r, scope_name, count in found.values():
        covering = f" with a {r.verb} of {scope_name}" if scope_name else ""
        times = f", {count} times" if count > 1 else ""
        says = f"{who_said(r)} read {ref.said()}{covering}{tool_of(r)}{times}{_lasting(r, recorded)}"
        partly = any(word in r.uri for word in ("labelSelector=", "continue=")) if scope_name else False
        sure: Certainty = "inferred" if partly else "proved"
        deed = deed_of(r, says, ref=ref, root_action=r.verb, role="read", certainty=sure)
        if r.course is not None and r.course.streams:  # it saw the object from the beginning of both on
            deed.when = max(r.received, life.first) if life.born else r.received
        deeds.append(deed)
    return deeds


def _selects(request: Request, ref: Ref) -> bool:
    """Whether a list's field selector, if any, lets this object through."""
    selector = parse_qs(urlsplit(request.uri).query).get("fieldSelector", [""])[0]
    return "metadata.name=" not in selector or f"metadata.name={ref.name}" in selector.split(",")


def _streams(case: Case, life: Life, until: int) -> list[Deed]:
    found = [r for r in case.facts.sessions(life.ref) if r.began and r.received <= until and life.covers(r.received)]
    recorded = _recorded(case, found)
    deeds = []
    for r in found:
        query = parse_qs(urlsplit(r.uri).query)
        way = _STREAMS[r.subresource].format(command=repr(command_of(r.uri) or "a command"))
        container = f" (container {query['container'][0]})" if "container" in query else ""
        says = f"{who_said(r)} {way} {life.ref.said()}{container}{tool_of(r)}{_lasting(r, recorded)}"
        deed = deed_of(r, says, ref=life.ref, root_action=r.subresource, role="exec")
        deed.when = r.received
        deeds.append(deed)
    return deeds


def _recorded(case: Case, requests: list[Request]) -> Window | None:
    open_ones = [r.received for r in requests if r.course is not None and r.course.open]
    return coverage.unbroken(case.facts, open_ones)


def _lasting(request: Request, recorded: Window | None) -> str:
    return operations.told(request.course, recorded) if request.course is not None else ""


def _several(case: Case, asked: AskedObject, deeds: list[Deed], what: str) -> WhoAnswer:
    """Many may have done it: the newest by a person is named, all are in the chain."""
    if not deeds:
        return not_found(case, asked, f"No record says that anybody {what}.", [], [])
    ordered = sorted(deeds, key=lambda d: (bool(d.controller), _rank(d), -d.when))
    first = ordered[0]
    people = list(dict.fromkeys(d.actor.user or "?" for d in ordered if d.actor and not d.controller))
    chain = engine.Chain([first], [d.link() for d in ordered], rooted=True)
    result = engine.answer(case, asked, chain, default="direct")
    if len(people) > 1:
        result.summary = f"{len(people)} users {what}: {', '.join(people)}; last {first.says}."
    return result


def _rank(deed: Deed) -> int:
    kind = deed.actor.kind if deed.actor else "unknown"
    return ("human", "anonymous", "unknown", "serviceaccount", "node", "system").index(kind)


def container_failed(case: Case, asked: AskedObject, life: Life) -> WhoAnswer:
    """`killed`, of a pod that nobody deleted: the container ended by itself; its state or its Events say how."""
    deeds: list[Deed] = []
    for r in case.facts.requests(life.ref, ("patch", "update"), status=True):
        if r.subresource != "status" or not r.done or not life.covers(r.ts):
            continue
        for status in at(case.facts.bodies(r).request, "status", "containerStatuses") or []:
            waiting = at(status, "state", "waiting", "reason")
            if waiting in _CANNOT_START:
                says = f"container {at(status, 'name')} of {life.ref.said()} could not start: {waiting}"
                deed = deed_of(r, says, ref=life.ref, root_action=str(waiting), role="fail")
                deed.nobody = True
                deeds.append(deed)
            for state in (at(status, "state", "terminated"), at(status, "lastState", "terminated")):
                if isinstance(state, dict) and state.get("exitCode") not in (None, 0):
                    reason = state.get("reason") or "Error"
                    says = (
                        f"container {at(status, 'name')} of {life.ref.said()} ended by itself: {reason}, "
                        f"exit code {state['exitCode']}"
                    )
                    deed = deed_of(r, says, ref=life.ref, root_action=str(reason), role="fail")
                    deed.nobody = True
                    deeds.append(deed)
    for e in case.facts.events(life.ref):
        if e.reason in _FAILURES:
            says = f"{life.ref.said()}: {e.reason}: {e.message}"
            deed = event_deed(e, says, ref=life.ref, role="fail", controller="")
            deed.nobody = True
            deeds.append(deed)
    if not deeds:
        return not_found(case, asked, f"No record says that {life.ref.said()} was killed.", [], [])
    chosen = max(deeds, key=lambda d: (d.certainty == "proved", d.when))
    chain = engine.Chain([chosen], [chosen.link()])
    return engine.answer(case, asked, chain, default="container-failed")


def not_found(case: Case, asked: AskedObject, summary: str, links: list[Link], gaps: list[Gap]) -> WhoAnswer:
    """An honest no."""
    return WhoAnswer(asked, False, "unknown", None, None, None, "unknown", summary, links, [], list(case.missing), gaps)
