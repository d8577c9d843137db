"""The questions over HTTP: one row of `ENDPOINTS` each, the same question objects as the command line.

A row says which parameters a question takes and what it answers, and makes the question from them.
/api/openapi.json is made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubewitness.questions.board import MOST_BINS, MOST_MARKS, BoardAnswer
from kubewitness.questions.board import MOST_ROWS as MOST_BOARD_ROWS
from kubewitness.questions.complete import MOST_ITEMS, CompleteAnswer
from kubewitness.questions.diff import DiffAnswer
from kubewitness.questions.examples import Example
from kubewitness.questions.facets import MOST_VALUES, FacetsAnswer
from kubewitness.questions.facts import Session
from kubewitness.questions.granted import GrantedAnswer
from kubewitness.questions.histogram import MOST_BINS as MOST_HISTOGRAM_BINS
from kubewitness.questions.histogram import HistogramAnswer
from kubewitness.questions.line import Understood
from kubewitness.questions.logs import MOST_LINES, LogsAnswer
from kubewitness.questions.model import WhoAnswer
from kubewitness.questions.policy import PolicyAnswer
from kubewitness.questions.revisions import RevisionsAnswer
from kubewitness.questions.show import ShowAnswer
from kubewitness.questions.single import RecordAnswer
from kubewitness.questions.states import ObjectStates
from kubewitness.questions.top import TopAnswer
from kubewitness.questions.trace import TraceAnswer
from kubewitness.web import asking, viewing
from kubewitness.web.params import CLUSTER, CURSOR, FILTER, LIMIT, OBJECT, READS, TIMES, UID, Param, Params


@dataclass(frozen=True, slots=True)
class Endpoint:
    """GET /api/v1/<name>. `answer`: the type of what it answers; of a `Page` that of its rows."""

    name: str
    summary: str
    parameters: tuple[Param, ...]
    ask: Callable[[Session, Params], Any]
    answer: Any


_OBJECTS = tuple(p._replace(required=False) for p in OBJECT)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "who",
        "Who or what did it: the cause chain of an effect",
        (
            *OBJECT,
            Param("verb", "deleted, evicted, killed, created, changed, scaled, read, exec, ..."),
            UID,
            Param("at", "the effect nearest to that time"),
            *TIMES,
        ),
        asking.who,
        WhoAnswer,
    ),
    Endpoint(
        "timeline",
        "Everything known about one object, in order",
        (
            *OBJECT,
            UID,
            Param("related", "its owners, what it owns, and its node too", flag=True),
            Param("reads", "requests that only read it too", flag=True),
            LIMIT,
            CURSOR,
            *TIMES,
        ),
        asking.timeline,
        asking.Rows,
    ),
    Endpoint(
        "show",
        "An object as it was",
        (*OBJECT, UID, Param("at", "when (default: the latest known)")),
        asking.show,
        ShowAnswer,
    ),
    Endpoint(
        "granted",
        "Which binding gave a user a right, and who made it",
        (
            Param("user", "the user, or system:serviceaccount:NAMESPACE:NAME", required=True),
            Param("verb", "get, list, create, delete, ...", required=True),
            Param("resource", "pods, pods/log, deploy/web, /healthz", required=True),
            Param("namespace", "namespace (default: default)"),
            CLUSTER,
            Param("group", "a group that the user is in; may be repeated", many=True),
            Param("at", "when (default: now)"),
        ),
        asking.granted,
        GrantedAnswer,
    ),
    Endpoint(
        "diff",
        "What changed in an object between two times, and who changed each field",
        (
            *OBJECT,
            UID,
            Param("from", "RFC 3339, or an age (default: its first known version)"),
            Param("to", "as from (default: its last known version)"),
            Param("all", "with status and what the API server moves by itself", flag=True),
        ),
        asking.diff,
        DiffAnswer,
    ),
    Endpoint(
        "revisions",
        "The versions of an object that are known, oldest first, and who made each",
        (*OBJECT, UID, Param("status", "with writes of its status", flag=True)),
        viewing.revisions,
        RevisionsAnswer,
    ),
    Endpoint(
        "trace",
        "What followed: everything that one request set off, as a tree",
        (
            Param("id", "the request's auditID, or its id as answers give it", required=True),
            CLUSTER,
            Param("until", "look no further than then (default: an hour after the request)"),
            Param("limit", "nodes at most", most=LIMIT.most),
            Param("depth", "steps at most", most=100),
            Param("events", "false: without Events about the objects", flag=True),
        ),
        asking.trace,
        TraceAnswer,
    ),
    Endpoint(
        "search", "Records by any field and text, newest first", (*FILTER, LIMIT, CURSOR), asking.search, asking.Rows
    ),
    Endpoint("findings", "What the rules found, newest first", (*FILTER, LIMIT, CURSOR), asking.findings, asking.Rows),
    Endpoint(
        "top",
        "The most frequent values of a field",
        (Param("field", "which field", required=True), *FILTER, Param("limit", "values at most", most=1000)),
        asking.top,
        TopAnswer,
    ),
    Endpoint(
        "facets",
        "The most frequent values of several fields at once",
        (
            Param("fields", "fields, with commas between them (default: the usual ones)", many=True),
            *FILTER,
            Param("limit", "values of each at most", most=MOST_VALUES),
            READS,
        ),
        viewing.facets,
        FacetsAnswer,
    ),
    Endpoint(
        "record",
        "The record behind an evidence id: its columns and its original bytes",
        (
            Param(
                "id", "audit:<cluster>/<auditID>/<stage>, event:<cluster>/<uid>@<resourceVersion>, ...", required=True
            ),
        ),
        viewing.record,
        RecordAnswer,
    ),
    Endpoint(
        "board",
        "The timeline of many objects: rows, and marks of what happened to each; bins where marks are too many",
        (
            *FILTER,
            Param("rows", "rows at most", most=MOST_BOARD_ROWS),
            Param("marks", "marks at most", most=MOST_MARKS),
            Param("bins", "bins at most", most=MOST_BINS),
            Param("group", "what rows are of, and grouped by", words=viewing.GROUPS),
            READS,
            Param("cursor", "rows to leave out: `next` of the page before", most=10_000_000, least=0),
        ),
        viewing.board,
        BoardAnswer,
    ),
    Endpoint(
        "histogram",
        "How much happened when, by source and outcome",
        (
            *FILTER,
            Param("bins", "bins at most", most=MOST_HISTOGRAM_BINS),
            Param("by", "a series for each outcome, or for each source", words=viewing.SERIES),
            READS,
        ),
        viewing.histogram,
        HistogramAnswer,
    ),
    Endpoint(
        "states",
        "What state objects were in, as stretches of time",
        (
            Param("key", "cluster/Kind/namespace/name, as rows of `board` have it; up to 200", many=True),
            *_OBJECTS,
            *TIMES,
        ),
        viewing.states,
        list[ObjectStates],
    ),
    Endpoint(
        "logs",
        "Log lines of an object around a time, and the pages beside them",
        (
            *OBJECT,
            FILTER[0],
            Param("at", "half of the lines before that time, half after it (default: the newest)"),
            Param("older", "`older` of another page: the lines before it"),
            Param("newer", "`newer` of another page: the lines after it"),
            Param("limit", "lines at most", most=MOST_LINES),
        ),
        viewing.logs,
        LogsAnswer,
    ),
    Endpoint(
        "complete",
        "What may come next in the box: verbs, objects, users, fields and their values",
        (
            Param("text", "what is typed so far"),
            Param("field", "values of this field instead"),
            Param("prefix", "of field: what its values begin with"),
            Param("namespace", "of field: only in this namespace"),
            CLUSTER,
            Param("limit", "at most", most=MOST_ITEMS),
        ),
        viewing.complete,
        CompleteAnswer,
    ),
    Endpoint(
        "line",
        "A line as people type it, turned into a question",
        (Param("text", "for instance: who evicted web-7, pod/web-7 -n shop, an auditID, a user", required=True),),
        viewing.line,
        Understood,
    ),
    Endpoint(
        "policy",
        "Which audit policy is in effect, as its records show it; what `who` misses, and a policy that has it",
        (CLUSTER, *TIMES),
        viewing.policy,
        PolicyAnswer,
    ),
    Endpoint("examples", "Questions that this store can answer", (), viewing.examples, list[Example]),
)
