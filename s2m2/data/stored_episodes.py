# shim
from s2m2.tasks.saved_tasks import SavedTasks as StoredEpisodes  # noqa: F401
from s2m2.tasks.saved_tasks import load_tasks as load_episodes  # noqa: F401
from s2m2.tasks.saved_tasks import save_tasks as save_episodes  # noqa: F401
