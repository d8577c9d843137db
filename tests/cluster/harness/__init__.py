"""Starts, stops, pauses and resumes the real parts of a Kubernetes control plane, on free ports of 127.0.0.1."""

from tests.cluster.harness.api import Api, Reply
from tests.cluster.harness.binaries import Binaries, NotInstalled, locate
from tests.cluster.harness.capture import RawWatch
from tests.cluster.harness.control_plane import ControlPlane
from tests.cluster.harness.options import HARNESS_POLICY, Options, Webhook, policy
from tests.cluster.harness.process import Part
from tests.cluster.harness.sink import WebhookSink
from tests.cluster.harness.waiting import until

__all__ = [
    "HARNESS_POLICY",
    "Api",
    "Binaries",
    "ControlPlane",
    "NotInstalled",
    "Options",
    "Part",
    "RawWatch",
    "Reply",
    "Webhook",
    "WebhookSink",
    "locate",
    "policy",
    "until",
]
