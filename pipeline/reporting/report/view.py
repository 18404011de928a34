"""The page of `report`."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from pipeline.evaluation.attention_file import Looked
from pipeline.evaluation.metrics_file import PTB, missing_of_seeds, other_tokens
from pipeline.evaluation.predictions import Candidate, Prediction
from pipeline.reporting.figures import Mark
from pipeline.reporting.labels import FIGURES, SPLITS, label, said, signed
from pipeline.reporting.page import (
    Bar,
    Card,
    Html,
    Panel,
    Section,
    Table,
    bar_table,
    cards,
    code,
    element,
    embedded,
    figure,
    join,
    listing,
    no_picture,
    page,
    paragraph,
    table,
    theirs,
    tiles,
    unfolding,
)
from pipeline.reporting.report import charts
from pipeline.reporting.report.attention import RULES, attention
from pipeline.reporting.report.findings import Findings
from pipeline.reporting.report.inputs import CONSENSUS, GUIDE, Curve, Trial
from pipeline.reporting.report.published import FLICKR8K
from pipeline.reporting.report.settings import ReportSettings

FIRST = ("cider_d", "bleu_4", "meteor", "rouge_l", "fact_accuracy")
SCORES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider_d", "spice")
LISTS = {
    "random": (
        "Drawn at random",
        "The fairest picture of what to expect: drawn by lot, whatever they score.",
    ),
    "best": ("Best", "The highest CIDEr-D of all."),
    "median": ("Median", "Half of the captions score more, half less."),
    "worst": ("Worst", "The lowest CIDEr-D of all. Some are good captions that nobody else wrote."),
}
INTERVAL = "95% interval"
INTERVALS = (
    "Intervals are by bootstrap over the pictures: how much the score depends on which pictures "
    "happened to be in the split. Another seed of the training may well lie outside."
)
SEEDS = (
    "Scores are of the captions on this page; the mean and the deviation are of several trainings, "
    "each scored by itself."
)
ELSEWHERE = (
    "Other work is on Flickr8k, its 1,000 test pictures, and features of other networks. Scores of "
    "another data set do not compare. Xu et al. leave out BLEU's penalty for brevity, which makes "
    "theirs no lower."
)
GROUNDS = (
    "A content word of a caption stands alone where none of the picture's references has it, and "
    "is left out where more than half of the references have it and the caption has not. Words are "
    "compared by a crude stem (dogs is dog, running is runs); synonyms count as errors, so that "
    "“kid” stands alone where people write “child”. People, each held against the other references "
    "of the picture, show how much that alone comes to."
)
LOSSES = {"loss": "training", "val_loss": "validation"}


def draw_page(
    found: Findings,
    pictures: Mapping[str, Image.Image],
    looked: Mapping[str, Looked],
    settings: ReportSettings,
) -> str:
    """Draw the page.

    Args:
        found: what to tell.
        pictures: by image id, those of `findings.shown_ids`.
        looked: by image id, where the decoder looked, of `attention.looked_ids`; of a decoder that
            attends to nothing none.
        settings: those that the findings were gathered with.
    """
    draw = _Cards(found, pictures)
    maps = attention(found, pictures, looked, {name: title for name, (title, _) in LISTS.items()})
    sections = [
        Section("scores", "Scores", _scores(found)),
        Section("gallery", "Gallery", _gallery(found, draw)),
        *([Section("attention", "Where it looked, word by word", maps)] if maps else []),
        Section("words", "Words said without ground, and left out", _words(found, draw, settings)),
        Section("learning", "Learning curves", _learning(found.curves)),
        *([Section("decoding", "Decoding settings", _sweep(found))] if found.sweep else []),
        Section("data", "The data set", [_data(found)]),
    ]
    foot = join(
        [
            *("Written by ", code("stages/report.py"), " from what ", code("ingest"), ", "),
            *(code("clean"), ", ", code("train"), " and ", code("evaluate"), " wrote. Settings: "),
            *("section ", code("report"), " of ", code("params.yaml"), "."),
        ]
    )
    rules = RULES if maps else ""
    return page("What the captioner has reached", [tiles(_glance(found))], sections, foot, rules)


def _glance(found: Findings) -> list[tuple[str, str]]:
    metrics = found.metrics
    shown = [(label(name), _figure(name, metrics[name])) for name in FIRST if name in metrics]
    return [*shown, ("pictures captioned", f"{len(found.predictions):,}")]


def _scores(found: Findings) -> list[Html]:
    metrics = found.metrics
    tables = [one for one in (_score_table(metrics), _figure_table(metrics)) if one.rows]
    parts = []
    if tables:
        title, note = _of_scores(metrics, len(found.predictions))
        parts.append(listing(title, note, [table(one) for one in tables]))
    if told := other_tokens(metrics):
        parts.append(paragraph(f"{told}."))
    for name, reason in sorted((metrics.get("missing") or {}).items()):
        parts.append(paragraph(f"{label(name)} is missing: {reason}."))
    for name, reason in sorted(missing_of_seeds(metrics).items()):
        parts.append(paragraph(f"{label(name)} of a seed by itself is missing: {reason}."))
    return [*parts, *_published(metrics)]


def _of_scores(metrics: Mapping[str, Any], captions: int) -> tuple[str, str]:
    """Title the tables of scores and figures, and tell how to read them."""
    scored = metrics.get("scored_pictures", captions)
    if not any(name in metrics for name in SCORES):
        told = (
            "What captions are like. To score them takes captions of people of the same pictures."
        )
        return f"{captions:,} captions, counted and not scored", told
    split = SPLITS.get(metrics.get("split", ""))
    of_split = [f"Pictures of {split}."] if split else []
    note = " ".join([*of_split, INTERVALS, *([SEEDS] if "seeds" in metrics else [])])
    if scored == captions:
        return f"{captions:,} captions, scored and counted", note
    return f"{captions:,} captions counted, {scored:,} of them scored", note


def _score_table(metrics: Mapping[str, Any]) -> Table:
    rows = [
        [
            label(name),
            f"{metrics[name]:.3f}",
            _interval(metrics, name),
            _over_seeds(metrics, name),
        ]
        for name in SCORES
        if name in metrics
    ]
    official = metrics.get("tokenisation") == PTB
    title = "Scores, as COCO's evaluation computes them" if official else "Scores"
    return _without_empty(Table(title, ["", "score", INTERVAL, _seeds_title(metrics)], rows))


def _figure_table(metrics: Mapping[str, Any]) -> Table:
    rows = [
        [label(name), _figure(name, metrics[name]), _over_seeds(metrics, name)]
        for name in FIGURES
        if name in metrics
    ]
    header = ["", "value", _seeds_title(metrics)]
    return _without_empty(Table("What the captions are like", header, rows))


def _without_empty(content: Table) -> Table:
    """Leave out the columns in which nothing stands."""
    kept = [place for place in range(len(content.header)) if any(r[place] for r in content.rows)]
    return Table(
        content.caption,
        [content.header[place] for place in kept],
        [[row[place] for place in kept] for row in content.rows],
    )


def _seeds_title(metrics: Mapping[str, Any]) -> str:
    return f"mean ± deviation of {(metrics.get('seeds') or {}).get('trained', 'several')} seeds"


def _over_seeds(metrics: Mapping[str, Any], name: str) -> str:
    """Write what several seeds score by themselves; "" where there is one, or it is not known."""
    seeds = metrics.get("seeds") or {}
    mean, deviation = (seeds.get(key, {}).get(name) for key in ("mean", "deviation"))
    if mean is None or deviation is None:
        return ""
    return f"{_figure(name, mean)} ± {_figure(name, deviation)}"


def _interval(metrics: Mapping[str, Any], name: str) -> str:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""


def _published(metrics: Mapping[str, Any]) -> list[Html]:
    """Put the scores of papers beside this run's."""
    names = [name for name in SCORES if any(name in one.scores for one in FLICKR8K)]
    split = metrics.get("split", "test")
    own = [
        "This run" if split == "test" else f"This run, split {split}",
        *(_cell(metrics, name) for name in names),
        "this page",
    ]
    rows = [
        [one.name, *(_cell(one.scores, name) for name in names), one.source] for one in FLICKR8K
    ]
    header = ["captioner", *(label(name) for name in names), "source"]
    shown = table(Table("This run, and papers on Flickr8k", header, [own, *rows]))
    return [element("h3", "Beside published results"), paragraph(ELSEWHERE), shown]


def _cell(scores: Mapping[str, Any], name: str) -> str:
    return f"{scores[name]:.3f}" if name in scores else ""


def _figure(name: str, value: Any) -> str:
    if name in FIGURES and FIGURES[name].share:
        return f"{100 * value:.1f}%"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.1f}" if name == "mean_words" else f"{value:.3f}"


class _Cards:
    """Draws a picture with all that is known of its caption."""

    def __init__(self, found: Findings, pictures: Mapping[str, Image.Image]) -> None:
        self._found = found
        self._pictures = pictures

    def sheet(self, name: str, places: Sequence[int]) -> Html:
        """Draw the cards of some places."""
        return cards(name, [self._card(place) for place in places])

    def _card(self, place: int) -> Card:
        one = self._found.predictions[place]
        picture = self._pictures.get(one.image_id)
        score = one.scores.get("cider_d")
        return Card(
            picture=no_picture("not at hand")
            if picture is None
            else embedded(picture, said(one.caption)),
            name=one.image_id,
            remark="" if score is None else f"CIDEr-D {score:.2f}",
            captions=[(reference, "") for reference in one.references],
            said=[("", said(one.caption))],
            more=join([self._grounds(place), self._candidates(one), self._nearest(place)]),
        )

    def _grounds(self, place: int) -> Html:
        verdict = self._found.grounding.verdicts[place]
        lines = [
            element("p", element("span", name), theirs(", ".join(words)))
            for name, words in (("alone", verdict.alone), ("left out", verdict.left_out))
            if words
        ]
        return element("div", *lines, class_="grounds") if lines else Html("")

    def _candidates(self, one: Prediction) -> Html:
        if len(one.candidates) < 2:
            return Html("")
        lines = [
            element(
                "li",
                theirs(said(candidate.caption)),
                *_log_prob(candidate),
            )
            for candidate in one.candidates
        ]
        title = f"{len(lines)} best, with log-probabilities"
        return unfolding(title, element("ol", *lines, class_="lines"))

    def _nearest(self, place: int) -> Html:
        if place not in self._found.nearest:
            return Html("")
        one = self._found.nearest[place]
        if one is None:
            return paragraph("No training caption shares a word.")
        alike = "the same" if one.overlap == 1 else f"{100 * one.overlap:.0f}% alike"
        return unfolding(f"Nearest training caption: {alike}", paragraph(theirs(one.text)))


def _log_prob(candidate: Candidate) -> list[Html]:
    if candidate.log_prob is None:
        return []
    return [element("span", signed(candidate.log_prob, 1))]


def _gallery(found: Findings, draw: _Cards) -> list[Html]:
    note = (
        "Bold: the captioner's; below it people's. Alone: content words in no reference; left out: "
        "words of most references that the caption lacks. Likeness to a training caption is of "
        "shared words and pairs of words."
    )
    parts = [paragraph(note)]
    for name, places in found.gallery.items():
        title, told = LISTS[name]
        parts += [element("h3", title), paragraph(told), draw.sheet(title, places)]
    return parts


def _words(found: Findings, draw: _Cards, settings: ReportSettings) -> list[Html]:
    grounding = found.grounding
    if not grounding.pictures:
        return [paragraph("This takes pictures with three references or more. There are none.")]
    alone, left_out = grounding.alone, grounding.left_out
    title = (
        f"{_percent(alone.share)} of the captions' content words stand alone (people: "
        f"{_percent(grounding.people_alone)}), and {_percent(left_out.share)} of the words that "
        f"most references have are left out (people: {_percent(grounding.people_left_out)})"
    )
    tables = [
        bar_table(
            name,
            ("", header),
            [
                Bar(word, times, f"{times:,} of {chances:,}")
                for word, times, chances in tally.most(settings.examples)
            ],
        )
        for name, header, tally in (
            ("Most often alone, of times said", "times", alone),
            ("Most often left out, of times that most people say it", "times", left_out),
        )
        if tally.hits
    ]
    parts = [listing(title, GROUNDS, tables)]
    for name, places in (
        ("Captions with the most words that stand alone", found.ungrounded),
        ("Captions that leave out the most words", found.incomplete),
    ):
        if places:
            parts += [element("h3", name), draw.sheet(name, places)]
    return parts


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _learning(curves: Sequence[Curve]) -> list[Html]:
    drawn = [curve for curve in curves if len(curve.steps) > 1]
    if not drawn:
        return [paragraph("One epoch has no curve."), *_last_values(curves)]
    names = sorted({curve.name for curve in drawn if curve.name not in LOSSES})
    panels = _losses(drawn)
    for name in names:
        own = [curve for curve in drawn if curve.name == name]
        mark = _peak(own[0]) if len(own) == 1 and "cider" in name else None
        title = _cut(_titled(name), len(own), "curves")
        panels.append(Panel(title, charts.curves(_unit(name), own, mark)))
    return [
        figure(_story(drawn), "By epoch.", panels, [_table_of(drawn)]),
    ]


def _losses(drawn: Sequence[Curve]) -> list[Panel]:
    """Draw both losses in one chart; of several trainings in two, as there are twice as many."""
    losses = [curve for curve in drawn if curve.name in LOSSES]
    if len({curve.run for curve in losses}) < 2:
        title = "Loss of training and validation"
        return [Panel(title, charts.curves("nats a word", losses))] if losses else []
    panels = []
    for name, told in LOSSES.items():
        if own := [curve for curve in losses if curve.name == name]:
            title = _cut(f"Loss of {told}", len(own), "curves")
            panels.append(Panel(title, charts.curves(f"{told}, nats a word", own)))
    return panels


def _cut(title: str, number: int, what: str) -> str:
    """Say where a chart does not draw all: only so many lines can be told apart."""
    more = number - charts.MOST
    return f"{title}; {more} more {what}: in the table" if more > 0 else title


def _peak(curve: Curve) -> Mark:
    best = max(range(len(curve.values)), key=lambda place: curve.values[place])
    return Mark(curve.steps[best], f"best {curve.values[best]:.3f}")


def _story(curves: Sequence[Curve]) -> str:
    """Tell when the validation score was best."""
    own = [curve for curve in curves if curve.name == "val_cider_d"]
    if len(own) != 1:
        trainings = len({curve.run for curve in curves})
        of = "the training" if trainings == 1 else f"{trainings} trainings"
        return f"{len(curves)} curves of {of}"
    mark, best, last = _peak(own[0]), max(own[0].values), own[0].steps[-1]
    when = "(the last)" if mark.x == last else f"(the last is {last:.0f})"
    return f"Validation CIDEr-D is highest in epoch {mark.x:.0f} {when}: {best:.3f}"


def _titled(name: str) -> str:
    return f"Validation {_unit(name)}" if name.startswith("val_") else name


def _unit(name: str) -> str:
    """Name what a curve measures."""
    return label(name.removeprefix("val_"))


def _table_of(curves: Sequence[Curve]) -> Table:
    steps = sorted({step for curve in curves for step in curve.steps})
    columns = [dict(zip(curve.steps, curve.values, strict=True)) for curve in curves]
    rows = [
        [f"{step:.0f}", *(f"{own[step]:.4g}" if step in own else "" for own in columns)]
        for step in steps
    ]
    return Table("Figures by epoch", ["epoch", *map(_named, curves)], rows)


def _named(curve: Curve) -> str:
    return " ".join(filter(None, (curve.name, curve.run)))


def _last_values(curves: Sequence[Curve]) -> list[Html]:
    rows = [[_named(curve), f"{curve.values[-1]:.4g}"] for curve in curves if curve.values]
    return [table(Table("What it ended with", ["figure", "value"], rows))] if rows else []


def _sweep(found: Findings) -> list[Html]:
    trials = found.sweep
    names = [name for name in FIRST if all(name in trial.scores for trial in trials)]
    names = names or sorted(trials[0].scores)[:2]
    if found.chosen_by in trials[0].scores:  # that comes first, whichever it is
        names = list(dict.fromkeys([found.chosen_by, *names]))
    best = max(trials, key=lambda trial: trial.scores[names[0]])
    weights = [name for name in (GUIDE, CONSENSUS) if any(getattr(one, name) for one in trials)]
    chosen = [f"a beam of {best.beam_width}", f"a length penalty of {best.length_penalty:g}"]
    weighed = "".join(f", {name} {getattr(best, name):g}" for name in weights)
    title = (
        f"On the validation split, {label(names[0])} is best with {' and '.join(chosen)}"
        f"{weighed}: {best.scores[names[0]]:.3f}"
    )
    widths = len({trial.beam_width for trial in trials})
    panels = [
        Panel(
            _cut(label(name), widths, "beam widths"),
            charts.sweep(name, label(name), _best_guided(trials, name)),
        )
        for name in names[:4]
        if len({trial.length_penalty for trial in trials}) > 1
    ]
    all_names = list(trials[0].scores)
    rows = [
        [
            str(trial.beam_width),
            f"{trial.length_penalty:g}",
            *(f"{getattr(trial, name):g}" for name in weights),
            *(f"{trial.scores[name]:.3f}" for name in all_names),
        ]
        for trial in sorted(trials, key=lambda one: (one.beam_width, one.length_penalty, one.guide))
    ]
    header = ["beam width", "length penalty", *weights, *map(label, all_names)]
    varied = [one for one in weights if len({getattr(trial, one) for trial in trials}) > 1]
    guided = f", each with the {' and '.join(varied)} that is best" if varied else ""
    lines = f"Scores by length penalty, a line for each beam width{guided}."
    note = f"{lines} Test pictures have no part in it."
    return [figure(title, note, panels, [Table("Settings tried", header, rows)])]


def _best_guided(trials: Sequence[Trial], name: str) -> list[Trial]:
    """Leave one trial of each beam width and length penalty, whose guide and consensus are best."""
    best: dict[tuple[int, float], Trial] = {}
    for trial in sorted(trials, key=lambda one: one.scores[name]):
        best[trial.beam_width, trial.length_penalty] = trial
    return list(best.values())


def _data(found: Findings) -> Html:
    pictures = sum(one.pictures for one in found.data)
    captions = sum(one.captions for one in found.data)
    return listing(
        f"{pictures:,} pictures with {captions:,} captions",
        "As the training and the evaluation see them. The page of explore tells more.",
        [
            bar_table(
                "Pictures",
                ("split", "pictures"),
                [Bar(one.split, one.pictures, f"{one.pictures:,}") for one in found.data],
            ),
            bar_table(
                "Captions, clean",
                ("split", "captions"),
                [Bar(one.split, one.captions, f"{one.captions:,}") for one in found.data],
            ),
        ],
    )
