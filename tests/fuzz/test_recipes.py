"""Recipes and flags of any content: settings, or one line that says what is wrong."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from s2m2.cli.parsing import command_parser, parse_recipe, parse_settings, parser_flags
from s2m2.cli.subcommands import COMMANDS
from s2m2.recipe import Recipe, read_recipe, recipe_to_yaml
from tests.fuzz.mutations import FEWER, LEAVES, accepts_or_refuses, documents, texts

YAML = recipe_to_yaml(Recipe())
TREE = yaml.safe_load(YAML)
PIECES = [
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!python/object:os.system ",
    "!!set ",
    "|",
    ">",
    "'",
    '"',
    "#",
    "<<: ",
    "~",
    "\t",
    "0o7",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@FEWER
@given(document=documents(TREE))
def test_recipes_of_other_values(folder: Path, document: object) -> None:
    (folder / "r.yaml").write_bytes(yaml.safe_dump(document, allow_unicode=True).encode(errors="surrogatepass"))
    accepts_or_refuses(lambda: read_recipe(folder / "r.yaml"))


@given(text=texts(YAML, PIECES))
def test_recipes_of_other_text(folder: Path, text: str) -> None:
    (folder / "r.yaml").write_bytes(text.encode(errors="surrogatepass"))
    accepts_or_refuses(lambda: read_recipe(folder / "r.yaml"))


@given(content=st.binary(max_size=200))
def test_recipes_of_any_bytes(folder: Path, content: bytes) -> None:
    (folder / "r.yaml").write_bytes(content)
    accepts_or_refuses(lambda: read_recipe(folder / "r.yaml"))


NAMES = sorted(name for name in COMMANDS if name != "settings")
FLAGS = {name: sorted(parser_flags(command_parser(name, COMMANDS[name]))) for name in NAMES}
WORDS = st.one_of(
    LEAVES.map(lambda value: str(value).replace("\0", "")),
    st.sampled_from(["-", "--", "-1", "=", "[1, 2]", "[", "{a: 1}", "null", "true", "1e400", "1_000", "nosuch.yaml", "--=", "---", "-x"]),
)


@FEWER
@given(data=st.data())
def test_calls_of_any_words(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    flag = st.sampled_from(FLAGS[name])
    words = data.draw(st.lists(st.one_of(flag, WORDS, st.tuples(flag, WORDS).map("=".join)), max_size=5))
    parse = parse_recipe if COMMANDS[name].sections else parse_settings
    accepts_or_refuses(lambda: parse(name, COMMANDS[name], words))
