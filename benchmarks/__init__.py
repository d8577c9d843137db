"""Whole-process benchmarks beside their yardsticks: `make bench`."""
