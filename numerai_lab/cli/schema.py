"""`nlab schema`: the JSON schema by which editors complete configs."""

from numerai_lab.cli.terminal import put_text


def schema() -> None:
    """Print the JSON schema of configs, for editors."""
    from numerai_lab.runs.new_workspace import schema_text

    put_text(schema_text())
