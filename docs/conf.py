"""How Sphinx builds these pages: Markdown in, HTML out, nothing fetched (`make docs`)."""

from hstu_preserve import __version__

project = "hstu-preserve"
author = "The hstu-preserve developers"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build"]
html_theme = "furo"
html_title = f"hstu-preserve {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_show_copyright = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
default_role = "literal"  # docstrings write `names` as Markdown does
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 70
# Types of Python and of this package's internals have no page here to link to.
nitpick_ignore_regex = [(r"py:.*", r".*")]
