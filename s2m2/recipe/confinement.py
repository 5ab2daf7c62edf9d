"""A recipe from elsewhere writes below its run only; anything else takes a flag, or an argument in Python."""

from dataclasses import replace
from pathlib import Path

from s2m2.errors import InputError
from s2m2.recipe.tree import Recipe

SAVES = "evaluate.save_tasks"
"""The one setting that names a place to write to."""


def confined(recipe: Recipe, run: Path, *, own: bool) -> tuple[Recipe, str]:
    """A recipe of a file, without a place to write to outside the run.

    Args:
        own: it is the recipe that the run keeps, where the setting is that of an earlier call, or of whom the run comes from.

    Returns:
        A line on a setting that was left out is empty where there is none.

    Raises:
        InputError: a recipe file names such a place.
    """
    place = recipe.evaluate.save_tasks
    if place is None or place.expanduser().resolve().is_relative_to(run.resolve()):
        return recipe, ""
    if not own:
        raise InputError(f"the recipe has {SAVES} {place}, outside the run; a recipe file writes below {run} only, --{SAVES} anywhere")
    note = f"the recipe of {run} has {SAVES} {place}, outside the run, which only --{SAVES} may write to"
    return replace(recipe, evaluate=replace(recipe.evaluate, save_tasks=None)), note
