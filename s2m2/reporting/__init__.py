# shim
"""Moved to `s2m2.reports`."""
