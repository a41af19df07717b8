"""Bytes on disk: folders, locks, checksums, stores, and the cache of stages. Knows no config."""
