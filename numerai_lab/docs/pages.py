"""Finds, lists and searches the pages of the manual."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
ORDER = (
    "quickstart",
    "configs",
    "your-own-data",
    "your-own-method",
    "data",
    "worlds",
    "methods",
    "commands",
    "scores-and-verdicts",
    "trust",
    "what-works",
    "tournament",
    "cache-and-resume",
    "cluster",
    "watch",
    "run-folder",
    "query",
    "python",
    "agents",
    "architecture",
    "contributing",
    "changelog",
)
"""The pages in reading order."""
SKILL = FOLDER.parent / ".agents" / "skills" / "numerai-lab" / "SKILL.md"
HEADING = re.compile(r"^#{1,6} +(.+)$")
FENCE = re.compile(r"^ *```")
LINK = re.compile(r"\[([^\]]+)\]\((?:([a-z-]+)\.md)?(?:#[^)]*)?\)")
"""A link to a page, or to a heading of the same page."""
MARKER = re.compile(r"^<!-- .* -->\n", flags=re.MULTILINE)


@dataclass(frozen=True)
class Match:
    """A line of a page that contains a searched word, and the heading it stands under."""

    page: str
    heading: str
    line: str


def source(page: str) -> str:
    """The Markdown text of a page, with the markers of its generated sections."""
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


def text(page: str) -> str:
    """The Markdown text of a page, for a reader."""
    return re.sub(r"\n{3,}", "\n\n", MARKER.sub("", source(page)))


def skill() -> str:
    """The skill that tells agents how to run an honest experiment: Markdown with a head of YAML."""
    return SKILL.read_text(encoding="utf-8")


def for_terminal(page: str) -> str:
    """The text of a page with links to other pages as the command that prints them."""
    return LINK.sub(lambda link: f"{link[1]} (`nlab docs {link[2]}`)" if link[2] else link[1], text(page))


def summary(page: str) -> str:
    """The line below the title of a page: what it is about."""
    return next(line for line in text(page).splitlines()[1:] if line.strip())


def search(word: str) -> list[Match]:
    """Every line that contains a word, whatever its case, page by page."""
    return [match for page in ORDER for match in _matches(page, word.casefold())]


def _matches(page: str, word: str) -> list[Match]:
    heading, in_code, matches = "", False, []
    for line in text(page).splitlines():
        in_code ^= bool(FENCE.match(line))
        if not in_code and (title := HEADING.match(line)):
            heading = title[1]
        if word in line.casefold():
            matches.append(Match(page, heading, line.strip()))
    return matches
