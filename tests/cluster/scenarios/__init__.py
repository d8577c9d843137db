"""Scenarios with a known truth: who ran what on a real control plane, and what it did.

`python -m tests.cluster.scenarios record --seed N --out DIR` plays all scenarios, composed by a seed, and writes what
the API server said beside what the driver knows; `score DIR` asks `who` and compares.
"""
