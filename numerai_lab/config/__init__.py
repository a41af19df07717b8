"""The YAML config of a run: schema, loading, checks and default variants."""
