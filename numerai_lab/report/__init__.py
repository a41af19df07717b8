"""Tables, plots and pages of finished runs."""

from numerai_lab.report.page import write_report

__all__ = ["write_report"]
