"""Questions in all their forms: for the API, for the command line, and in words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec


class Question(msgspec.Struct):
    """A question that can be asked: of the API with `path` and `params` (repeated ones as lists), of the command line
    with `command`; `said` is it in words."""

    question: str
    path: str
    params: dict[str, str | list[str]]
    command: str
    said: str

    @property
    def url(self) -> str:
        return f"{self.path}?{urlencode(self.params, doseq=True)}"


_SAID = {
    "timeline": "Everything known about {}",
    "show": "How {} was",
    "diff": "What changed in {}, and by whom",
    "who": "Who or what deleted or changed {}?",
}
_TAKES = {
    "who": ("at", "since", "until", "uid"),
    "timeline": ("since", "until", "uid"),
    "show": ("at", "uid"),
    "diff": ("uid",),
}


def about(command: str, verb: str, target: str, namespace: str, options: Mapping[str, str], said: str) -> Question:
    params: dict[str, str | list[str]] = {"object": target}
    if namespace:
        params["namespace"] = namespace
    if options.get("cluster"):
        params["cluster"] = options["cluster"]
    params |= {k: options[k] for k in _TAKES[command] if k in options}
    words = ["kubewitness", command]
    if verb:
        params["verb"] = verb
        words.append(verb)
    words.append(target)
    words += ["-n", namespace] if namespace else []
    words += [w for k in ("cluster", *_TAKES[command]) if k in params for w in (f"--{k}", str(params[k]))]
    said += f" in cluster {options['cluster']}" if options.get("cluster") else ""
    sentence = f"Who or what {_DID.get(verb, verb)} {said}?" if verb else _SAID[command].format(said)
    return Question(command, f"/api/v1/{command}", params, shlex.join(words), sentence)


#: how a sentence says the verbs that need more than themselves
_DID = {"exec": "ran something in", "granted": "wrote"}


def granted(words: Sequence[str], options: Mapping[str, str]) -> Question:
    user, verb, resource = words[0], words[1], words[2]
    params: dict[str, str | list[str]] = {"user": user, "verb": verb, "resource": resource}
    params |= {k: options[k] for k in ("namespace", "cluster", "at") if k in options}
    given = ["-n", options["namespace"]] if "namespace" in options else []
    command = shlex.join(["kubewitness", "who", "granted", user, verb, resource, *given])
    return Question("granted", "/api/v1/granted", params, command, f"Which binding lets {user} {verb} {resource}?")


def search(words: Sequence[str], options: Mapping[str, str]) -> Question:
    terms = list(words)
    if "namespace" in options:
        terms.append(f"namespace={options['namespace']}")
    params: dict[str, str | list[str]] = {"q": terms}
    params |= {k: options[k] for k in ("since", "until", "cluster") if k in options}
    given = [w for k in ("since", "until", "cluster") if k in options for w in (f"--{k}", options[k])]
    command = shlex.join(["kubewitness", "search", *terms, *given])
    return Question("search", "/api/v1/search", params, command, f"Records with {' and '.join(terms) or 'anything'}")


def trace(ident: str) -> Question:
    command = shlex.join(["kubewitness", "trace", ident])
    return Question("trace", "/api/v1/trace", {"id": ident}, command, f"What followed from request {ident}")
