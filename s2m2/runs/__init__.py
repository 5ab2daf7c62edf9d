"""Everything that touches the disk of a run: the directory, the checkpoints, the metrics, the provenance."""
