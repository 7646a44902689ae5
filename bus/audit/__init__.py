"""The promises held against what is on the server: a file for each, reading only."""

from bus.audit.audit import audit, violations
from bus.audit.report import AuditReport, Violation

__all__ = ["AuditReport", "Violation", "audit", "violations"]
