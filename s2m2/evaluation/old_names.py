"""Old keywords of constructors, until all callers have the new ones."""

from collections.abc import Callable
from typing import Any, TypeVar

Cls = TypeVar("Cls", bound=type)


def old_keywords(**names: str) -> Callable[[Cls], Cls]:
    """Let the constructor of a class take old keywords for new ones."""

    def wrap(cls: Cls) -> Cls:
        init = cls.__init__  # type: ignore[misc]

        def renamed(self: Any, **values: Any) -> None:
            init(self, **{names.get(name, name): value for name, value in values.items()})

        cls.__init__ = renamed  # type: ignore[misc]
        return cls

    return wrap
