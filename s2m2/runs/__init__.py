"""A run on disk: directory, checkpoints, metrics, provenance, and trained backbones from it."""
