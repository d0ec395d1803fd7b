"""The audit's page: what all its parts draw."""

from pellucid import report

from .findings import Findings
from .sections import PARTS


def audit_page(found: Findings) -> str:
    """The whole page."""
    record = found.record
    name = str(record.model.get("spec") or record.model.get("architecture") or "model")
    split = f", split {record.data['split']}" if record.data.get("split") else ""
    made = record.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{len(found.predictions):,} images of {record.data['path']}{split}, asked of {name} on {made} UTC"
    facts = [fact for part in PARTS for fact in part.facts(found)]
    sections = [section for part in PARTS for section in part.sections(found)]
    return report.page(f"Audit of {name.rstrip('/').rpartition('/')[2]}", subtitle, facts, sections, record)
