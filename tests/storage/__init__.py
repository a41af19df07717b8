"""Tests of numerai_lab.storage."""
