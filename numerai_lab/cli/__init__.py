"""The `nlab` command: app.py and one file a command; no logic."""
