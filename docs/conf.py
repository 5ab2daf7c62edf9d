"""The documentation site: `uv run --group docs sphinx-build -W -b html docs build/site`."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

import s2m2  # noqa: E402

project = "s2m2"
author = "the s2m2 project"
copyright = "the s2m2 project, Apache-2.0"  # noqa: A001 (Sphinx's name)
version = release = s2m2.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "from_the_code",
    "mathml",
    "offline",
    "outside_links",
]
exclude_patterns = ["_ext", "tutorials"]
# Copies and rendered tutorials lie beside their sources while a site is built; git ignores both folders.
reports_folder, gallery_folder = "reports", "learn"

html_theme = "furo"
html_title = "s2m2"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_math_renderer = "mathml"
# Flags begin with two hyphens, which must stay two.
smartquotes = False
default_role = "py:obj"
pygments_style = "friendly"

myst_enable_extensions = ["attrs_inline", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 160
napoleon_numpy_docstring = False
add_module_names = False
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": gallery_folder,
    # Every script runs, whatever its name.
    "filename_pattern": r".*\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    # What a line returns by the way, a generator say, is no output.
    "capture_repr": ("_repr_html_",),
    "min_reported_time": 1e9,
    "remove_config_comments": True,
}
