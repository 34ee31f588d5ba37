"""Sphinx configuration."""

import importlib.metadata

project = "mdmsdk"
author = "The mdmsdk developers"
project_copyright = author
release = version = importlib.metadata.version("mdmsdk")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "changes"]
html_theme = "furo"
html_title = f"mdmsdk {release}"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
# Pages that are read on their own, such as the README, start below the first level when they are included.
suppress_warnings = ["myst.header"]

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False

# References to our own names have to resolve. Other projects' need not: their inventories are online.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!mdmsdk)[A-Za-z_]\w*(\.\w+)+"),
    (r"py:class", r"[A-Z][a-zA-Z]?_?(co|contra)?"),
]
