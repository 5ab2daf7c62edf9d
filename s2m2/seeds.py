# shim
from s2m2.random import Purpose as Purpose
from s2m2.random import seed_for as seed_for
