"""How Sphinx builds this documentation: `make docs`."""

from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

PROJECT = Path(__file__).resolve().parent.parent

project = "QCPaaS"
author = "The QCPaaS contributors"
project_copyright = "2026, The QCPaaS contributors"
version = release = installed("qcpaas")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
napoleon_custom_sections = [("Source", "notes_style")]

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "QCPaaS"
html_static_path = ["figures"]
html_show_sphinx = False


def keep_text_of_folder_links(app: Sphinx, page: nodes.document) -> None:
    """A link to a folder of the project stays its text: there is no page to go to."""
    here = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(page.findall(addnodes.pending_xref)):
        folder = (here / link["reftarget"]).resolve()
        if link["reftype"] == "myst" and folder.is_relative_to(PROJECT) and folder.is_dir():
            link.replace_self(link.children)


def blocks_of_fences(*event: Any) -> None:
    """Examples in docstrings stand in Markdown's fences, which autodoc does not read."""
    lines = event[-1]
    inside = False
    for number, line in enumerate(lines):
        if line.strip().startswith("```"):
            inside = not inside
            lines[number] = ".. code-block:: python\n" if inside else ""
        elif inside:
            lines[number] = f"    {line}"
    lines[:] = "\n".join(lines).split("\n")


def setup(app: Sphinx) -> None:
    """Register what this project adds to Sphinx."""
    app.connect("doctree-read", keep_text_of_folder_links)
    app.connect("autodoc-process-docstring", blocks_of_fences, priority=100)
