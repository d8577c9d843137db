"""Settings of all suites."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine makes inputs slowly and examples late; neither says anything about the code.
settings.register_profile("kubewitness", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("kubewitness")
