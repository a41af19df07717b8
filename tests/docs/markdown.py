"""Reads Markdown for the tests of the manual: code blocks, headings, links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "numerai_lab" / "docs").glob("*.md"))
README, SHIPPED, RESULTS = ROOT / "README.md", ROOT / "configs" / "README.md", ROOT / "tests" / "bench" / "RESULTS.md"
SKILL = ROOT / "numerai_lab" / ".agents" / "skills" / "numerai-lab" / "SKILL.md"
MANUAL = [README, SHIPPED, RESULTS, SKILL, *PAGES]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+)$", flags=re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced code block: its language, the word behind the language (``no-run``), its text, and where it is."""

    path: Path
    line: int
    language: str
    mode: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


def blocks(path: Path, *languages: str) -> list[Block]:
    """The code blocks of a page, of these languages or all."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        language, _, mode = match[1].strip().partition(" ")
        found.append(Block(path, text.count("\n", 0, match.start()) + 1, language, mode, match[2]))
    return [block for block in found if not languages or block.language in languages]


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The fragments that links to the headings of a page may have, as GitHub makes them."""
    headings = HEADING.findall(prose(path))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(path: Path) -> list[str]:
    """The targets of all links and images of a page."""
    return LINK.findall(CODE.sub("", prose(path)))
