"""The documentation's site: `sphinx-build -W --keep-going docs site` makes it, and fails on whatever is broken.

Reference pages hold a line such as `<!-- generated: commands -->`, and are filled in by `reference_pages.py` when they
are read, so that they cannot be out of date.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from reference_pages import PAGES

project = "Plimsoll"
author = "Plimsoll's authors"
extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["_static"]
nitpicky = True
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = "Plimsoll"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"footer_icons": []}
pygments_style = "xcode"
pygments_dark_style = "github-dark"
highlight_language = "none"
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

_GENERATED = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


_DECISIONS = "\n\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"
"""Decisions stand below their list in the navigation; the list itself is read in the repository too."""


def _fill_in(_app: Any, page: str, source: list[str]) -> None:
    source[0] += _DECISIONS if page == "adr/README" else ""
    source[0] = _GENERATED.sub(lambda found: PAGES[found[1]](), source[0])


def _mend(_app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """What keeps out who uses a keyboard or a screen reader: headings without a level, blocks that only scroll."""
    heading, level = 'role="heading"', ' aria-level="2"'
    context["furo_navigation_tree"] = context["furo_navigation_tree"].replace(heading, heading + level)
    context["body"] = context.get("body", "").replace("<pre>", '<pre tabindex="0">')


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _fill_in)
    app.connect("html-page-context", _mend, priority=900)  # after Furo's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
