"""A lesson: a small exact thing worked through, for the terminal in steps and as one page with its figures."""

from dataclasses import dataclass
from textwrap import indent

from pellucid import report
from pellucid.records import Record
from pellucid.report import Fact, Section


@dataclass(frozen=True)
class Lesson:
    """What a lesson shows."""

    title: str
    lead: str  # one or two sentences: what it is about
    steps: tuple[str, ...]  # in order; the first line of each says it, further lines show the numbers
    facts: tuple[Fact, ...]  # what to take home
    sections: tuple[Section, ...]  # with the figures: report.drawings

    def page(self, record: Record) -> str:
        """The lesson as one page of HTML, its worked steps at the end."""
        worked = Section("steps", "Step by step", "The same with every number.", report.worked_steps(self.steps))
        return report.page(self.title, self.lead, self.facts, [*self.sections, worked], record)

    def text(self) -> str:
        """The lesson as lines for a terminal: what it is about, and its worked steps."""
        worked = [f"{number}. {indent(step, '   ').lstrip()}" for number, step in enumerate(self.steps, 1)]
        return "\n\n".join([f"{self.title}\n{self.lead}", *worked])
