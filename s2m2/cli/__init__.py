"""The command line. Help, settings and wrong input are answered before torch is imported."""

from s2m2.cli.dispatch import main

__all__ = ["main"]
