"""Help of a screen's length: the overview, and that of each command."""

from s2m2.cli.parsing import command_parser
from s2m2.cli.setting_list import Setting, name_lines, settings_of, wrap, write
from s2m2.cli.subcommands import COMMANDS, MAIN_COMMANDS, SECTIONS, Command

INDENT = 12


def print_overview() -> None:
    """`s2m2 --help`."""
    parts = [
        "Few-shot image classification: your own classes from a few images of each, and\n"
        "S2M2: self-supervised pretraining, fine-tuning with manifold mixup, evaluation.\n",
        "usage: s2m2 COMMAND [ARGUMENTS]\n",
    ]
    for name in MAIN_COMMANDS:
        command = COMMANDS[name]
        parts += [name_lines(name, command.summary, INDENT), f"{'':<{INDENT}}$ {command.examples[0][0]}"]
    parts.append("\nmore commands:")
    parts += [name_lines(name, command.summary, INDENT) for name, command in COMMANDS.items() if name not in MAIN_COMMANDS]
    parts.append("\n`s2m2 COMMAND --help` tells more. `s2m2 --version` prints the version.")
    write("\n".join(parts))


def print_help(name: str, *, everything: bool = False) -> None:
    """`s2m2 COMMAND --help`: its common settings, or all that concern it."""
    command = COMMANDS[name]
    options, settings = listed(name, command)
    everything = everything or not settings
    write(f"usage: {command.usage}\n\n{wrap(command.summary, 0, 0)}\n")
    write("\n".join(f"  $ {call}\n{wrap(text, 6, 6)}" for call, text in command.examples))
    if options:
        write("\noptions:\n" + "\n".join(one.lines(brief=not everything) for one in options))
    if settings:
        shown = settings if everything else [one for one in settings if one.flag in command.common]
        write("\nsettings of the recipe:\n" + "\n".join(one.lines(brief=not everything) for one in shown))
    if not everything:
        write(f"\nMore settings: `s2m2 {name} --help.all`, or `s2m2 settings [SECTION]`.")


def listed(name: str, command: Command) -> tuple[list[Setting], list[Setting]]:
    """Options of a command and its own settings, and the settings of the recipe that concern it."""
    if name == "settings":
        return [], []
    every = settings_of(command_parser(name, command))
    of_recipe = [
        one for one in every if command.sections and one.flag.split(".")[0] in SECTIONS and (one.flag == "seed" or "." in one.flag)
    ]
    shown = [one for one in of_recipe if one.flag.split(".")[0] in command.sections]
    return [one for one in every if one not in of_recipe], shown
