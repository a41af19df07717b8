"""`nlab schema`: the JSON schema by which editors complete configs."""

import json


def schema() -> None:
    """Print the JSON schema of configs, for editors."""
    from numerai_lab.config.starter import schema as schema_of_configs

    print(json.dumps(schema_of_configs(), indent=1, ensure_ascii=False))
