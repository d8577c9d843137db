"""Filter `kubernetes`: what a record is given of what is known. Metadata is in a folder of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.filters.kubernetes import Kubernetes
from kubewitness.formats import logshapes
from kubewitness.record import Chunk
from tests.filters.pods import container_id, cri, lines_of, log_file, pod, preload, shown
from tests.filters.samples import Pairs, library_of

KUBERNETES = {
    "pod_name": "web-1",
    "namespace_name": "shop",
    "pod_id": "uid-web-1",
    "labels": {"app": "web"},
    "annotations": {"team": "alice"},
    "host": "worker-1",
    "pod_ip": "10.0.0.7",
    "container_name": "app",
    "docker_id": container_id("a"),
    "container_hash": "registry/web@sha256:0123",
    "container_image": "registry/web:1",
}
NAMES = {k: KUBERNETES[k] for k in ("pod_name", "namespace_name", "container_name", "docker_id")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    preload(tmp_path, pod())
    return tmp_path


def made(folder: Path, *more: tuple[str, str], library: Any = None) -> Kubernetes:
    keys = [("kube_meta_preload_cache_dir", str(folder)), ("kube_url", "http://127.0.0.1:9"), *more]
    return Kubernetes(keys, library=library)


def through(filter_: Kubernetes, *chunks: Chunk) -> list[Any]:
    return shown([left for chunk in chunks for left in filter_.apply(chunk)])


def test_a_record_has_its_own_keys_and_then_all_that_is_known_in_fluent_bits_order(folder: Path) -> None:
    (record,) = through(made(folder), lines_of(log_file(), cri("hello")))
    assert list(record) == ["time", "stream", "_p", "log", "kubernetes"]
    assert record["log"] == "hello"
    assert list(record["kubernetes"].items()) == list(KUBERNETES.items())


def test_records_keep_their_bytes_whatever_is_said_of_them(folder: Path) -> None:
    chunk = lines_of(log_file(), cri("one", 'two "quoted" {}', "drei ä"))
    (left,) = made(folder).apply(chunk)
    assert (left.data, left.form, left.notes) == (chunk.data, "cri", {})
    again = Chunk.from_parts(left.header(), left.data).select([1, 2])
    assert [r["log"] for r in shown([again])] == ['two "quoted" {}', "drei ä"]
    assert all(r["kubernetes"] == KUBERNETES for r in shown([again]))
    assert logshapes.lines(left) == b"".join(line + b"\n" for line in logshapes.objects(left))


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("text", "plain"),
        ("docker", '{"log":"plain\\n","stream":"stdout","time":"2026-11-22T10:00:00Z"}'),
        ("json", '{"a": {}}'),
        ("json", "{ }"),
        ("record", '{"log":"x","b":{}}'),
        ("record", "{}"),
    ],
)
def test_lines_of_every_form_are_given_it(folder: Path, form: str, line: str) -> None:
    (left,) = made(folder).apply(lines_of(log_file(), [line, line], form))
    assert [list(r)[-1] for r in shown([left])] == ["kubernetes"] * 2
    assert [json.loads(r) for r in logshapes.lines(left).splitlines()] == shown([left])


def test_what_a_record_has_under_that_name_already_is_replaced(folder: Path) -> None:
    chunk = lines_of(log_file(), ['{"kubernetes":{"pod_name":"forged"},"log":"x"}', '{"log":"y"}'], "record")
    assert [r["kubernetes"] for r in through(made(folder), chunk)] == [KUBERNETES, KUBERNETES]
    twice = made(folder, ("owner_references", "on")).apply(made(folder).apply(lines_of(log_file(), cri("x")))[0])
    assert [r["kubernetes"] for r in shown(twice)] == [KUBERNETES]


@pytest.mark.parametrize(
    ("keys", "left_out", "added"),
    [
        ([("labels", "off")], ["labels"], {}),
        ([("annotations", "off")], ["annotations"], {}),
        ([("owner_references", "on")], [], {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d", "uid": "1",
                                                               "controller": True}]}),
        ([("workload", "on")], [], {"workload": {"kind": "ReplicaSet", "name": "web-5d"}}),
    ],
)  # fmt: skip
def test_keys_choose_what_is_shown(tmp_path: Path, keys: Pairs, left_out: list[str], added: dict[str, Any]) -> None:
    owner = {"kind": "ReplicaSet", "name": "web-5d", "uid": "1", "controller": True}
    preload(tmp_path, pod(ownerReferences=[owner]), indent=2)
    (record,) = through(made(tmp_path, *keys), lines_of(log_file(), cri("x")))
    assert record["kubernetes"] == {k: v for k, v in KUBERNETES.items() if k not in left_out} | added


def test_use_tag_for_meta_asks_nobody(tmp_path: Path) -> None:
    filter_ = Kubernetes([("use_tag_for_meta", "on")])
    chunk = lines_of(log_file(), cri("x"))
    assert filter_.missing(chunk) is None
    assert through(filter_, chunk)[0]["kubernetes"] == NAMES
    assert filter_.health()["missing"] == 0


def test_a_pod_that_is_not_known_has_the_names_of_its_tag_and_is_counted(tmp_path: Path) -> None:
    filter_ = made(tmp_path)
    assert through(filter_, lines_of(log_file(), cri("x", "y")))[1]["kubernetes"] == NAMES
    assert filter_.health()["missing"] == 2


def test_a_file_with_hardly_anything_in_it_is_enough(tmp_path: Path) -> None:
    filter_ = made(tmp_path)
    (tmp_path / "shop_web-1.meta").write_text("{}")
    (tmp_path / "shop_web-2.meta").write_text('{"metadata": {"uid": "1", "labels": {"a": "b"}}}')
    first, second = (lines_of(log_file(name), cri("x")) for name in ("web-1", "web-2"))
    assert (filter_.missing(first), filter_.missing(second)) == (None, None)
    assert through(filter_, first)[0]["kubernetes"] == NAMES
    assert through(filter_, second)[0]["kubernetes"] == NAMES | {
        "pod_name": "web-2",
        "pod_id": "1",
        "labels": {"a": "b"},
    }
    assert filter_.health()["missing"] == 0


def test_dummy_meta_is_the_time(tmp_path: Path) -> None:
    (record,) = through(Kubernetes([("dummy_meta", "on")]), lines_of("/x.log", ["x"], "text"))
    assert set(record["kubernetes"]) == {"dummy"}


# --- whose record it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "keys"),
    [
        (f"kube.var.log.containers.web-1_shop_app-{container_id('a')}.log", []),
        (f"k8s.web-1_shop_app-{container_id('a')}.log", [("kube_tag_prefix", "k8s.")]),
        # of the same length as the prefix that is expected, as it happens to work in Fluent Bit
        (f"kube.srv.log.containers.web-1_shop_app-{container_id('a')}.log", []),
    ],
)
def test_names_are_in_the_tag(folder: Path, tag: str, keys: Pairs) -> None:
    (record,) = through(made(folder, *keys), lines_of("", cri("x"), tag=tag, known=False))
    assert record["kubernetes"] == KUBERNETES


@pytest.mark.parametrize(
    "prefix", ["kube.", "kube.var.log.containers.web", "something.much.longer.than.the.tag.itself." * 9]
)
def test_a_wrong_prefix_does_not_eat_letters_of_the_name_of_a_file_that_was_read_here(
    folder: Path, prefix: str
) -> None:
    (record,) = through(made(folder, ("kube_tag_prefix", prefix)), lines_of(log_file(), cri("x")))
    assert record["kubernetes"] == KUBERNETES


def test_a_file_in_the_kubelets_own_folders_is_known_too(folder: Path) -> None:
    file = "/var/log/pods/shop_web-1_01234567-89ab-cdef-0123-456789abcdef/app/0.log"
    (record,) = through(made(folder), lines_of(file, cri("x")))
    assert record["kubernetes"] == KUBERNETES


def test_a_tag_that_is_not_a_containers_goes_on_as_it_is_and_is_counted_and_told_of_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chunk = lines_of("/var/log/syslog", ["x"], "text")
    filter_ = made(folder)
    assert (filter_.apply(chunk), filter_.apply(chunk), filter_.health()["unnamed"]) == ([chunk], [chunk], 2)
    assert [r.getMessage() for r in caplog.records] == [
        "filter kubernetes: tag kube.var.log.syslog has no names of a pod and container (`kube_tag_prefix`, "
        "`regex_parser`); its records go on as they are"
    ]


def test_a_parser_of_the_tag_may_find_the_names(folder: Path) -> None:
    library = library_of(
        folder,
        "[PARSER]\n  Name custom\n  Format regex\n"
        r"  Regex ^(?<namespace_name>[^_.]+)\.(?<pod_name>[^.]+)\.(?<container_name>.+)\.(?<docker_id>[a-z0-9]{64})",
    )
    filter_ = made(folder, ("regex_parser", "custom"), ("kube_tag_prefix", "kube."), library=library)
    (record,) = through(filter_, lines_of("/x", cri("x"), tag=f"kube.shop.web-1.app.{container_id('a')}"))
    assert record["kubernetes"] == KUBERNETES


def test_records_of_a_journal_are_told_apart_by_their_container_name(tmp_path: Path) -> None:
    preload(tmp_path, pod(), pod("web-2"))
    filter_ = made(tmp_path, ("use_journal", "on"))
    names = ["k8s_app.1f_web-1_shop_0a_0", "k8s_app_web-2_shop_0a_0", "not of a pod", ""]
    records = [json.dumps({"MESSAGE": "m"} | ({"CONTAINER_NAME": n} if n else {})) for n in names]
    left = through(filter_, lines_of("", records, "record", tag="host.docker", known=False))
    assert [r.get("kubernetes", {}).get("pod_name") for r in left] == ["web-1", "web-2", None, None]
    assert left[0]["kubernetes"]["container_hash"] == "1f"
    assert [r["MESSAGE"] for r in left] == ["m"] * 4
    assert filter_.health()["unnamed"] == 2


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..", "a/b"])
def test_a_tag_from_elsewhere_names_no_file_outside_of_the_folder(folder: Path, name: str) -> None:
    (folder / "inner").mkdir()
    (folder / "x_y.meta").write_text(json.dumps(pod()))
    filter_ = made(folder / "inner", ("use_journal", "on"))
    record = json.dumps({"CONTAINER_NAME": f"k8s_app_y_{name}_0a_0"})
    (left,) = through(filter_, lines_of("", [record], "record", tag="t", known=False))
    assert "pod_id" not in left["kubernetes"]


# --- namespaces -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([("namespace_labels", "on")], {"name": "shop", "labels": {"env": "prod"}}),
        ([("namespace_annotations", "on")], {"name": "shop", "annotations": {"owner": "bob"}}),
    ],
)
def test_what_is_known_of_the_namespace_stands_behind_the_pod(folder: Path, keys: Pairs, expected: Any) -> None:
    meta = {"name": "shop", "labels": {"env": "prod"}, "annotations": {"owner": "bob"}}
    (folder / "shop.namespace_meta").write_text(json.dumps({"kind": "Namespace", "metadata": meta}))
    (record,) = through(made(folder, *keys), lines_of(log_file(), cri("x")))
    assert list(record)[-2:] == ["kubernetes", "kubernetes_namespace"]
    assert record["kubernetes_namespace"] == expected
    (record,) = through(made(folder, *keys, ("namespace_metadata_only", "on")), lines_of(log_file(), cri("x")))
    assert (record.get("kubernetes"), record["kubernetes_namespace"]) == (None, expected)


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("use_pod_association", "on", "not supported"),
        ("aws_use_pod_association", "on", "not supported"),
        ("merge_parser", "nope", "'merge_parser': there is no parser 'nope'"),
        ("regex_parser", "nope", "'regex_parser': there is no parser 'nope'"),
        ("kubelet_port", "0", "'kubelet_port'"),
        ("kube_meta_wait", "soon", "'kube_meta_wait'"),
        ("tls.min_version", "ssl3", "tls.min_version"),
    ],
)
def test_what_cannot_be_is_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Kubernetes([("use_kubelet", "on"), (key, value)])
