"""Composition roots, one file a subject: they put the parts together and contain no maths."""
