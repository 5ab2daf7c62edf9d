"""Parts of reference pages that are made from the package as the site is built, so that they cannot fall behind it.

A line `<!-- settings -->`, `<!-- commands -->` or `<!-- classifier NAME -->` of a page is replaced. The command line's help says the same,
from the same source: `s2m2/cli/setting_list.py`.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from jsonargparse import ArgumentParser

from s2m2.classifiers import load_class
from s2m2.cli.help import listed
from s2m2.cli.setting_list import Setting, sections, settings_of
from s2m2.cli.subcommands import COMMANDS, Command
from s2m2.recipe import recipe_parser
from s2m2.recipe.parts import CLASSIFIERS

MARK = re.compile(r"^<!-- (settings|commands|classifier (\w+)) -->$", re.MULTILINE)


def setup(app: Any) -> dict[str, Any]:
    """Fill pages as they are read, and read those again at every build."""
    app.connect("source-read", fill_page)
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: _filled_pages(env))
    app.connect("env-check-consistency", check_names)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def fill_page(app: Any, docname: str, source: list[str]) -> None:
    """Replace the marks of a page."""
    if docname.startswith("reference/"):
        source[0] = MARK.sub(_part, source[0])


def check_names(app: Any, env: Any) -> None:
    """Warn of public names that no page documents."""
    from sphinx.util import logging

    import s2m2

    documented = env.get_domain("py").objects
    missing = [name for name in s2m2.__all__ if f"s2m2.{name}" not in documented]
    if missing:
        logging.getLogger(__name__).warning("no page of the reference documents s2m2.%s", ", s2m2.".join(missing))


def settings_page() -> str:
    """Every section of a recipe with its settings."""
    every, parts = settings_of(recipe_parser(add_help=False)), []
    for path, summary in {"": "", **sections()}.items():
        own = [one for one in every if one.flag.rpartition(".")[0] == path]
        depth = "###" if "." in path else "##"
        title = f"({anchor(path)})=\n{depth} {path or 'Without a section'}"
        parts += [title, *([plain(summary)] if summary else []), definitions(own)]
    return "\n\n".join(parts)


def commands_page() -> str:
    """Every command with what it is for, examples and its own flags."""
    return "\n\n".join(_command(name, command) for name, command in COMMANDS.items())


def classifier_part(name: str) -> str:
    """What the code says of a classifier: its class, kind, needs and settings."""
    kind = load_class(name)
    instance = kind()
    facts = ["transductive" if kind.transductive else "inductive"]
    facts += ["assumes balanced queries"] if instance.assumes_balance() else []
    facts += ["takes no negative features"] if instance.needs_positive() else []
    facts += ["needs features of base classes"] if kind.needs_base else []
    parser = ArgumentParser(add_help=False)
    parser.add_class_arguments(kind, skip={"base", "random_state"})
    settings = settings_of(parser)
    shown = "\n\n".join(_definition(one, one.flag, f"{name}.{one.flag}") for one in settings) or "It has no settings."
    return f"{{py:class}}`s2m2.{kind.__name__}`, {', '.join(facts)}.\n\n{shown}"


def definitions(settings: Iterable[Setting], above: str = "") -> str:
    """Settings as a list of definitions; `above` makes the names of their places unique."""
    return "\n\n".join(_definition(one, f"--{one.flag}", above + one.flag.split(",")[0]) for one in settings)


def anchor(path: str) -> str:
    """Name of the place of a section of settings."""
    return f"settings-{path.replace('.', '-') or 'top'}"


def plain(text: str) -> str:
    """Text as Markdown that shows it as it is, except for code in backticks."""
    parts = " ".join(text.replace("\xa0", " ").split()).split("`")
    return "`".join(part if number % 2 else re.sub(r"([\\*_\[\]<>$|{}#])", r"\\\1", part) for number, part in enumerate(parts))


def _filled_pages(env: Any) -> list[str]:
    return [name for name in env.found_docs if name.startswith("reference/")]


def _part(match: re.Match[str]) -> str:
    makers: dict[str, Callable[[], str]] = {"settings": settings_page, "commands": commands_page}
    return classifier_part(match[2]) if match[2] else makers[match[1]]()


def _definition(setting: Setting, name: str, place: str) -> str:
    facts = plain("; ".join(filter(None, (setting.default, setting.limits))))
    head = f"`{f'{name} {setting.kind}'.strip()}`{{#setting-{re.sub(r'[._]', '-', place)}}}"
    return f"{head}{f' ({facts})' if facts else ''}\n: {plain(setting.text)}"


def _command(name: str, command: Command) -> str:
    parts = [f"(command-{name})=\n## s2m2 {name}", plain(command.summary), f"```\n{command.usage}\n```"]
    parts += [f"`{call}`\n: {plain(text)}" for call, text in command.examples]
    options, settings = listed(name, command)
    parts += [definitions(options, f"{name}.")] if options else []
    if settings:
        shown = [f"[`{path}`](#{anchor('' if path == 'seed' else path)})" for path in command.sections]
        parts.append(f"Settings of the recipe that concern it: {', '.join(shown)}.")
    return "\n\n".join(parts)


def names_of_classifiers() -> tuple[str, ...]:
    """Classifiers that the reference has to name, in their order."""
    return tuple(CLASSIFIERS)
