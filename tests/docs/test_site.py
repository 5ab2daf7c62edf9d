"""What of the documentation site needs no build: links for both places, complete reference pages, pages that ask no other host."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import s2m2
from s2m2.cli.setting_list import settings_of
from s2m2.cli.subcommands import COMMANDS
from s2m2.recipe import recipe_parser
from s2m2.recipe.parts import CLASSIFIERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BUILD = "uv run --group docs sphinx-build -q -W --keep-going -b html docs build/site"
PAGES = [
    *(page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in ("reports", "learn")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
]


def extension(name: str) -> ModuleType:
    """A module of `docs/_ext`."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def links() -> ModuleType:
    return extension("outside_links")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_of_the_repository(page: Path, links: ModuleType) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [match[2] for match in links.LINK.finditer(text) if "://" not in match[2] and not match[2].startswith("<")]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_links_out_of_the_docs_lead_to_pages_of_the_site_and_files_stay_files(links: ModuleType) -> None:
    page = (
        "[r](../../benchmarks/reports/class_interval-2026-11-21.md#a) [s](../../benchmarks/studies) [t](../tutorials/own_loop.py)\n"
        "[c](../../configs/cifar_fs/cpu.yaml) [d](../mixup.md) [w](https://example.org) ![f](../figures/spiral.png)\n"
        "```\n[code](../mixup.md)\n```\n"
    )
    assert links.with_site_links(page, "docs/how_to/x.md", "how_to/x") == (
        "[r](/reports/class_interval-2026-11-21.md#a) [s](/reports/index.md) [t](/learn/own_loop.rst)\n"
        "[c](../../configs/cifar_fs/cpu.yaml) [d](/mixup.md) [w](https://example.org) ![f](/figures/spiral.png)\n"
        "```\n[code](../mixup.md)\n```\n"
    )


def test_a_copied_report_finds_its_neighbors_and_figures(links: ModuleType) -> None:
    text = "[n](adam_of_tim-2026-11-21.md) ![f](../../docs/figures/spiral.png) [l](../../LICENSE)"
    turned = links.with_site_links(text, "benchmarks/reports/x.md", "reports/x")
    assert turned == "[n](/reports/adam_of_tim-2026-11-21.md) ![f](/figures/spiral.png) [l](../../LICENSE)"


def test_every_public_name_has_its_place_in_the_reference() -> None:
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: s2m2\.(\w+)$", text, re.MULTILINE))
    assert named == set(s2m2.__all__)


def test_every_classifier_has_a_heading_an_equation_or_a_reference_to_one_and_its_settings() -> None:
    text = (DOCS / "reference" / "few_shot_classifiers.md").read_text(encoding="utf-8")
    parts = {part.split("\n", 1)[0]: part for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]}
    assert set(parts) == set(CLASSIFIERS)
    for name, part in parts.items():
        assert f"<!-- classifier {name} -->" in part
        assert "$$" in part or re.search(r"loss of `\w+`|The same loss", part), name
        assert "*When:*" in part


def test_settings_commands_and_classifiers_are_made_from_the_code() -> None:
    made = extension("from_the_code")
    settings = made.settings_page()
    for setting in settings_of(recipe_parser(add_help=False)):
        assert f"`--{setting.flag} {setting.kind}`" in settings
    commands = made.commands_page()
    for name, command in COMMANDS.items():
        assert f"## s2m2 {name}\n" in commands
        assert command.usage in commands
    assert "`steps INT`{#setting-tim-steps} (default: 1000; 0 or more)" in made.classifier_part("tim")


def test_text_of_settings_is_no_markup() -> None:
    assert extension("from_the_code").plain("a_b *c* [d] <e> `f_g*`") == r"a\_b \*c\* \[d\] \<e\> `f_g*`"


def test_norms_and_products_of_docstrings_are_no_markup() -> None:
    docstrings = extension("docstrings")
    assert docstrings.escaped("* ||x|| of 4*n and `a|b`, x_") == r"* \|\|x\|\| of 4\*n and `a|b`, x\_"
    assert docstrings.with_literal_blocks(["Mean:", "    a + b", "then.", "", "Args:", "    x: one."]) == [
        *("Mean:", "", "::", "", "    a + b", "", "then.", "", "Args:", "    x: one."),
    ]


def test_a_signature_has_types_without_ranges() -> None:
    signature = "(*, steps: ~typing.Annotated[int, ~a.b.PositiveInt, '1 or more'] = 2, scale: Annotated[float, X, 'above 0'] | None = None)"
    shown = extension("docstrings").without_ranges(None, "class", "x", None, None, signature, None)
    assert shown == ("(*, steps: int = 2, scale: float | None = None)", None)


@pytest.mark.parametrize(
    "request_of",
    [
        '<script src="https://example.org/a.js"></script>',
        '<script src="//example.org/a.js"></script>',
        '<link rel="stylesheet" href="http://example.org/a.css">',
        '<link rel="preconnect" href="https://example.org">',
        '<img srcset="https://example.org/a.png 2x">',
        '<iframe src="https://example.org"></iframe>',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">',
        '<svg><image xlink:href="https://example.org/a.png"/></svg>',
        '<form action="https://example.org/search">',
    ],
)
def test_a_request_of_a_page_to_another_host_is_found(request_of: str) -> None:
    assert len(extension("offline").page_requests(request_of)) == 1


def test_links_to_follow_and_files_of_the_site_are_no_requests() -> None:
    followed = '<a href="https://example.org">a</a><link rel="canonical" href="https://example.org">'
    page = followed + '<script src="_static/a.js"></script><img src="data:image/png;base64,AA==">'
    assert extension("offline").page_requests(page) == []


def test_a_style_sheet_of_the_site_is_looked_at_too(tmp_path: Path) -> None:
    sheet = tmp_path / "_static" / "a.css"
    sheet.parent.mkdir()
    sheet.write_text("@font-face { src: url('https://example.org/f.woff2') }")
    assert list(extension("offline").site_requests(tmp_path)) == [(sheet, "https://example.org/f.woff2")]


@pytest.mark.parametrize("file", [".ci/run", "CONTRIBUTING.md"])
def test_the_site_is_built_by_one_command(file: str) -> None:
    assert BUILD in (ROOT / file).read_text(encoding="utf-8")
