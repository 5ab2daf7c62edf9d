"""Formulas as MathML, which browsers draw themselves: no script, no font and no request. The converter is that of docutils."""

from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
BARS = {
    '<mo class="mathopen">‖</mo>': '<mo stretchy="false" form="prefix">‖</mo>',
    "<mo>‖</mo>": '<mo stretchy="false" form="postfix">‖</mo>',
}
"""Bars of a norm, which browsers would stretch to the height of all that stands beside them."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(as_mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own line."""
    translator.body.append(f'<div class="formula">{as_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def as_mathml(node: nodes.Node, *, as_block: bool) -> str:
    """The MathML of a formula in LaTeX; what cannot be converted is a warning, and stays LaTeX."""
    source = node.astext()
    try:
        formula = tex2mathml(source, as_block=as_block)
    except MathError as error:
        LOGGER.warning("formula %r: %s", source, error, location=node)
        return f"<code>{escape(source)}</code>"
    for bar, fixed in BARS.items():
        formula = formula.replace(bar, fixed)
    return formula
