"""`nlab validate`: every problem of a config at once."""

import json
from typing import TYPE_CHECKING

import typer

from numerai_lab.cli.terminal import ConfigFile, FormatOption, Plugins, Set, put, put_text, say

if TYPE_CHECKING:
    from numerai_lab.config.schema import Config


def validate(config: ConfigFile, overrides: Set = None, plugin: Plugins = None, table_format: FormatOption = "table") -> None:
    """Check a config, and say every problem at once.

    With --format json it prints `valid` and a list of `problems`. The exit code is 2 where there are some.
    """
    from numerai_lab.config.loading import load_config
    from numerai_lab.core.errors import NlabError

    try:
        loaded, remarks = load_config(config, overrides or [])
        _refuse_what_cannot_run(loaded)
    except NlabError as error:
        if table_format != "json":
            raise
        head, *lines = str(error).splitlines()
        problems = [line.strip() for line in lines] or [head.removeprefix(f"{config}: ")]
        put_text(json.dumps({"valid": False, "problems": problems}, indent=1, ensure_ascii=False))
        raise typer.Exit(error.exit_code) from error
    for remark in remarks:
        say(remark)
    if table_format == "json":
        put_text(json.dumps({"valid": True, "problems": []}, indent=1))
    else:
        put(f"{config}: valid; {len(loaded.variants)} variants: {', '.join(loaded.variants)}")


def _refuse_what_cannot_run(config: "Config") -> None:
    from numerai_lab.config.installed import refuse_absent

    refuse_absent(config)
