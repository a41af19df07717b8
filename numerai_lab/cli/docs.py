"""`nlab docs`: shows the manual in the terminal."""

import os
import sys
from typing import Annotated

import typer

from numerai_lab.cli.terminal import put, put_text, say, stop


def docs(
    context: typer.Context,
    page: Annotated[
        str | None,
        typer.Argument(help="a page, or `skill`, the skill for agents; default: list the pages", show_default=False),
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="WORD", help="print every line of the manual that contains a word", show_default=False)
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", hidden=True, help="rewrite the generated sections")] = False,
) -> None:
    """Read the manual: list its pages, print one, or search them."""
    from numerai_lab.docs import pages

    if generate:
        from numerai_lab.docs.generate import write

        say(f"rewritten: {', '.join(write(context.find_root().command)) or 'nothing, all pages are fresh'}")
    elif search is not None:
        _print_matches(search, page)
    elif page is None:
        width = max(map(len, pages.ORDER))
        put(*(f"{name:{width}}  {pages.summary(name)}" for name in pages.ORDER))
        say("\n`nlab docs PAGE` prints a page, `nlab docs --search WORD` searches all of them")
    elif page == "skill":
        put_text(pages.skill())
    else:
        _print_page(_known(page))


def _known(page: str) -> str:
    from numerai_lab.core.errors import nearest
    from numerai_lab.docs.pages import ORDER

    if page not in ORDER:
        stop(f"docs: no page {page!r}; {nearest(page, ORDER)}")
    return page


def _print_matches(word: str, page: str | None) -> None:
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.docs.pages import search

    only = None if page is None else _known(page)
    matches = [match for match in search(word) if only in (None, match.page)]
    if not matches:
        raise NlabFailure(f"docs: nothing in {only or 'the manual'} contains {word!r}")
    place = ""
    for match in matches:
        if place != (place := f"{match.page} · {match.heading}"):
            put(place)
        put(f"    {match.line}")


def _print_page(page: str) -> None:
    """Prints a page: plain Markdown into a pipe, rendered and paged on a terminal."""
    from numerai_lab.docs.pages import for_terminal, text

    if not sys.stdout.isatty():
        put_text(text(page))
        return
    import pydoc

    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(Markdown(for_terminal(page), hyperlinks=False))
    os.environ.setdefault("LESS", "-R")  # without -R less shows colours as escape codes
    pydoc.pager(capture.get())
