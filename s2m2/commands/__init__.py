"""Composition roots, one file a subcommand: they put the parts together and contain no maths."""
