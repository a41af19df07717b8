"""Fits the pages into a site (mkdocs): adds the pages of the repository, and points links at them."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[3]
ADDED = {"index.md": "README.md", "results.md": "tests/bench/RESULTS.md", "shipped-configs.md": "configs/README.md"}
"""Page of the site → file of the repository."""


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that lie outside the manual's folder, and the picture of the README."""
    for page, path in {**ADDED, "configs/quickstart.png": "configs/quickstart.png"}.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Takes the test's marks off code blocks, and sends links to pages of the site; a file that is none loses its link."""
    folder = (ROOT / ADDED.get(page.file.src_uri, "numerai_lab/docs/page.md")).parent
    plain = re.sub(r"^```(\w+) [\w-]+$", r"```\1", markdown, flags=re.MULTILINE)
    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)", lambda link: _link(link, folder), plain)


def _link(link: re.Match[str], folder: Path) -> str:
    target = (folder / link[3]).resolve().relative_to(ROOT)
    pages = {path: page for page, path in ADDED.items()}
    if target.parent == Path("numerai_lab/docs"):
        place = target.name
    elif str(target) in pages:
        place = pages[str(target)]
    elif link[1]:
        place = str(target)
    else:
        return f"`{link[2]}`" if target.stem == link[2] else f"{link[2]} (`{target}`)"
    return f"{link[1]}[{link[2]}]({place}{link[4] or ''})"
