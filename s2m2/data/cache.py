# shim
from s2m2.data.dataset import CACHE_VARIABLE, user_cache

__all__ = ["CACHE_VARIABLE", "user_cache"]
