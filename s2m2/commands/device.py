# shim
from s2m2.training.devices import build_fabric as build_fabric
from s2m2.training.devices import state_float32 as state_float32
