"""The engine between inputs and outputs: durable hand-over, retry, supervision, shutdown.

`Committer` and `MemoryQueue` are the sinks that inputs write to, `JournalFeed` and `MemoryQueue` the feeds that
outputs are served from, `Supervisor` runs them all.
"""

from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.committer import Committer
from kubewitness.pipeline.feeds import Feed, JournalFeed, MemoryQueue
from kubewitness.pipeline.supervisor import Supervisor

__all__ = ["Backoff", "Committer", "Feed", "JournalFeed", "MemoryQueue", "Supervisor"]
