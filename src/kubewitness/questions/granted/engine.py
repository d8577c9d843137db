"""The bindings and roles as they were at a time, evaluated, and set beside the API server's word."""

from __future__ import annotations

from typing import Any

from kubewitness.formats.times import format_us
from kubewitness.questions import coverage
from kubewitness.questions.facts import Facts
from kubewitness.questions.granted import rbac
from kubewitness.questions.granted.model import AskedRight, Grant, GrantedAnswer, GrantedQuestion, Made, Word
from kubewitness.questions.granted.rbac import Reason
from kubewitness.questions.granted.state import Known, Objects
from kubewitness.questions.model import Certainty
from kubewitness.questions.rebuild import Version

_FOREVER = 1 << 62
#: requests of the user that are looked at for groups and for the API server's word
_MOST = 200
#: bindings without a body that are named
_MOST_UNTOLD = 20


class Asking:
    def __init__(self, facts: Facts, question: GrantedQuestion) -> None:
        self.facts, self.q, self.right = facts, question, question.right
        self.until = _FOREVER if question.at is None else question.at
        self.objects = Objects(facts, self.until)
        seen = self._groups()
        self.groups = sorted({*seen, *question.groups, *rbac.implied_groups(question.user)})
        #: groups of which only the asker says that the user is in them
        self.claimed = set(question.groups) - set(seen)
        self.missing: list[str] = []
        #: bindings that were written without a body may name anybody
        self.untold: list[str] = []

    def answer(self) -> GrantedAnswer:
        q, r = self.q, self.right
        at = format_us(q.at) if q.at is not None else None
        asked = AskedRight(
            q.cluster, q.user, self.groups, r.verb, r.group, r.resource, r.subresource, r.namespace, r.name, r.url, at
        )
        if rbac.MASTERS in self.groups:
            text = (
                f"{q.user} is in group {rbac.MASTERS}, which may do everything: no binding gives it, and none takes it."
            )
            return GrantedAnswer(asked, True, text, "inferred" if rbac.MASTERS in self.claimed else "proved")
        words = self._words()
        grants, former = self._evaluate()
        self._believe(words, grants, former)
        allowed = [w.ts for w in words if w.allowed]
        refused = [w for w in words if not w.allowed and w.ts > max(allowed, default=0)]
        answer = GrantedAnswer(asked, bool(grants), "", "unknown", grants, former, missing=self.missing)
        answer.refused = refused[0].id if refused else None
        if grants:
            sure = [g.certainty for g in grants]
            answer.certainty = "proved" if "proved" in sure else "inferred"
            more = f" ({len(grants) - 1} more)" if len(grants) > 1 else ""
            answer.summary = f"{grants[0].sentence}{more}."
        else:
            answer.summary = self._none(former)
            other = next((w for w in words if w.allowed and w.reason is None), None)
            if other is not None:
                answer.missing.append(f"a binding: the API server allowed {other.id} for another reason: {other.text}")
            answer.missing += coverage.told(self.facts)[:1]
        if answer.certainty != "proved":
            answer.missing += self.untold
        return answer

    def _none(self, former: list[Grant]) -> str:
        text = f"No recorded binding allowed {self.q.user} to {self._said()}"
        if former and former[-1].revoked is not None:
            last = former[-1]
            by = last.revoked.user if last.revoked and last.revoked.user else "somebody"
            when = last.revoked.when if last.revoked else ""
            return f"{text} then; {last.binding} had, until {by} took it away at {when}."
        return f"{text}."

    def _said(self) -> str:
        r = self.right
        if r.url:
            return f"{r.verb} {r.url}"
        what = f"{r.resource}/{r.subresource}" if r.subresource else r.resource
        return f"{r.verb} {what}{f' {r.name}' if r.name else ''}{f' in {r.namespace}' if r.namespace else ''}"

    # the user's own requests

    def _groups(self) -> list[str]:
        """The groups of the user's last request up to then."""
        sql = (
            'SELECT groups FROM audit WHERE cluster = ? AND "user" = ? AND ts <= make_timestamp(?) '
            "AND coalesce(impersonated_user, '') = '' ORDER BY ts DESC LIMIT 1"
        )
        rows = self.facts.session.query(sql, [self.q.cluster, self.q.user, self.until])
        return list(rows[0][0] or ()) if rows else []

    def _words(self) -> list[Word]:
        """What the API server said of the user's requests for this right, newest first."""
        r = self.right
        where = ["cluster = ?", '"user" = ?', "verb = ?", "ts <= make_timestamp(?)", "stage <> 'RequestReceived'"]
        params: list[Any] = [self.q.cluster, self.q.user, r.verb, self.until]
        where.append("coalesce(impersonated_user, '') = ''")
        if r.url:
            where.append("uri = ?")
            params.append(r.url)
        else:
            where.append("resource = ? AND coalesce(api_group, '') = ? AND coalesce(subresource, '') = ?")
            params += [r.resource, r.group, r.subresource]
            if r.namespace:
                where.append("namespace = ?")
                params.append(r.namespace)
            if r.name:
                where.append("name = ?")
                params.append(r.name)
        sql = (
            "SELECT epoch_us(ts), audit_id, stage, decision, coalesce(decision_reason, '') FROM audit "  # noqa: S608
            f"WHERE {' AND '.join(where)} AND decision <> '' ORDER BY ts DESC LIMIT {_MOST}"
        )
        rows = self.facts.session.query(sql, params)
        return [
            Word(int(ts), f"audit:{self.q.cluster}/{ident}/{stage}", rbac.reason_of(why), decision == "allow", why)
            for ts, ident, stage, decision, why in rows
        ]

    # bodies

    def _evaluate(self) -> tuple[list[Grant], list[Grant]]:
        grants: list[Grant] = []
        former: list[Grant] = []
        for binding in self.objects.bindings(self.right.namespace):
            grant = self._grant(binding)
            if grant is None:
                continue
            (former if grant.revoked is not None else grants).append(grant)
        return grants, sorted(former, key=lambda g: g.revoked.when if g.revoked else "")

    def _grant(self, binding: Known) -> Grant | None:
        if binding.body is None:
            self._untold(binding)
            return None
        held = [v.body for v in binding.versions if v.body is not None and self._subject(v.body)]
        subject = self._subject(binding.body)
        if subject is None and not held:
            return None
        body = binding.body if subject is not None else held[-1]
        ref = body.get("roleRef") or {}
        role = self.objects.named(str(ref.get("kind")), binding.ref.namespace, str(ref.get("name")))
        found = self._rule(role)
        if found is None:
            return None
        rule, source, role_over = found
        subject = subject or self._subject(body) or ""
        sure: Certainty = "inferred" if binding.unsure or role.unsure or self._only_claimed(subject) else "proved"
        made = binding.began(lambda b: self._subject(b) is not None) if self._subject(binding.body) else None
        grant = Grant(str(binding.ref), str(role.ref), subject, sure, "", rule)
        grant.binding_made = _made(made or self._last_held(binding), binding)
        grant.role_made = _made(source.began(lambda b: rbac.rule_of(b, self.right) is not None), source)
        grant.aggregated_from = str(source.ref) if source is not role else None
        grant.revoked = role_over or _made(self._ended(binding), binding)
        grant.evidence = [m.evidence[0] for m in (grant.binding_made, grant.role_made) if m is not None]
        grant.sentence = self._sentence(grant)
        return grant

    def _subject(self, body: Any) -> str | None:
        return rbac.subject_of(body, self.q.user, self.groups)

    def _only_claimed(self, subject: str) -> bool:
        return subject.removeprefix("Group ") in self.claimed and subject.startswith("Group ")

    def _last_held(self, binding: Known) -> Version | None:
        return next((v for v in binding.versions if v.body is not None and self._subject(v.body)), None)

    def _ended(self, binding: Known) -> Version | None:
        """The write that took the user out of the binding, or its delete."""
        if binding.ended is not None:
            return binding.ended
        if self._subject(binding.body) is not None:
            return None
        known = [v for v in binding.versions if v.body is not None]
        last = max(n for n, v in enumerate(known) if self._subject(v.body))
        return known[last + 1]

    def _rule(self, role: Known) -> tuple[Any, Known, Made | None] | None:
        """(the rule, the role it comes from, who took it away) of a role that allows, or allowed, the right."""
        if role.body is None:
            if not role.versions:
                text = f"the rules of {role.ref.said()}: it was made before the recording, or its writes have no body"
                self.missing += [text] if text not in self.missing else []
            return None
        rule = rbac.rule_of(role.body, self.right)
        if rbac.only_by_name(role.body, self.right):
            text = f"{role.ref.said()} allows it for some named objects only: ask with RESOURCE/NAME"
            self.missing += [text] if text not in self.missing else []
        if role.body.get("aggregationRule"):
            for part in self.objects.cluster_roles():
                labels = ((part.body or {}).get("metadata") or {}).get("labels")
                if part.ended is None and part.ref != role.ref and rbac.aggregates(role.body, labels):
                    own = rbac.rule_of(part.body, self.right)
                    if own is not None:
                        return own, part, None
        if rule is not None:
            return rule, role, _made(role.ended, role) if role.ended else None
        return self._former_rule(role)

    def _former_rule(self, role: Known) -> tuple[Any, Known, Made | None] | None:
        known = [v for v in role.versions if v.body is not None]
        held = [n for n, v in enumerate(known) if rbac.rule_of(v.body, self.right) is not None]
        if not held:
            return None
        taken = known[held[-1] + 1]
        return rbac.rule_of(known[held[-1]].body, self.right), role, _made(taken, role)

    def _untold(self, binding: Known) -> None:
        """A binding that was written without a body may name anybody; the API server's own are well known."""
        if not binding.versions or binding.ended is not None:
            return
        last = binding.versions[-1]
        bootstrap = last.request is not None and last.request.user == "system:apiserver"
        if not bootstrap and len(self.untold) < _MOST_UNTOLD:
            self.untold.append(f"whom {binding.ref.said()} names: {last.doubt}")

    # the API server's word

    def _believe(self, words: list[Word], grants: list[Grant], former: list[Grant]) -> None:
        """Joins the API server's word with the bindings; one that was never recorded is known from it alone."""
        done: set[str] = set()
        for word in words:
            reason = word.reason
            if not word.allowed or reason is None:
                continue
            binding = "/".join(p for p in (reason.binding_kind, reason.namespace, reason.binding) if p)
            if binding in done:
                continue
            done.add(binding)
            known = next((g for g in [*grants, *former] if g.binding == binding), None)
            if known is not None:
                known.used = word.id
                known.evidence.append(word.id)
                continue
            self._by_word(word, reason, binding, grants, former)

    def _by_word(self, word: Word, reason: Reason, binding: str, grants: list[Grant], former: list[Grant]) -> None:
        held = self.objects.named(reason.binding_kind, reason.namespace, reason.binding)
        space = reason.namespace if reason.role_kind == "Role" else ""
        role = "/".join(p for p in (reason.role_kind, space, reason.role) if p)
        # Nothing recorded has touched it since: what was true then is true at the time asked for.
        written = [v for v in held.versions if v.when > word.ts]
        sure: Certainty = "inferred" if written else "proved"
        grant = Grant(binding, role, reason.subject, sure, "", used=word.id, evidence=[word.id])
        grant.revoked = _made(held.ended, held) if held.ended is not None and held.ended.when > word.ts else None
        last = [v for v in held.versions if v.when <= word.ts]
        grant.binding_made = _made(last[-1], held, "inferred") if last else None
        grant.sentence = self._sentence(grant)
        (former if grant.revoked is not None else grants).append(grant)

    def _sentence(self, grant: Grant) -> str:
        given = grant.binding_made
        maker = f", made by {_person(given)} at {given.when}" if given else ", which is older than the recording"
        source = f" (from {grant.aggregated_from})" if grant.aggregated_from else ""
        role = grant.role_made
        ruled = f", with the rule by {_person(role)} at {role.when}" if role else ""
        return (
            f"{self.q.user} could {self._said()} by {grant.binding} of {grant.role}{source} to {grant.subject}"
            f"{maker}{ruled}"
        )


def _person(made: Made) -> str:
    who = made.user or "somebody who was not recorded"
    return f"{who} (acting as {made.acting_as})" if made.acting_as else who


def _made(version: Version | None, known: Known, certainty: Certainty | None = None) -> Made | None:
    if version is None:
        return None
    r = version.request
    sure: Certainty = certainty or ("proved" if r is not None and not version.doubt else "inferred")
    return Made(
        format_us(version.when),
        (r.user or None) if r else None,
        (r.acting_as or None) if r else None,
        r.action if r else "seen by a watch",
        str(known.ref),
        sure,
        [version.id],
    )
