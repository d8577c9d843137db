"""Tests that drive a real Kubernetes control plane on 127.0.0.1 (marker `cluster`; docs/testing.md)."""
