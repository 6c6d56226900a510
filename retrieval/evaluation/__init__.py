"""Evaluation: exact metrics, published protocols as data, intervals, significance and reports."""
