"""Tables, plots and pages of finished runs."""

from numerai_lab.report.page import write_report
from numerai_lab.report.realism import write_realism

__all__ = ["write_realism", "write_report"]
