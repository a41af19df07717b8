"""What `cli` is made of: a file for each family of commands, and what they print."""
