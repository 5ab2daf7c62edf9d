# shim
from s2m2.random import Purpose as Purpose
from s2m2.random import StepStream as StepStream
from s2m2.random import generator_for as generator_for
from s2m2.random import numpy_generator_for as numpy_generator_for
from s2m2.random import seed_for as seed_for
