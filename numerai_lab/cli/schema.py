"""`nlab schema`: the JSON schema by which editors complete configs."""


def schema() -> None:
    """Print the JSON schema of configs, for editors."""
    from numerai_lab.runs.new_workspace import schema_text

    print(schema_text(), end="")
