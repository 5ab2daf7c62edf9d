# shim
from s2m2.tasks.episodes import TaskSource as EpisodeSource  # noqa: F401
from s2m2.tasks.sampler import BLOCK as BLOCK
from s2m2.tasks.sampler import TaskSampler as EpisodeSampler  # noqa: F401
from s2m2.tasks.sampler import iterate_tasks as iterate_episodes  # noqa: F401
from s2m2.tasks.sampler import sample_tasks as sample_episodes  # noqa: F401
