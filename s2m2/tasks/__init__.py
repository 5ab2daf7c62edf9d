"""Few-shot tasks: index values, the sampler of all protocols, and task files."""

from s2m2.tasks.episode_sampler import EpisodeSampler as EpisodeSampler
