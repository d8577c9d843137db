"""The tables of docs/kubernetes-events.md: `python -m tests.inputs.events_docs` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from kubewitness.inputs.kubernetes_events_keys import KEYS

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes-events.md"

ACCEPTED = "every_key_is_accepted_with_its_default"
#: key -> (part of) the name of the test of what it does; any other key: ACCEPTED
TESTED = {
    "kube_url": "the_documented_example_runs_unchanged_as_in_a_pod",
    "interval_sec": "where_a_watch_is_refused_the_events_are_polled_without_repeats",
    "interval_nsec": "the_period_of_polling_is_both_intervals_together",
    "kube_watch_timeout": "a_watch_ends_after_its_time_and_is_resumed",
    "kube_ca_file": "a_proxy_of_the_environment_is_used",
    "kube_ca_path": "certificates_of_a_folder_are_trusted",
    "kube_token_file": "a_token_replaced_on_disk_is_used_at_once_after_a_401",
    "kube_token_ttl": "what_a_token_command_printed_is_used_for_the_ttl",
    "kube_token_command": "a_token_command_is_asked_again",
    "kube_request_limit": "what_was_there_is_listed_page_by_page",
    "kube_retention_time": "e8_a_series_has_the_time_it_was_last_seen",
    "kube_namespace": "one_namespace_is_listed_and_watched_by_its_own_path",
    "tls.verify": "the_name_in_the_certificate_is_checked",
    "tls.verify_hostname": "the_name_in_the_certificate_is_checked",
    "tls.vhost": "the_name_in_the_certificate_is_checked",
    "tls.ca_file": "the_name_in_the_certificate_is_checked",
    "tls.ca_path": "certificates_of_a_folder_are_trusted",
    "tls.crt_file": "a_client_certificate_is_shown",
    "tls.key_file": "a_client_certificate_is_shown",
    "tls.key_passwd": "a_client_certificate_is_shown",
    "tls.min_version": "versions_and_ciphers_of_tls_are_set",
    "tls.max_version": "versions_and_ciphers_of_tls_are_set",
    "tls.ciphers": "versions_and_ciphers_of_tls_are_set",
    "net.connect_timeout": "keys_of_the_network_reach_the_connections",
    "net.source_address": "keys_of_the_network_reach_the_connections",
    "net.keepalive": "keys_of_the_network_reach_the_connections",
    "net.keepalive_idle_timeout": "keys_of_the_network_reach_the_connections",
    "net.proxy_env_ignore": "a_proxy_of_the_kubeconfig_is_used",
    "tag": "tag_alias_and_cluster_name_what_is_recorded",
    "alias": "tag_alias_and_cluster_name_what_is_recorded",
    "cluster": "tag_alias_and_cluster_name_what_is_recorded",
    "mem_buf_limit": "e9_when_there_is_no_room_the_server_waits",
    "kubeconfig": "a_proxy_of_the_kubeconfig_is_used",
    "context": "several_files_are_merged",
    "api": "events_of_the_newer_group_come_out_as_those_of_the_older",
    "events": "each_kind_has_a_position_of_its_own",
    "resources": "further_kinds_are_watched_into_objects",
    "watch": "polling_can_be_asked_for",
    "watch_idle": "a_connection_whose_other_half_is_gone_is_found_out",
}
#: number -> (the fault, tests beside those that bear its number)
FAULTS = {
    1: "a burst stalls the reader of the watch",
    2: "bytes of a chunk's border are taken for a record; the stream falls out of step",
    3: "with a saved state, bumps of a count are not seen",
    4: "a restart repeats what was sent, or misses what changed meanwhile",
    5: "a list broken off repeats its first pages at each attempt",
    6: "an empty `continue` token lists for ever",
    7: "a rotated token is not read until its TTL has passed",
    8: "a series is dated by its beginning, and dropped when that is old",
    9: "back-pressure throws away what had been read",
    10: "telling repeats costs a scan of all that is known",
    11: "a list is held in memory whole, several times over",
    12: "after a restore or a rebuild everything is skipped without a word",
    13: "a watch that ends is followed by a whole list; no bookmarks",
    14: "errors are silent, fractions of seconds cut, no numbers of its own",
    15: "JSON of another shape leaks memory or ends the stream",
}


def keys_table() -> str:
    rows = ["| key | default | meaning here | tested by |", "|---|---|---|---|"]
    for key in KEYS:
        default = f"`{key.default}`" if key.default else ""
        meaning = key.doc.replace("|", "\\|")
        rows.append(f"| `{key.name}` | {default} | {meaning} | {TESTED.get(key.name, ACCEPTED)} |")
    return "\n".join(rows)


def faults_table() -> str:
    names = [name for name in test_names() if re.match(r"test_e\d+_", name)]
    rows = ["| | elsewhere | here |", "|---|---|---|"]
    for number, fault in FAULTS.items():
        here = [n.removeprefix(f"test_e{number}_") for n in names if n.startswith(f"test_e{number}_")]
        rows.append(f"| e{number} | {fault} | {'; '.join(here)} |")
    return "\n".join(rows)


def test_names() -> list[str]:
    """Names of all tests of this input and of the access to clusters."""
    here = Path(__file__).parent
    files = [*here.glob("test_kubernetes_events*.py"), *(here.parent / "kube").glob("test_*.py")]
    return [name for file in sorted(files) for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))]


test_names.__test__ = False  # type: ignore[attr-defined]


def written(page: str) -> str:
    """The page with its tables as they must be."""
    for name, table in (("keys", keys_table()), ("faults", faults_table())):
        block = re.compile(f"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        page = block.sub(lambda m, table=table: m[1] + table + m[2], page)  # type: ignore[misc]
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
