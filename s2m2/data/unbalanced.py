# shim
from s2m2.tasks.sampler import dirichlet_counts as dirichlet_counts
from s2m2.tasks.sampler import variable_counts as variable_counts
