"""Tests of numerai_lab.config."""
