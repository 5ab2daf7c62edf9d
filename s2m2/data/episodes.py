# shim
from s2m2.tasks.episodes import OPEN_SET as UNKNOWN  # noqa: F401
from s2m2.tasks.episodes import EpisodeIndices as EpisodeIndices
from s2m2.tasks.episodes import EpisodeSpec as EpisodeSpec
from s2m2.tasks.episodes import join_episodes as join_episodes
