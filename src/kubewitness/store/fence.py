"""The fence: of two writers of one store, the one with the older term can commit nothing more.

A term is a number that grows with every leader (the leader election gives it). Each commit carries it as a Delta
transaction `kubewitness-leader`, and goes through the very handle whose own value of that transaction was looked at
before. The library refuses a commit through a handle that is behind (no retries); so a writer that was frozen between
its look and its commit is refused once anybody has committed, and a new leader commits to every table before it does
anything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from deltalake import CommitProperties, DeltaTable, Transaction

from kubewitness.errors import Fenced

#: application id of the Delta transaction whose version is the term
LEADER = "kubewitness-leader"


def term_of(table: DeltaTable) -> int:
    """The greatest term that has committed to what this handle sees; 0 for none."""
    return int(table.transaction_version(LEADER) or 0)


def check_term(name: str, table: DeltaTable, term: int | None) -> None:
    """Raises Fenced when a later leader than `term` has committed. Without a term nobody is fenced."""
    if term is not None and (theirs := term_of(table)) > term:
        raise Fenced(
            f"table {name}: leader number {theirs} writes the store now, this process was number {term}", theirs
        )


def commit_properties(term: int | None, transactions: Mapping[str, int]) -> CommitProperties:
    """For a commit through a checked handle: its cursors and its term, and no second try by the library."""
    listed = [Transaction(app, version) for app, version in transactions.items()]
    if term is not None:
        listed.append(Transaction(LEADER, term))
    return CommitProperties(app_transactions=listed, max_commit_retries=0)
