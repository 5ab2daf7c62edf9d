# shim
from s2m2.recipe.ranges import check as check
from s2m2.recipe.ranges import check_distinct as check_counts  # noqa: F401
