"""Sphinx configuration."""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

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
# Attributes stand in the class's own text; as entries of their own, those of named tuples would come twice.
napoleon_use_ivar = True

# References to our own names have to resolve. Other projects' need not: their inventories are online.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!mdmsdk)[A-Za-z_]\w*(\.\w+)+"),
    # Type variables, which have no entry.
    (r"py:class", r"[A-Z][a-zA-Z]?_?(co|contra)?"),
    (r"py:(class|obj)", r"mdmsdk\..*\.([A-Z]|\w+T)"),
    # Other projects' names without their module, as annotations have them.
    (r"py:class", r"AfterValidator|Any|BaseModel|BeforeValidator|ConfigDict|Path|SecretStr|datetime|tzinfo"),
    # Private helpers in annotations, and private bases that a class's signature names.
    (r"py:class", r"(mdmsdk\.[\w.]*\.)?_\w+"),
    (
        r"py:class",
        r"mdmsdk\.(ise\.discovery\.IseDiscovery|ise\.settings\.ProtocolSettings|models\.FrozenModel|settings\.Settings)",
    ),
    (r"py:class", r"mdmsdk\._run\.facade\.Facade|mdmsdk\.simulator\._ise_xml\.Writer"),
    # Annotated texts, which a type alias names; before a colon in their docstring a type is expected.
    (
        r"py:class",
        r"(mdmsdk\.[\w.]+\.)?(BasicUsername|Broken|Credential|Failure|Host|Merge|ServerPath|Texts|Url|Version)",
    ),
    (
        r"py:class",
        r"(mdmsdk\.\w+\.)?(Where|Word)",
    ),
    # Of the attributes "form, json, body" all but the last are taken for a type.
    (r"py:class", r"form|json"),
]

# The modules of the API page. A name in an annotation or under "Raises" has no module in front, or that in
# which it is defined; here it is found under the one that applications import it from.
DOCUMENTED = [
    f"mdmsdk.{name}"
    for names in (
        ("client", "federation", "config", "errors", "identifiers", "certificates", "models", "settings"),
        (
            "provider",
            "rows",
            "rules",
            "refusals",
            "logins",
            "proof",
            "search",
            "batch",
            "flow",
            "paging",
            "changes",
            "wire",
        ),
        ("registry", "progress", "store", "directory"),
        ("ise", "testing", "simulator"),
    )
    for name in names
]


def find_public(app: "Sphinx", env: "BuildEnvironment", node: "pending_xref", text: "Element") -> Any:
    """Resolve a reference to one of our public names, wherever it is said to be from."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or ("." in target and not target.startswith("mdmsdk.")):
        return None
    name = target.rpartition(".")[2]
    homes = [home for home in DOCUMENTED if name in importlib.import_module(home).__all__]
    exact = next((home for home in homes if f"{home}.{name}" == target), None)
    if not homes or exact:
        return None
    domain = env.get_domain("py")
    full = f"{homes[0]}.{name}"
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, text)


def setup(app: "Sphinx") -> None:
    """Register what is above."""
    app.connect("missing-reference", find_public)
