"""The HTML report of an evaluation: one page that needs nothing beside it."""

from retrieval.evaluation.report.page import check_report_packages, write_report

__all__ = ["check_report_packages", "write_report"]
