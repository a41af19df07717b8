"""The `nlab` command: app.py, and one file per subcommand without logic of its own."""
