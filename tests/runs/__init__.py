"""Tests of numerai_lab.runs."""
