"""Tests of numerai_lab.fitting."""
