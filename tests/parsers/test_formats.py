"""Formats of logs, and the parsers that are known by name: samples and what they are, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubewitness.config.load import Known, load_pipeline
from kubewitness.contracts import Parsed
from kubewitness.errors import UsageError
from kubewitness.parsers import library as libraries
from kubewitness.parsers import parser_of
from kubewitness.parsers.library import Library
from tests.parsers.test_parsers import NOW, fields, ns, parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('level=info msg="it\'s \\"up\\"" n=3', {"level": "info", "msg": 'it\'s "up"', "n": "3"}),
        ('debug url=http://x/?a=b c= d=""', {"debug": True, "url": "http://x/?a=b", "c": True, "d": ""}),
        ('a="never ends', {"a": "never ends"}),
        ("  a=1\tb=2\nc=3", {"a": "1", "b": "2"}),
        ("", None),
        (' "=" ', None),
    ],
)
def test_logfmt(line: str, expected: dict[str, Any] | None) -> None:
    assert fields(line, format="logfmt") == expected


def test_logfmt_may_ask_for_a_value_of_every_key() -> None:
    assert fields("a=1 b=", format="logfmt", logfmt_no_bare_keys="on") == {"a": "1", "b": True}
    assert fields("just some words", format="logfmt", logfmt_no_bare_keys="on") is None


def test_logfmt_with_time_and_types() -> None:
    line = 'time="2026-11-22T21:25:09Z" n=3 ok=true'
    found = parse(line, format="logfmt", time_format="%Y-%m-%dT%H:%M:%SZ", types="n:integer ok:bool")
    assert found == Parsed({"n": 3, "ok": True}, ns("2026-11-22T21:25:09"))


def test_ltsv() -> None:
    line = "host:127.0.0.1\ttime:[22/Nov/2026:21:25:09 +0000]\treq:GET / HTTP/1.1\tempty:\tno label\tsize:12"
    assert parse(line, format="ltsv", time_format="[%d/%b/%Y:%H:%M:%S %z]", types="size:integer") == Parsed(
        {"host": "127.0.0.1", "req": "GET / HTTP/1.1", "empty": "", "size": 12}, ns("2026-11-22T21:25:09")
    )
    assert fields("no label at all", format="ltsv") is None


def test_cri_lines_and_parts_of_them() -> None:
    line = "2026-11-22T21:25:09.518619123+01:00 stderr P the  text "
    expected = Parsed({"stream": "stderr", "logtag": "P", "message": "the  text "}, ns("2026-11-22T20:25:09.518619123"))
    assert parse(line, format="cri") == expected
    assert (
        fields(line, format="cri", time_keep="on") == {"time": "2026-11-22T21:25:09.518619123+01:00"} | expected.fields
    )
    assert fields("2026-11-22T21:25:09Z other F x", format="cri") is None
    assert fields("plain", format="cri") is None


def test_docker_lines_keep_their_time() -> None:
    line = '{"log":"a\\n","stream":"stdout","time":"2026-11-22T21:25:09.5Z"}'
    assert parse(line, format="docker") == Parsed(
        {"log": "a\n", "stream": "stdout", "time": "2026-11-22T21:25:09.5Z"}, ns("2026-11-22T21:25:09.5")
    )
    assert fields('{"msg":"a"}', format="docker") is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'E1122 21:25:09.518619       1 reflector.go:138] "Failed to watch" err="say \\"no\\"" pod="a/b" n=[1 2] '
            "m={a b} t=5s",
            {"severity": "error", "thread": 1, "caller": "reflector.go:138", "msg": "Failed to watch",
             "err": 'say "no"', "pod": "a/b", "n": "[1 2]", "m": "{a b}", "t": "5s"},
        ),
        (
            "I1122 21:25:09.518619    4242 server.go:12] Started on port=80 now",
            {"severity": "info", "thread": 4242, "caller": "server.go:12", "msg": "Started on port=80 now"},
        ),
        (
            'W1122 21:25:09.518619       1 a.go:1] "Two" text=<\n\tone\n\ttwo\n > k="v"',
            {"severity": "warning", "thread": 1, "caller": "a.go:1", "msg": "Two", "text": "one\ntwo", "k": "v"},
        ),
        (
            'I1122 21:25:09.518619       1 a.go:1] "Quoted" and more',
            {"severity": "info", "thread": 1, "caller": "a.go:1", "msg": '"Quoted" and more'},
        ),
    ],
)  # fmt: skip
def test_klog_text(line: str, expected: dict[str, Any]) -> None:
    assert parse(line, format="klog") == Parsed(expected, ns("2026-11-22T21:25:09.518619"))


def test_brackets_that_never_close_do_not_hang() -> None:
    head = "I1122 21:25:09.518619 1 a.go:1] "
    for piece in (" a=[b", " a={b", ' a="b', " a=<\n\tb\n"):
        found = fields(head + '"m"' + piece * 40_000, format="klog")
        assert found is not None
        assert found["caller"] == "a.go:1"
    assert fields('a="' * 100_000, format="logfmt") is not None


def test_klog_json_has_its_time_in_seconds_or_milliseconds_or_as_text() -> None:
    when = ns("2023-11-14T22:13:20.25")
    for value in ("1700000000250.0", "1700000000.25", '"2023-11-14T22:13:20.25Z"'):
        found = parse(f'{{"ts":{value},"caller":"a.go:1","msg":"m","v":0}}', format="klog")
        assert found == Parsed({"caller": "a.go:1", "msg": "m", "v": 0}, when)
    assert fields("neither", format="klog") is None
    assert fields("{broken", format="klog") is None


# --- by name ---

SAMPLES = [
    ("apache", '10.0.0.1 - alice [22/Nov/2026:21:25:09 +0100] "GET /a?b HTTP/1.1" 200 12 "http://r" "agent/1 (x)"',
     {"host": "10.0.0.1", "user": "alice", "method": "GET", "path": "/a?b", "code": "200", "size": "12",
      "referer": "http://r", "agent": "agent/1 (x)"}, "2026-11-22T20:25:09"),
    ("apache2", '10.0.0.1 - - [22/Nov/2026:21:25:09 +0000] "GET / HTTP/1.1" 304 -',
     {"host": "10.0.0.1", "user": "-", "method": "GET", "path": "/", "code": "304", "size": "-"},
     "2026-11-22T21:25:09"),
    ("apache_error", "[Sun Nov 22 21:25:09 2026] [error] [pid 7] [client 10.0.0.1] no such file",
     {"time": "Nov 22 21:25:09 2026", "level": "error", "pid": "7", "client": "10.0.0.1", "message": "no such file"},
     None),
    ("nginx", '10.0.0.1 - alice [22/Nov/2026:21:25:09 +0000] "POST /x HTTP/2.0" 201 5 "-" "curl/8" "extra"',
     {"remote": "10.0.0.1", "host": "-", "user": "alice", "method": "POST", "path": "/x", "code": "201", "size": "5",
      "referer": "-", "agent": "curl/8"}, "2026-11-22T21:25:09"),
    ("k8s-nginx-ingress",
     '10.0.0.1 - - [22/Nov/2026:21:25:09 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 80 0.002 [shop-web-80] [] '
     "10.1.0.4:80 5 0.002 200 0123abcd",
     {"host": "10.0.0.1", "user": "-", "method": "GET", "path": "/", "code": "200", "size": "5", "referer": "-",
      "agent": "curl/8", "request_length": "80", "request_time": "0.002", "proxy_upstream_name": "shop-web-80",
      "upstream_addr": "10.1.0.4:80", "upstream_response_length": "5", "upstream_response_time": "0.002",
      "upstream_status": "200", "reg_id": "0123abcd"}, "2026-11-22T21:25:09"),
    ("syslog-rfc3164", "<34>Nov 22 21:25:09 node-1 su[230]: 'su root' failed",
     {"pri": "34", "time": "Nov 22 21:25:09", "host": "node-1", "ident": "su", "pid": "230",
      "message": "'su root' failed"}, "2026-11-22T21:25:09"),
    ("syslog-rfc3164-local", "<34>Nov  2 21:25:09 kubelet[230]: started",
     {"pri": "34", "time": "Nov  2 21:25:09", "ident": "kubelet", "pid": "230", "message": "started"},
     "2026-11-02T21:25:09"),
    ("syslog-rfc5424", '<165>1 2026-11-22T21:25:09.003-07:00 node-1 app 111 ID47 [x@1 a="b"] hello',
     {"pri": "165", "time": "2026-11-22T21:25:09.003-07:00", "host": "node-1", "ident": "app", "pid": "111",
      "msgid": "ID47", "extradata": '[x@1 a="b"]', "message": "hello"}, "2026-11-23T04:25:09.003"),
    ("mongodb", "2026-11-22T21:25:09.123+0000 I COMMAND  [conn1] command db.$cmd 12ms",
     {"time": "2026-11-22T21:25:09.123+0000", "severity": "I", "component": "COMMAND", "context": "conn1",
      "message": "command db.$cmd", "ms": "12"}, "2026-11-22T21:25:09.123"),
    ("docker-daemon", 'time="2026-11-22T21:25:09.5Z" level=info msg="API listen"',
     {"time": "2026-11-22T21:25:09.5Z", "level": "info", "msg": "API listen"}, "2026-11-22T21:25:09.5"),
    ("envoy", '[2026-11-22T21:25:09.310Z] "GET /a HTTP/1.1" 200 - 0 5 2 1 "-" "curl/8" "id-1" "web" "10.0.0.2:80"',
     {"start_time": "2026-11-22T21:25:09.310Z", "method": "GET", "path": "/a", "protocol": "HTTP/1.1", "code": "200",
      "response_flags": "-", "bytes_received": "0", "bytes_sent": "5", "duration": "2",
      "x_envoy_upstream_service_time": "1", "x_forwarded_for": "-", "user_agent": "curl/8", "request_id": "id-1",
      "authority": "web", "upstream_host": "10.0.0.2:80"}, "2026-11-22T21:25:09.31"),
    ("istio-envoy-proxy",
     '[2026-11-22T21:25:09.310Z] "GET /a HTTP/1.1" 503 UF via_upstream - "TLS error" 0 5 2 1 "-" "curl/8" "id-1" '
     '"web:80" "10.0.0.2:80" inbound|80|| 127.0.0.1:4 10.0.0.2:80 10.0.0.3:5 outbound_.80_._.web default',
     {"start_time": "2026-11-22T21:25:09.310Z", "method": "GET", "path": "/a", "protocol": "HTTP/1.1",
      "response_code": "503", "response_flags": "UF", "response_code_details": "via_upstream",
      "connection_termination_details": "-", "upstream_transport_failure_reason": "TLS error", "bytes_received": "0",
      "bytes_sent": "5", "duration": "2", "x_envoy_upstream_service_time": "1", "x_forwarded_for": "-",
      "user_agent": "curl/8", "x_request_id": "id-1", "authority": "web:80", "upstream_host": "10.0.0.2:80",
      "upstream_cluster": "inbound|80||", "upstream_local_address": "127.0.0.1:4",
      "downstream_local_address": "10.0.0.2:80", "downstream_remote_address": "10.0.0.3:5",
      "requested_server_name": "outbound_.80_._.web", "route_name": "default"}, "2026-11-22T21:25:09.31"),
    ("kmsg-netfilter-log",
     "<4>1 2026-11-22T21:25:09.944+01:00 node-1 kernel - - - [645464.777320] DROP IN=eth0 OUT= MAC=94:2b:08:00 "
     "SRC=10.0.0.1 DST=10.0.0.2 LEN=40 TOS=0x00 PREC=0x00 TTL=239 ID=34391 DF PROTO=TCP SPT=42694 DPT=80 WINDOW=1024 "
     "RES=0x00 SYN URGP=0",
     {"pri": "4", "host": "node-1", "logprefix": "DROP", "in": "eth0", "macsrc": "94:2b:08:00", "saddr": "10.0.0.1",
      "daddr": "10.0.0.2", "len": "40", "tos": "0x00", "prec": "0x00", "ttl": "239", "id": "34391", "proto": "TCP",
      "sport": "42694", "dport": "80", "window": "1024", "res": "0x00", "flag": "SYN", "urgp": "0"},
     "2026-11-22T20:25:09.944"),
    ("kube-custom", "kube.web-1_shop_app-" + "0a" * 32 + ".log",
     {"tag": "kube", "pod_name": "web-1", "namespace_name": "shop", "container_name": "app", "docker_id": "0a" * 32},
     None),
    ("json", '{"a":1,"time":"22/Nov/2026:21:25:09 +0000"}', {"a": 1}, "2026-11-22T21:25:09"),
    ("logfmt", "a=1", {"a": "1"}, None),
    ("ltsv", "a:1", {"a": "1"}, None),
    ("cri", "2026-11-22T21:25:09Z stdout F x", {"stream": "stdout", "logtag": "F", "message": "x"},
     "2026-11-22T21:25:09"),
    ("docker", '{"log":"x","time":"2026-11-22T21:25:09Z"}', {"log": "x", "time": "2026-11-22T21:25:09Z"},
     "2026-11-22T21:25:09"),
    ("klog", "I1122 21:25:09.518619 1 a.go:1] x", {"severity": "info", "thread": 1, "caller": "a.go:1", "msg": "x"},
     "2026-11-22T21:25:09.518619"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "expected", "when"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_a_known_parser_gives_its_fields(name: str, line: str, expected: dict[str, Any], when: str | None) -> None:
    found = Library(clock=lambda: NOW).parser(name).parse(line.encode())
    assert found == Parsed(expected, ns(when) if when else None)


def test_every_bundled_parser_has_a_sample() -> None:
    assert {sample[0] for sample in SAMPLES} == set(libraries.bundled())


def test_a_configuration_brings_its_own_and_may_replace_the_bundled(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    begin = "[PARSER]\n  Name apache\n  Format regex\n  Regex ^(?<all>.*)$\n"
    path.write_text(begin + "[INPUT]\n  Name tail\n[OUTPUT]\n  Name null\n")
    library = Library(load_pipeline(path, Known(["tail"], [], ["null"])).parsers)
    found = library.parser("apache").parse(b"x")
    assert found is not None
    assert found.fields == {"all": "x"}
    with pytest.raises(UsageError, match=r"there is no parser 'ngnix'; did you mean 'nginx'\?"):
        library.parser("ngnix")
    path.write_text(path.read_text().replace("(?<all>", "(?<all"))
    with pytest.raises(UsageError, match=r"a.conf:[24]: .*regex '\^\(\?<all"):
        Library(load_pipeline(path, Known(["tail"], [], ["null"])).parsers)


def test_a_parser_of_the_same_section_gives_the_same() -> None:
    keys = {"name": "x", "format": "klog"}
    line = b'I1122 21:25:09.518619 1 a.go:1] "m" a="1"'
    assert parser_of(keys, lambda: NOW).parse(line) == parser_of(keys, lambda: NOW).parse(line)
