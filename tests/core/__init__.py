"""Tests of numerai_lab.core."""
