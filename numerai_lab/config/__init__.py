"""The YAML of a run: schema, loading, checks, and what a config that names no variants compares."""
