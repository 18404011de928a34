"""Ask the rules of the frames, and tell which were broken, how often, and by which rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.checks.frames import Tables, columns_frame, frames
from pipeline.checks.quiet_gx import quiet_context
from pipeline.checks.settings import ValidateSettings
from pipeline.checks.suites import Rule, Suite, columns_suite, suites

EXAMPLES = 3
LONGEST = 60  # characters of a value in an example
# Rows as a frame: GX's other way to name them, by "index columns", takes minutes where many of
# 616,000 captions break a rule.
FORMAT = {
    "result_format": "BASIC",
    "include_unexpected_rows": True,
    "partial_unexpected_count": EXAMPLES,
}


@dataclass(frozen=True)
class Outcome:
    """What came of one rule."""

    rule: Rule
    kept: bool
    broken: int  # rows; some may be, where the rule says so
    rows: int  # that were asked
    examples: list[str]  # of rows that break it

    def tell(self) -> str:
        """Name the rule, the count and three rows, in one line."""
        shown = f", for example {'; '.join(self.examples)}" if self.examples else ""
        return (
            f"{self.rule.name}: expected that {self.rule.says}. Received: {self.broken:,} of"
            f" {self.rows:,} rows that break this{shown}"
        )


@dataclass(frozen=True)
class SuiteOutcome:
    """What came of a suite: told by us, and as Great Expectations has it."""

    suite: Suite
    outcomes: list[Outcome]
    result: Any  # ExpectationSuiteValidationResult


def validate(tables: Tables, settings: ValidateSettings) -> list[SuiteOutcome]:
    """Ask all rules of the tables; those on the form alone where the form is broken.

    Args:
        tables: images, captions and dropped, see `frames.read_tables`.
        settings: the bounds.
    """
    done = [ask(columns_suite(), columns_frame(tables))]
    if broken(done, "error"):
        return done  # the other frames cannot be made of such tables
    made = frames(tables, settings)
    for suite in suites(settings, pictures=tables["images"].num_rows):
        done.append(ask(suite, made.pop(suite.name)))
    return done


def broken(done: list[SuiteOutcome], severity: str) -> list[Outcome]:
    """List the broken rules of a severity."""
    return [
        outcome
        for suite in done
        for outcome in suite.outcomes
        if not outcome.kept and outcome.rule.severity == severity
    ]


def summary(done: list[SuiteOutcome]) -> dict[str, dict[str, dict[str, object]]]:
    """Make the summary that later stages depend on: which rules were kept, and nothing else.

    No counts, bounds or times, so that it is the same as long as nothing goes wrong or better.
    """
    return {
        suite.suite.name: {
            outcome.rule.name: {"kept": outcome.kept, "severity": outcome.rule.severity}
            for outcome in suite.outcomes
        }
        for suite in done
    }


def ask(suite: Suite, frame: pd.DataFrame) -> SuiteOutcome:
    """Ask a suite's rules of its frame."""
    asset = quiet_context().data_sources.add_pandas(suite.name).add_dataframe_asset(suite.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(suite.expectations(), result_format=FORMAT)
    by_name = {r.expectation_config.meta["name"]: r for r in result.results}
    outcomes = [_outcome(rule, by_name[rule.name], suite) for rule in suite.rules]
    return SuiteOutcome(suite, outcomes, result)


def _outcome(rule: Rule, answer: Any, suite: Suite) -> Outcome:
    found = answer.result
    if "element_count" not in found:
        raise RuntimeError(f"rule {rule.name} could not be asked: {answer.exception_info}")
    rows = found["unexpected_rows"].to_dict("records") if found["unexpected_count"] else []
    return Outcome(
        rule=rule,
        kept=bool(answer.success),
        broken=int(found["unexpected_count"]),
        rows=int(found["element_count"]),
        examples=[_example(row, [*suite.shows, *rule.columns()]) for row in rows[:EXAMPLES]],
    )


def _example(row: Mapping[str, Any], columns: list[str]) -> str:
    """Show a row: what it is, and then what is wrong with it."""
    return ", ".join(f"{name} {_value(row[name])}" for name in dict.fromkeys(columns))


def _value(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST else value[:LONGEST] + "…")
    return "none" if pd.isna(value) else f"{value:,}"
