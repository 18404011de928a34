"""Data Docs: one page a suite, drawn by Great Expectations, and a first page with every rule.

GX's own site fetches its styles and scripts from six hosts, and holds times and random ids. These
pages are drawn by its renderers in templates of ours: they open from a disk, ask no host for
anything, and have the same bytes for the same tables.
"""

import copy
import html
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, DictLoader

from pipeline.checks.quiet_gx import DefaultJinjaPageView, ValidationResultsPageRenderer
from pipeline.checks.run import Outcome, SuiteOutcome
from pipeline.files import write_text

STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2430; margin: 0 auto; max-width: 75rem;
       padding: 1rem 1.5rem 4rem; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
nav a { margin-right: 1rem } a { color: #0b57a4 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
         border-bottom: 1px solid #d8dee6; overflow-wrap: anywhere }
td:first-child, .count { white-space: nowrap; overflow-wrap: normal }
td p { margin: .1rem 0 } td code, .ge-section code { background: #f1f3f6; padding: 0 .2rem }
.why { color: #5a6675 } .name { font-weight: 600 }
.kept { color: #1a7f37 } .warning { color: #9a6700 } .error { color: #c1121f }
i.text-success::before { content: "\\2713 kept"; color: #1a7f37; font-style: normal }
i.text-danger::before { content: "\\2717 broken"; color: #c1121f; font-style: normal }
.alert { background: #f1f3f6; padding: .4rem .8rem; border-radius: 4px; margin-top: 1.2rem }
h5, h6 { display: inline; margin: 0; font-size: 1rem }
.badge { border: 1px solid #b8c2cf; border-radius: 3px; padding: 0 .3rem; background: #f7f8fa }
"""
HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<nav>{links}</nav>
<h1>{title}</h1>
"""
# In place of the template of the same name in great_expectations/render/view/templates.
TEMPLATES = {
    "page.j2": "{% for section in sections %}{% set section_loop = loop -%}"
    "{% include 'section.j2' %}{% endfor %}",
}


FOOT = "</body>\n</html>\n"


class _Page(DefaultJinjaPageView):
    """GX's page without anything that it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.env.loader = ChoiceLoader([DictLoader(TEMPLATES), self.env.loader])


def write_docs(folder: Path, done: list[SuiteOutcome]) -> None:
    """Write index.html and one page a suite into `folder`."""
    for suite in done:
        write_text(folder / f"{suite.suite.name}.html", suite_page(suite, done))
    write_text(folder / "index.html", index_page(done))


def suite_page(suite: SuiteOutcome, done: list[SuiteOutcome]) -> str:
    """Draw what Great Expectations found of one suite, a section a column."""
    drawn = ValidationResultsPageRenderer().render(_without_times(suite))
    drawn.sections = drawn.sections[1:]  # the first one counts the rules, as our first page does
    lines = (line.strip() for line in _Page().render(drawn).splitlines())
    body = "".join(f"{line}\n" for line in lines if line)
    about = f"<p>{html.escape(suite.suite.about)}</p>\n"
    return _head(f"Expectations: {suite.suite.name}", done) + about + body + FOOT


def _without_times(suite: SuiteOutcome) -> Any:
    """Copy a result with nothing in it but what the tables say, fit to be put into HTML.

    GX escapes neither descriptions nor values: a caption may well hold a script.
    """
    result = copy.deepcopy(suite.result)
    result.meta = {}
    for answer in result.results:
        name = answer.expectation_config.meta["name"]
        [outcome] = [outcome for outcome in suite.outcomes if outcome.rule.name == name]
        answer.result["partial_unexpected_list"] = [html.escape(e) for e in outcome.examples]
        answer.result.pop("unexpected_rows", None)
        description = answer.expectation_config.description
        answer.expectation_config.description = html.escape(description)
    return result


def index_page(done: list[SuiteOutcome]) -> str:
    """List every rule: whether it was kept, what it says and why, and rows that break it."""
    outcomes = [outcome for suite in done for outcome in suite.outcomes]
    kept = sum(outcome.kept for outcome in outcomes)
    parts = [_head("Is the data fit to be trained on?", done)]
    parts.append(f"<p>{len(outcomes)} rules, {kept} kept.")
    parts.append(" Errors stop the run; warnings do not.</p>\n")
    if len(outcomes) > kept:
        parts.append(_table("Broken rules", [o for o in outcomes if not o.kept]))
    for suite in done:
        parts.append(_table(suite.suite.name, suite.outcomes, suite.suite.about))
    return "".join(parts) + FOOT


def _head(title: str, done: list[SuiteOutcome]) -> str:
    pages = ["index", *(suite.suite.name for suite in done)]
    links = "".join(f'<a href="{page}.html">{page}</a>' for page in pages)
    return HEAD.format(title=html.escape(title), style=STYLE, links=links)


def _table(title: str, outcomes: list[Outcome], about: str = "") -> str:
    rows = "".join(_row(outcome) for outcome in outcomes)
    return (
        f"<h2>{html.escape(title)}</h2>\n<p>{html.escape(about)}</p>\n<table>\n"
        f"<tr><th></th><th>rule</th><th>rows that break it</th></tr>\n{rows}</table>\n"
    )


def _row(outcome: Outcome) -> str:
    rule = outcome.rule
    look = "kept" if outcome.kept else rule.severity
    word = "✓ kept" if outcome.kept else f"✗ {rule.severity}"
    moved = f" Setting: validate.{rule.setting}." if rule.setting else ""
    examples = "".join(
        f"<p><code>{html.escape(example)}</code></p>" for example in outcome.examples
    )
    return (
        f'<tr><td class="{look}">{word}</td><td><p class="name">{rule.name}</p>'
        f"<p>{html.escape(rule.says[0].upper() + rule.says[1:])}.</p>"
        f'<p class="why">{html.escape(rule.why + moved)}</p></td>'
        f'<td><p class="count">{outcome.broken:,} of {outcome.rows:,}</p>{examples}</td></tr>\n'
    )
