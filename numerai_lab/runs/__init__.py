"""The run folder: file names, writing, reading, and the ledger of looks at holdouts."""
