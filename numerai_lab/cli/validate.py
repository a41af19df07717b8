"""`nlab validate`: every problem of a config at once."""

from numerai_lab.cli.terminal import ConfigFile, Plugins, Set, say


def validate(config: ConfigFile, overrides: Set = None, plugin: Plugins = None) -> None:
    """Check a config, and say every problem at once."""
    from numerai_lab.config.installed import refuse_absent
    from numerai_lab.config.loading import load_config

    loaded, remarks = load_config(config, overrides or [])
    refuse_absent(loaded)
    for remark in remarks:
        say(remark)
    print(f"{config}: valid; {len(loaded.variants)} variants: {', '.join(loaded.variants)}")
