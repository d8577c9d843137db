"""Output `opensearch`: as `es`, whose bulk protocol it shares, without what is Elastic's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from kubewitness.outputs.es import EsOutput
from kubewitness.outputs.es_keys import OPENSEARCH_KEYS

KEYS = OPENSEARCH_KEYS


class OpensearchOutput(EsOutput):
    keys = OPENSEARCH_KEYS

    def __init__(
        self, keys: Mapping[str, str], name: str = "opensearch", clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(keys, name, clock)
