# shim
from s2m2.tasks.sampler import ClassPool as ClassRows  # noqa: F401
from s2m2.tasks.sampler import TaskPools as TaskRows  # noqa: F401
from s2m2.tasks.sampler import distinct as distinct
