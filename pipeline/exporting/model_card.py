"""The model card: what a model is, what it was made from, how good it is, and what it cannot do.

After Mitchell et al., "Model Cards for Model Reporting" (2019), as Markdown with a block of YAML
before it. Every figure is copied from a file: bundle.json, encoder.json and vocabulary.json of the
bundle, params.yaml and metrics.json where they are given. What is not known is said to be missing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from pipeline.captioner import bundle
from pipeline.captioner.captioner import SearchSettings
from pipeline.captioner.consensus import NGRAMS
from pipeline.errors import InputError
from pipeline.evaluation.metrics_file import other_tokens, read_metrics
from pipeline.files import write_text
from pipeline.images.spec import FINETUNED, Spec, pooling_of, read_spec
from pipeline.params import parse_yaml
from pipeline.reporting.labels import FIGURES, LABELS, SPLITS, label
from pipeline.text.marks import END, MARKS, UNKNOWN
from pipeline.text.vocabulary import Vocabulary

SECTIONS = ("ingest", "clean", "vocabulary", "encoder", "features", "train", "evaluate")
TOLD = ("clean", "vocabulary", "encoder", "train", "evaluate")  # sections in the card, whole
ALSO_TOLD = ("features.pooling", "features.precision", "features.dtype")
BUILT_IN = "data/raw/scenes"  # `ingest.folder` of the data set that stage `sample` draws
PEOPLE = (
    *("man", "men", "woman", "women", "boy", "boys", "girl", "girls"),
    *("child", "children", "kid", "kids", "person", "people"),
)
COMMONEST = 20  # words listed
# What is to be known before a bundle is given away, where captions are not free.
QUOTES = (
    "the bundle quotes what captions of several training pictures share, up to four words, and has "
    "the features of these pictures"
)
MISSING = "Missing: "  # begins every line about something that is not known


@dataclass(frozen=True)
class Model:
    """What the files of a bundle say."""

    description: bundle.Description
    spec: Spec
    vocabulary: Vocabulary


def write(
    path: Path,
    folder: Path,
    contents: Mapping[str, str],
    searches: Mapping[str, SearchSettings],
    metrics: Path | None,
    params: Path | None,
) -> None:
    """Write the card.

    Args:
        path: the Markdown file.
        folder: the bundle.
        contents: what lies beside the card: path -> what it is.
        searches: of those contents that search by themselves, with which settings.
        metrics: `evaluate`'s metrics.json of this bundle, where there is one.
        params: the params.yaml that the bundle was made with, where there is one.

    Raises:
        InputError: a file is missing or is not what it should be, or `params` belongs to another
            model.
    """
    description = bundle.read_description(folder)
    words = Vocabulary.read(folder / bundle.WORDS)
    model = Model(description, read_spec(folder / bundle.ENCODER), words)
    scores = read_metrics(metrics) if metrics else None
    settings = _params(params, model) if params else None
    parts = (
        _front_matter(scores),
        _what(model, contents),
        _use(searches),
        _data(model, settings),
        _settings(settings),
        _scores(scores, settings, searches, description.members),
        _limits(model, settings),
    )
    write_text(path, "\n".join(parts))


def _params(path: Path, model: Model) -> dict[str, Any]:
    """Read params.yaml, and make sure that it is about this model."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: expected params.yaml. Received: {told}") from error
    known = content if isinstance(content, dict) else {}
    sections: dict[str, dict[str, Any]] = {
        name: known[name] for name in SECTIONS if isinstance(known.get(name), dict)
    }
    for name in ("train", "encoder"):
        if name not in sections:
            raise InputError(f"{path}: expected a section {name!r} of settings. Received: none")
    shape = {f"train.{name}": value for name, value in model.description.decoder}
    shape["encoder.network"] = model.spec.network
    shape["encoder.layers"] = model.spec.layers
    if sections["encoder"].get("side") is not None:  # or it is the network's own
        shape["encoder.side"] = model.spec.side
    shape["encoder.finetune"] = model.spec.source.endswith(FINETUNED)
    shape["features.pooling"] = pooling_of(model.description.encoder)
    for name, expected in shape.items():
        section, key = name.split(".")
        received = sections.get(section, {}).get(key, expected)
        if received != expected:
            raise InputError(
                f"{path}: expected the settings that the model was made with, {name}: {expected}. "
                f"Received: {received}. Give its own params.yaml, or none"
            )
    return sections


def _front_matter(scores: Mapping[str, Any] | None) -> str:
    """What model catalogues read: no language and no licence, as no file tells them."""
    block: dict[str, Any] = {
        "pipeline_tag": "image-to-text",
        "library_name": "keras",
        "tags": ["image-captioning", "keras", "tensorflow"],
    }
    if scores:
        kinds = ("bleu", "meteor", "rouge", "cider", "spice")
        block["metrics"] = [kind for kind in kinds if any(name.startswith(kind) for name in scores)]
    return f"---\n{yaml.safe_dump(block, sort_keys=False)}---\n"


def _what(model: Model, contents: Mapping[str, str]) -> str:
    description, spec = model.description, model.spec
    shape, seeds = description.decoder, description.members
    agrees = f"{bundle.CONSENSUS}/{NGRAMS}" in description.files
    rows = {
        "decoder": f"`{shape.decoder}`, {shape.units} units, word vectors of {shape.embedding}",
        **({"ensemble": f"of {seeds} seeds, log-probabilities averaged"} if seeds > 1 else {}),
        **({"consensus": QUOTES} if agrees else {}),
        "vocabulary": f"{len(model.vocabulary) - len(MARKS):,} words",
        "encoder": f"`{spec.layered}`, weights: {spec.source}",
        "pictures": f"RGB, squashed to {spec.side} x {spec.side} pixels",
        "features": " x ".join(map(str, description.feature_shape)),
        "encoder's fingerprint": f"`{spec.fingerprint}`",
        "bundle": f"version {description.version}",
        "decoder's weights": f"SHA-256 `{description.files[bundle.weights_name(0)]}`",
    }
    return "\n".join(
        [
            f"# Image captioner: {shape.decoder} on {spec.network}",
            "",
            "Says in a sentence what is to be seen in a picture: a CNN turns the picture into",
            "features, and an LSTM turns these into words. Made with caption-pipeline.",
            "",
            _table(("", ""), rows.items()),
            "Files:",
            "",
            _table(
                ("path", "what it is"), ((f"`{name}`", told) for name, told in contents.items())
            ),
        ]
    )


def _use(searches: Mapping[str, SearchSettings]) -> str:
    lines = [
        "## Use",
        "",
        "For drafts of picture descriptions that a person reads before others rely on them,",
        "and for teaching and comparing captioners. Not for decisions about people, and not",
        "where a wrong description can do harm.",
        "",
    ]
    for path, search in searches.items():
        lines += [f"`{path}` searches captions with these settings:", ""]
        lines.append(_table(("setting", "value"), _in_use(search)))
    if not searches:
        lines.append("Captions are searched as who uses it says: `caption` has options for it.\n")
    return "\n".join(lines)


def _in_use(search: SearchSettings) -> Iterable[tuple[str, str]]:
    """List the settings of the search, but for those of other methods."""
    others = {"diverse": ("sampling",), "sample": ("diverse",), "beam": ("diverse", "sampling")}
    shown = search.model_dump(exclude=set(others[search.method]))
    return ((f"`{name}`", value) for name, value in _flat(shown))


def _data(model: Model, settings: Mapping[str, Any] | None) -> str:
    counts = model.vocabulary.counts
    captions, rare, known = counts[END], counts[UNKNOWN], sum(counts[len(MARKS) :])
    lines = ["## Training data", "", f"{captions:,} captions of training pictures."]
    words = known + rare
    lines.append(
        f"{words:,} words, of which {rare:,} ({rare / max(1, words):.2%}) are too rare for the "
        "vocabulary and can never be said."
    )
    folder = (settings or {}).get("ingest", {}).get("folder")
    if folder is None:
        lines.append(f"{MISSING}the name of the data set (no params.yaml was given).")
    elif folder == BUILT_IN:
        lines.append(
            "The pictures are *scenes*: drawn by a program, with captions written by a grammar."
        )
    else:
        name = Path(folder).name if Path(folder).is_absolute() else folder
        lines.append(f"The data set's folder is `{name}`.")
    lines.append(f"{MISSING}the licence of the data, and the language of the captions.")
    return "\n".join(lines) + "\n"


def _settings(settings: Mapping[str, Any] | None) -> str:
    lines = ["## Settings", ""]
    if settings is None:
        return "\n".join([*lines, f"{MISSING}params.yaml was not given.", ""])
    rows = ((f"`{name}`", value) for name, value in _flat(settings) if _is_told(name, settings))
    return "\n".join([*lines, _table(("setting", "value"), rows)])


def _is_told(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting decided on the model, and is no place on a machine."""
    encoder = settings["encoder"]
    unused = []
    if encoder.get("weights") != "train":
        unused.append("encoder.compact.")
    if not encoder.get("finetune"):
        unused.append("encoder.finetuning.")
    if "folder" in name or name == "evaluate.spice" or name.startswith(tuple(unused)):
        return False
    return name.startswith(tuple(f"{section}." for section in TOLD)) or name in ALSO_TOLD


def _scores(
    scores: Mapping[str, Any] | None,
    settings: Mapping[str, Any] | None,
    searches: Mapping[str, SearchSettings],
    members: int,
) -> str:
    lines = ["## Scores", ""]
    if scores is None:
        return "\n".join([*lines, f"{MISSING}metrics.json was not given.", ""])
    pictures = scores.get("scored_pictures", scores.get("pictures"))
    told = f"{pictures:,} pictures" if isinstance(pictures, int) else f"{MISSING}their number"
    split = scores.get("split", (settings or {}).get("evaluate", {}).get("split"))
    lines += [
        f"On {told} of {SPLITS.get(split, f'{MISSING}which split')},",
        "as `evaluate` measured them. The interval is the 95% bootstrap over the pictures: how far",
        "a score would move with other pictures, and not with another training.",
        "",
    ]
    rows = [
        (told, _number(scores[name]), _interval(scores, name))
        for name, told in LABELS.items()
        if name in scores
    ]
    lines.append(_table(("score", "value", "95% interval"), rows))
    beside = [name for name in FIGURES if name in scores and name not in LABELS]
    others = [(label(name), _number(scores[name])) for name in beside]
    if others:
        lines.append(_table(("figure", "value"), others))
    if told_tokens := other_tokens(scores):
        lines.append(f"{_without_paths(told_tokens)}.\n")
    lines += [f"{told}\n" for told in _searched(settings, searches, members)]
    absent = scores.get("missing")
    for name, reason in sorted(absent.items()) if isinstance(absent, dict) else ():
        lines.append(f"{MISSING}{label(name)}: {_without_paths(str(reason))}.\n")
    return "\n".join(lines)


def _searched(
    settings: Mapping[str, Any] | None, searches: Mapping[str, SearchSettings], members: int
) -> Iterable[str]:
    """Tell whether the scores are of what is exported, and of its search."""
    measured = (settings or {}).get("evaluate")
    if measured is None:
        yield f"{MISSING}the search settings that the scores were measured with."
        return
    if members > 1 and not measured.get("ensemble", True):
        yield f"They are of the best seed alone; here all {members} caption together."
    for path, search in searches.items():
        different = [
            f"`{name}`: {json.dumps(measured[name])} there, {json.dumps(value)} here"
            for name, value in search.model_dump().items()
            if name in measured and measured[name] != value and _matters(name, measured, search)
        ]
        if different:
            told = "; ".join(different)
            yield f"They were measured with other search settings than `{path}` has: {told}."
        else:
            yield f"They were measured with the search settings of `{path}`."


def _matters(name: str, measured: Mapping[str, Any], search: SearchSettings) -> bool:
    """Whether a setting is one of a method in use."""
    methods = {measured.get("method"), search.method}
    return {"diverse": "diverse" in methods, "sampling": "sample" in methods}.get(name, True)


def _limits(model: Model, settings: Mapping[str, Any] | None) -> str:
    words = model.vocabulary.words[len(MARKS) :]
    counts = dict(zip(words, model.vocabulary.counts[len(MARKS) :], strict=True))
    commonest = ", ".join(f"{word} {counts[word]:,}" for word in words[:COMMONEST])
    people = ", ".join(f"{word} {counts[word]:,}" for word in PEOPLE if word in counts)
    lines = [
        "## Limits and known biases",
        "",
        "- It names only what its vocabulary has a word for, and reads no text, no faces and no",
        "  names. What it has not been trained on it calls by the nearest thing it knows.",
        "- It gives a fluent sentence for every picture, also for one it understands nothing of:",
        "  the log-probability says how sure it is of the words, not whether they are true.",
        "- A picture is squashed to a square: small things and fine print are lost.",
        "- Captions repeat what those who wrote the training captions found worth saying, and how",
        "  they said it; with people, that includes guesses at gender, age, origin and trade. Such",
        '  captions are known to carry stereotypes (van Miltenburg, "Stereotyping and Bias in the',
        '  Flickr30K Dataset" (2016)), and captioners to widen them (Hendricks et al., "Women also',
        '  Snowboard" (2018)).',
        f"- What is said often is said again. The commonest words in training: {commonest}.",
        f"- Words for people, in training: {people or 'none of ' + ', '.join(PEOPLE)}.",
        f"- {MISSING}how far scores differ between groups of pictures or of people shown: this was",
        "  not measured.",
    ]
    if (settings or {}).get("ingest", {}).get("folder") == BUILT_IN:
        lines.append(
            "- Trained on drawn pictures alone: what it says of photographs means nothing."
        )
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    """Write a Markdown table, and an empty line after it."""
    lines = [head, ("---",) * len(head), *rows]
    cells = (" | ".join(str(cell).replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in cells)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """List settings as `section.name` and value, those of groups one by one."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value, ensure_ascii=False)


def _without_paths(told: str) -> str:
    """Cut a text where it names a folder of this machine; metrics.json has it whole."""
    words = told.split(" ")
    kept = list(takewhile(lambda word: "/" not in word and "\\" not in word, words))
    return told if kept == words else " ".join([*kept, "\N{HORIZONTAL ELLIPSIS}"])


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _interval(scores: Mapping[str, Any], name: str) -> str:
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    known = low is not None and high is not None
    return f"{_number(low)} to {_number(high)}" if known else "missing"
