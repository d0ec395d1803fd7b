"""Asks a model everything and gathers frozen findings: one page, and the same facts as files."""

from .audit import Audit, audit

__all__ = ["Audit", "audit"]
