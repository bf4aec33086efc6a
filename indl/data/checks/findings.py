"""What a check of data found: findings in plain words, and the report that holds them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: From what stops the work to what is only good to know.
SEVERITIES = ("error", "warning", "note")
_MAX_LISTED = 10


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Args:
        severity: ``"error"`` (cannot be used), ``"warning"`` (suspicious) or ``"note"`` (good to know).
        code: Short name of the kind of finding, e.g. ``"silent-channels"``.
        where: Name of the array, or of whatever else it was found in.
        problem: What is wrong, a sentence.
        got: What came, a sentence that begins with "Given:".
        advice: What to do, a sentence or two.
        count: How many elements (values, channels, trials) are concerned; 0 where that has no meaning.
        total: Of how many.
        first: Index of the first of them.
        details: Further values, e.g. the indices of all channels.
    """

    severity: str
    code: str
    where: str
    problem: str
    got: str
    advice: str
    count: int = 0
    total: int = 0
    first: tuple[int, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """All three parts in one line."""
        return " ".join(part for part in (self.problem, self.got, self.advice) if part)

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}"


@dataclass(frozen=True)
class CheckReport:
    """All findings of one check.

    Args:
        findings: The findings, in the order in which they were made.
        subject: What was looked at, in a line.

    Example:
        >>> import numpy as np
        >>> from indl.data import Trials, examine
        >>> counts = np.random.default_rng(0).poisson(2.0, (40, 20, 4))
        >>> counts[:, :, 3] = counts[:, :, 1]
        >>> report = examine(Trials(counts, 0.02))
        >>> report.ok, [finding.code for finding in report.warnings]
        (True, ['duplicated-channels'])
    """

    findings: tuple[Finding, ...]
    subject: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What makes the data unusable."""
        return self.of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is suspicious."""
        return self.of("warning")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is good to know."""
        return self.of("note")

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def raise_errors(self) -> None:
        """Do nothing if there is no error.

        Raises:
            ValueError: With every error, one a line.
        """
        if self.errors:
            raise ValueError("\n".join(finding.message for finding in self.errors))

    def warn(self, stacklevel: int = 2) -> None:
        """Give every warning as a `UserWarning`."""
        for finding in self.warnings:
            warnings.warn(finding.message, UserWarning, stacklevel=stacklevel)

    def lines(self) -> list[str]:
        """Every finding in a line, the severe ones first, as for a page of figures."""
        return [str(finding) for severity in SEVERITIES for finding in self.of(severity)]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that JSON can hold."""
        keys = ("severity", "code", "where", "message", "count", "total", "first", "details")
        found = [{key: _plain(getattr(finding, key)) for key in keys} for finding in self.findings]
        return {"subject": self.subject, "ok": self.ok, "findings": found}

    def __str__(self) -> str:
        totals = [_plural(len(self.of(severity)), severity) for severity in SEVERITIES if self.of(severity)]
        lines = [*([self.subject] if self.subject else []), ", ".join(totals) or "nothing found"]
        for severity in SEVERITIES:
            for i, finding in enumerate(self.of(severity)):
                lines += ["", f"{severity.upper()}S"] if i == 0 else []
                lines += [f"  {finding.code}: {finding.problem}"]
                lines += [f"    {finding.got}"] * bool(finding.got) + [f"    -> {finding.advice}"] * bool(
                    finding.advice
                )
        return "\n".join(lines)


def listed(values: Iterable[Any]) -> str:
    """The first ten of some values, e.g. "0, 2, 5, ..."."""
    values = list(values)
    return ", ".join(str(value) for value in values[:_MAX_LISTED]) + (", ..." if len(values) > _MAX_LISTED else "")


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
