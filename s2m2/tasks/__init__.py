"""Few-shot tasks: index values, the sampler of all protocols, and task files."""
