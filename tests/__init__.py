"""Tests, and the slow twins that they and the benchmarks compare with."""
