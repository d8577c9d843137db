"""The monitoring port of a pipeline: it stays through reloads, unless a configuration names another address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from kubewitness.cli.pipeline_parts import Service
from kubewitness.errors import UsageError
from kubewitness.filters import FILTERS
from kubewitness.inputs import INPUTS
from kubewitness.outputs import OUTPUTS
from kubewitness.web.fluent_bit_api import FluentBitApi, Told
from kubewitness.web.fluent_bit_health import HealthWindow
from kubewitness.web.metrics import prometheus
from kubewitness.web.monitor import Monitor

_PLUGINS = {"inputs": sorted(INPUTS), "filters": sorted(FILTERS), "outputs": sorted(OUTPUTS)}
#: seconds between two looks at what failed
_EVERY = 1.0
_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug"))


class LogCount(logging.Handler):
    """Counts what the log says, by Fluent Bit's levels."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = dict.fromkeys(("error", "warn", "info", "debug", "trace"), 0)

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for at, name in _LEVELS if record.levelno >= at), "trace")
        self.lines[level] += 1


class Monitoring:
    """`health`: of the supervisor, as it is now; `metrics`: what filters count, as Prometheus text."""

    def __init__(self, told: Told, health: Callable[[], Mapping[str, object]], metrics: Callable[[], str]) -> None:
        self._told = told
        self._health = health
        self._metrics = metrics
        self._logged = LogCount()
        self._api = FluentBitApi(
            told, _PLUGINS, lambda: prometheus({"pipeline": health()}) + metrics(), logged=lambda: self._logged.lines
        )
        self._address: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self.window = HealthWindow()

    async def run(self, service: Service) -> None:
        """Answers as this service says, and notes what failed. Goes on answering when it is cancelled, until `close`.
        UsageError when its address cannot be had."""
        options = service.options
        self.window = HealthWindow(
            errors=options.number("hc_errors_count"),
            retries_failed=options.number("hc_retry_failure_count"),
            period=options.number("hc_period"),
        )
        if service.monitor != self._address:
            self.close()
            logging.getLogger().addHandler(self._logged)
            await self._listen(service)
        while True:
            outputs = self._told.counts()["output"].values()
            self.window.note(sum(told["errors"] for told in outputs), sum(told["retries_failed"] for told in outputs))
            await asyncio.sleep(_EVERY)

    async def _listen(self, service: Service) -> None:
        assert service.monitor is not None
        host, port = service.monitor
        try:
            self._server = await Monitor(host, port, self._health, self._metrics, api=self._api).listen()
        except OSError as e:
            raise UsageError(f"{service.where('http_port')}: http_listen {host}, http_port {port}: {e.strerror}") from e
        self._address = service.monitor

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = self._address = None
        logging.getLogger().removeHandler(self._logged)
