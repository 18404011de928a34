"""The ladder on photographs: what each step of decoder and training is worth, over three seeds.

    CAPTION_FLICKR8K=... CAPTION_WEIGHTS=... python -m benchmarks.ladder train FOLDER inject
    python -m benchmarks.ladder score FOLDER
    python -m benchmarks.ladder show inject attention
    python -m benchmarks.ladder steps inject:attention

`train` runs the stages by their own commands for rows of benchmarks/ladder.yaml (all, if none is
named), in a folder of its own: it trains, chooses the search on the validation pictures (as `dvc
repro sweep` does, with the first seed for all), and captions the validation and test pictures; what
is done there already is not done again. `score` gives the official scores of all captions that it
finds there, writes them to benchmarks/ladder.json, and prints the table. `show` prints rows of that
file, as docs/results.md has them, and `steps` how much more one has than another.

With `--add`, both go on from benchmarks/ladder.json, on another machine or another day: a row that
it has is searched as is written there, and its seeds stay beside those found in the folder. (Of an
ensemble, the one of more seeds stays.)

Each training is what `dvc repro` would do with the row's settings and one seed. On a GPU it pays to
run several side by side (`--jobs`); on a CPU they would only be in each other's way. The scores
need Java and no GPU: the folder may be carried from one machine to another in between.
"""

import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
import yaml

from benchmarks.timing import machine, photographs, weights
from pipeline.evaluation.over_seeds import over_seeds
from pipeline.files import sha256_of, write_json, write_text
from pipeline.params import parse_yaml

if TYPE_CHECKING:  # it brings Keras, for which `train` need not wait
    from pipeline.evaluation.split import ScoredSplit

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
ROWS = Path(__file__).with_suffix(".yaml")
RESULTS = Path(__file__).with_suffix(".json")
Rows = Annotated[Path, typer.Option(help="The ladder.")]
Add = Annotated[bool, typer.Option(help="Go on from benchmarks/ladder.json with further seeds.")]
SPLITS = ("val", "test")
PARTS = ("beam_width", "length_penalty", "guide", "consensus")  # of a search, those that are chosen
METRICS = ("bleu_4", "meteor", "rouge_l", "cider_d")  # of the test pictures
SCORES = ("val CIDEr-D", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D")
COLUMNS = ("row", "seeds", "minutes", "beam, penalty, guide, consensus", *SCORES)
GAINS = ("from", "to", *SCORES, "seeds that gain CIDEr-D")
Settings = dict[str, Any]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Row(NamedTuple):
    """A row of the ladder.

    Attributes:
        name: of the row.
        settings: all of params.yaml, by section.
        of: the row whose decoders it searches with; its own name where it trains.
        ensemble: whether the seeds search together.
        searched: the row whose search was chosen for it.
        about: what it is, for people; may be nothing.
    """

    name: str
    settings: Settings
    of: str
    ensemble: bool
    searched: str
    about: str


def read_rows(path: Path = ROWS, params: Path = ROOT / "params.yaml") -> dict[str, Row]:
    """Read the ladder, each row's settings worked out."""
    ladder, plain = yaml.safe_load(path.read_text()), params.read_text()

    def changes(name: str) -> Settings:
        row = ladder["rows"][name]
        above = row.get("from") or row.get("of")
        own = {key: value for key, value in row.items() if "." in key}
        return {**(changes(above) if above else ladder["base"]), **own}

    def searched(name: str) -> str:
        row = ladder["rows"][name]
        if "of" not in row or any(key.startswith("sweep.") for key in row):
            return name
        return searched(row.get("from") or row["of"])

    rows = {}
    for name, row in ladder["rows"].items():
        settings = parse_yaml(plain)
        for key, value in changes(name).items():
            _set(settings, key.split("."), value)
        of, ensemble = row.get("of", name), row.get("ensemble", False)
        about = row.get("about", "the seeds together" if ensemble else "")
        rows[name] = Row(name, settings, of, ensemble, searched(name), about)
    return rows


def _set(settings: Settings, keys: Sequence[str], value: Any) -> None:
    """Set what is there already: a misspelt name is an error."""
    for key in keys[:-1]:
        settings = settings[key]
    if keys[-1] not in settings:
        raise KeyError(".".join(keys))
    settings[keys[-1]] = value


class Work:
    """A folder in which rows are trained.

    Args:
        folder: where; what is finished there is taken as it is.
        raw: the photographs.
        files: folder of ImageNet weights.
        known: rows whose search is chosen already, and that search.
    """

    def __init__(
        self, folder: Path, raw: Path, files: Path, known: Mapping[str, Settings] | None = None
    ) -> None:
        self.folder, self.raw, self.files, self.known = folder, raw, files, known or {}
        self._choosing = Lock()

    def prepare(self, row: Row) -> None:
        """Make the tables, the encoder and the features of a row."""
        raw, folder, tables = self.raw, self.folder, (self._images, self._captions)
        encoder, features = self._encoder(row), self._features(row)
        self._once(folder / "ingest", row, "ingest", raw)
        self._once(folder / "clean", row, "clean", folder / "ingest" / "captions.parquet")
        self._once(folder / "vocabulary", row, "vocabulary", *tables, folder / "none")
        self._once(encoder, row, "encoder", raw, *tables, self.files)
        cache = "--cache", folder / "cache"
        self._once(features, row, "features", raw, self._images, encoder, options=cache)

    def train(self, row: Row, seed: int) -> None:
        """Train a row from one seed."""
        out = self._bundle(row.name, seed).parent
        words = self.folder / "vocabulary"
        tables = self._images, self._captions, words / "vocabulary.json", words / "embeddings.npy"
        # Of its own, as one that is finished removes those that were used longest ago.
        cache = "--cache", self.folder / "training" / f"{self._training(row)}-{seed}"
        given = *tables, self._encoder(row), self._features(row)
        self._once(out, seeded(row, seed), "train", *given, options=cache)

    def chains(self, rows: Iterable[Row], seeds: Sequence[int]) -> list[list[tuple[Row, int]]]:
        """Gather what has to be trained one after another: what goes on with the same training."""
        found: dict[str, list[tuple[Row, int]]] = {}
        for seed in seeds:
            for row in (row for row in rows if row.of == row.name):
                found.setdefault(f"{self._training(row)}-{seed}", []).append((row, seed))
        return [
            sorted(chain, key=lambda one: one[0].settings["train"]["self_critical"]["epochs"])
            for chain in found.values()
        ]

    def choose(self, row: Row, seed: int) -> None:
        """Choose the search on the validation pictures: once, whichever seed is the first.

        Raises:
            ValueError: the folder has another search than the one that is known.
        """
        given = self.folder / "ingest", self._features(row), self._bundle(row.of, seed)
        sweep, known = self._sweep(row), self.known.get(row.searched)
        with self._choosing:  # of seeds that are trained side by side, one chooses
            if known is None:
                self._once(sweep, row, "sweep", *given)
            elif not (sweep / "best.json").exists():
                write_json(sweep / "best.json", _parts(known))
            elif chosen_search(sweep) != _parts(known):
                raise _searched_otherwise(row.name, known, chosen_search(sweep))

    def caption(self, row: Row, seeds: Sequence[int]) -> None:
        """Caption the splits with the decoder of one seed, or of several together."""
        out = self.folder / row.name / _seeds_name(row, seeds) / "captions.json"
        if out.exists():
            return
        self.choose(row, seeds[0])
        bundles = [str(self._bundle(row.of, seed)) for seed in seeds]
        features, params = self._features(row), out.parent / "params.yaml"
        chosen = chosen_search(self._sweep(row))
        settings = {**row.settings, "evaluate": {**row.settings["evaluate"], **chosen}}
        write_text(params, yaml.safe_dump(settings))
        command = "benchmarks.ladder", "search", *bundles
        self._run(out.parent, (*command, self.folder, features, params, out))

    @property
    def _images(self) -> Path:
        return self.folder / "ingest" / "images.parquet"

    @property
    def _captions(self) -> Path:
        return self.folder / "clean" / "captions.parquet"

    def _encoder(self, row: Row) -> Path:
        return self.folder / f"encoder_{_short(row.settings['encoder'])}"

    def _features(self, row: Row) -> Path:
        return self._encoder(row).with_name(
            f"features_{_short(row.settings['encoder'], row.settings['features'])}"
        )

    def _training(self, row: Row) -> str:
        """Name a training by all that it depends on but its seed and what comes after it."""
        settings = dict(row.settings["train"])
        for name in ("seeds", "self_critical", "consensus"):
            settings.pop(name)
        return _short(settings, row.settings["encoder"], row.settings["features"])

    def _bundle(self, name: str, seed: int) -> Path:
        return self.folder / name / f"seed_{seed}" / "train" / "bundle"

    def _sweep(self, row: Row) -> Path:
        return self.folder / row.searched / "sweep"

    def _once(
        self, out: Path, row: Row, stage: str, *given: Path, options: Iterable[Any] = ()
    ) -> None:
        """Run a stage, unless it has been; the time it took is left beside what it made."""
        told = out.with_name(f"{out.name}.seconds")
        params = out.with_name(f"{out.name}.yaml")
        if told.exists():
            before = yaml.safe_load(params.read_text(encoding="utf-8"))
            if before[stage] != row.settings[stage]:
                raise SystemExit(
                    f"{out}: made with other settings of section {stage!r} than {row.name} has now,"
                    f" which {params} tells. Take it away, to have it made again"
                )
            return
        write_text(params, yaml.safe_dump(row.settings))
        begun = time.perf_counter()
        self._run(out, (f"stages.{stage}", *given, out, "--params", params, *options))
        write_text(told, f"{time.perf_counter() - begun:.1f}\n")

    def _run(self, out: Path, command: Iterable[Any]) -> None:
        """Run a module in a process of its own; what it tells goes to a file."""
        words = [sys.executable, "-m", *map(str, command)]
        log.info("%s", " ".join(words[1:4]))
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.with_name(f"{out.name}.log").open("wb") as told:
            done = subprocess.run(words, cwd=ROOT, stdout=told, stderr=told, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}, see {told.name}")


def chosen_search(sweep: Path) -> Settings:
    """What a sweep found best of a search."""
    return _parts(json.loads((sweep / "best.json").read_text()))


def _parts(search: Mapping[str, Any]) -> Settings:
    return {name: search.get(name, 0.0) for name in PARTS}  # there were searches without the last


def seeded(row: Row, seed: int) -> Row:
    """The row with one seed."""
    train = {**row.settings["train"], "seeds": [seed]}
    return row._replace(settings={**row.settings, "train": train})


def _short(*settings: Settings) -> str:
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _seeds_name(row: Row, seeds: Sequence[int]) -> str:
    """Name the folder of captions: of other seeds together, it is another one."""
    return f"ensemble_{'_'.join(map(str, seeds))}" if row.ensemble else f"seed_{seeds[0]}"


def captions_of(folder: Path, row: Row) -> dict[Path, int]:
    """Find a row's captions, and of how many seeds each are; of its ensembles the largest alone."""
    if not row.ensemble:
        return dict.fromkeys(sorted((folder / row.name).glob("seed_*/captions.json")), 1)
    found = sorted((folder / row.name).glob("ensemble_*/captions.json"))
    sizes = {path: path.parent.name.count("_") for path in found}
    largest = max(found, key=lambda path: sizes[path], default=None)
    return {} if largest is None else {largest: sizes[largest]}


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="Where; what is finished there is kept.")],
    names: Annotated[list[str] | None, typer.Argument(help="Rows; all.")] = None,
    seeds: Annotated[str, typer.Option(help="Which.")] = "1,2,3",
    jobs: Annotated[int, typer.Option(help="Trainings at a time; 1 on a CPU.")] = 1,
    add: Add = False,
    ladder: Rows = ROWS,
) -> None:
    """Train rows, and caption the validation and test pictures with each."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    known = read_rows(ladder)
    rows = [known[name] for name in names or known]
    numbers = [int(seed) for seed in seeds.split(",")]
    searches = {name: row["search"] for name, row in _results()["rows"].items()} if add else {}
    work = Work(folder.resolve(), photographs(), weights(), searches)
    for row in rows:
        work.prepare(row)
    begun = time.perf_counter()
    with ThreadPoolExecutor(jobs) as pool:
        chains = work.chains(rows, numbers)
        trained = [pool.submit(_train_chain, work, chain) for chain in chains]
        failed = sum([_told(done.exception()) for done in trained])
        groups = [
            (row, group)
            for row in rows
            for group in ([numbers] if row.ensemble else [[seed] for seed in numbers])
        ]
        captioned = [pool.submit(work.caption, *group) for group in groups]
        failed += sum([_told(done.exception()) for done in captioned])
    log.info("%.0f s", time.perf_counter() - begun)
    if failed:
        raise typer.Exit(1)


def _train_chain(work: Work, chain: Sequence[tuple[Row, int]]) -> None:
    for row, seed in chain:
        work.train(row, seed)
        work.choose(row, seed)
        work.caption(row, [seed])


def _told(error: BaseException | None) -> bool:
    """Log what went wrong; tell whether anything did."""
    if error is not None:
        log.error("%s", error)
    return error is not None


@app.command()
def search(
    bundles: Annotated[list[Path], typer.Argument(help="Trained; of several, an ensemble.")],
    folder: Annotated[Path, typer.Argument(help="Where the tables are.")],
    features: Annotated[Path, typer.Argument(help="Features of the pictures.")],
    params: Annotated[Path, typer.Argument(help="Settings of the search.")],
    out: Annotated[Path, typer.Argument(help="Captions by split and picture.")],
) -> None:
    """Caption the validation and the test pictures."""
    from pipeline.captioner import bundle
    from pipeline.evaluation.split import Searcher
    from pipeline.params import load
    from stages.evaluate import EvaluateSettings

    how = load(EvaluateSettings, "evaluate", params)
    searcher = Searcher(bundles[0], features)
    together = bundle.together([bundle.load_members(path)[0] for path in bundles])
    found = {}
    for name, split in _splits(folder).items():
        captions = searcher.caption(split.ids, how, together)
        found[name] = {image_id: best[0].text for image_id, best in captions.items()}
    write_json(out, found)


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="That `train` has worked in.")],
    add: Add = False,
    ladder: Rows = ROWS,
) -> None:
    """Score all captions, write benchmarks/ladder.json, and print the table."""
    references = {name: split.references for name, split in _splits(folder).items()}
    results = _results()
    results["scored_on"] = machine()
    for name, row in read_rows(ladder).items():
        found = captions_of(folder, row)
        if not found:
            continue
        every = {path.parent.name: _scored(path, references) for path in found}
        for run, figures in every.items():
            figures["training"] = _told_of_training(folder / row.of / run / "train")
        search = chosen_search(folder / row.searched / "sweep")
        told: Settings = {"search": search, "seeds": sum(found.values()), "every": every}
        told = with_known(row, told, results["rows"].get(name) if add else None)
        results["rows"][name] = {**told, **_over(list(told["every"].values()))}
    write_json(RESULTS, results)
    typer.echo(table(results["rows"]))


@app.command()
def show(
    names: Annotated[list[str] | None, typer.Argument(help="Rows; all.")] = None,
    ladder: Rows = ROWS,
) -> None:
    """Print the table of rows that are scored, in the order of their names here."""
    results, known = _results()["rows"], read_rows(ladder)
    wanted = names or [name for name in known if name in results]
    typer.echo(table({name: results[name] for name in wanted}, known))


@app.command()
def steps(
    pairs: Annotated[list[str], typer.Argument(metavar="FROM:TO...", help="Rows.")],
) -> None:
    """Print how much more each row has than the one that it is held against, mean for mean."""
    results = _results()["rows"]
    typer.echo(gains([pair.split(":") for pair in pairs], results))


def with_known(row: Row, found: Settings, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Put what the results know of a row beside what was found of it, which counts.

    Of an ensemble, the one of more seeds stays. Whether both were trained alike is the caller's to
    see.

    Args:
        row: of the ladder.
        found: its `search`, number of `seeds`, and the scores of `every` one.
        known: the same, if there is any.

    Raises:
        ValueError: they were searched otherwise.
    """
    if known is None:
        return found
    if _parts(known["search"]) != _parts(found["search"]):
        raise _searched_otherwise(row.name, known["search"], found["search"])
    if row.ensemble:
        return max(found, dict(known), key=lambda told: told["seeds"])
    every = dict(sorted({**known["every"], **found["every"]}.items()))
    return {**found, "seeds": len(every), "every": every}


def _searched_otherwise(name: str, known: Settings, received: Settings) -> ValueError:
    return ValueError(
        f"{name}: expected the search of {RESULTS.name}, {_parts(known)}. Received: "
        f"{_parts(received)}. Take another folder for further seeds, or leave --add out"
    )


def _results() -> dict[str, Any]:
    """What is written already."""
    results: dict[str, Any] = {"rows": {}}
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else results


def _splits(folder: Path) -> "dict[str, ScoredSplit]":
    """The validation and the test pictures, and what people said of them."""
    from pipeline.evaluation.split import select
    from pipeline.tables import CAPTIONS, IMAGES, read_table

    images = read_table(folder / "ingest" / "images.parquet", IMAGES)
    captions = read_table(folder / "ingest" / "captions.parquet", CAPTIONS)
    return {name: select(name, images, captions) for name in SPLITS}


def _scored(path: Path, references: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, Any]:
    """The official scores of captions by split; worked out once."""
    from pipeline.evaluation.scores import score as official

    known, own = path.with_name("scores.json"), sha256_of(path)
    if not known.exists() or json.loads(known.read_text()).get("captions") != own:
        captions = json.loads(path.read_text())
        scored = {split: official(captions[split], references[split]) for split in SPLITS}
        rounded = {
            split: {name: round(value, 4) for name, value in found.corpus.items()}
            | {"tokenisation": found.tokenisation}
            for split, found in scored.items()
        }
        write_json(known, {**rounded, "captions": own})
    found: dict[str, Any] = json.loads(known.read_text())
    return {split: found[split] for split in SPLITS}


def _told_of_training(out: Path) -> dict[str, Any]:
    """What a training told of itself, and the minutes it took."""
    if not (out / "metrics.json").exists():
        return {}
    told: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    minutes = float(out.with_name(f"{out.name}.seconds").read_text()) / 60
    return {"minutes": round(minutes, 1), **told}


def _over(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean over the seeds, and deviation where there are several."""
    return {
        name: over_seeds(every, lambda values, how=how: round(how(values), 4))  # type: ignore[misc]
        for name, how in (("mean", statistics.mean), ("deviation", statistics.stdev))
        if name == "mean" or len(every) > 1
    }


def table(rows: Mapping[str, Any], known: Mapping[str, Row] | None = None) -> str:
    """Write the test scores, and CIDEr-D of validation, as Markdown.

    Args:
        rows: scored, by name.
        known: of the ladder, which tell what a row is.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for name, row in rows.items():
        mean, apart = row["mean"], row.get("deviation", {"test": {}, "val": {}})
        search = {"guide": 0, "consensus": 0, **row["search"]}
        told = ", ".join(f"{search[part]:g}" for part in PARTS)
        cells = [told, f"{mean['val']['cider_d']:.3f}"]
        for metric in METRICS:
            value, spread = mean["test"].get(metric), apart["test"].get(metric)
            told = "" if value is None else f"{value:.3f}"
            cells.append(told if spread is None else f"{told} ± {spread:.3f}")
        took = mean["training"].get("minutes")
        minutes = "" if took is None else f"{took:.1f}"
        about = known[name].about if known else ""
        named = f"`{name}`: {about}" if about else f"`{name}`"
        lines.append(f"| {named} | {row['seeds']} | {minutes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(pairs: Iterable[Sequence[str]], rows: Mapping[str, Any]) -> str:
    """Write the differences of two rows' means as Markdown, and how many of the seeds gain.

    Args:
        pairs: names of rows: the one that is held against, and the other one.
        rows: scored, by name.
    """
    lines = [f"| {' | '.join(GAINS)} |", "|---" * len(GAINS) + "|"]
    for first, second in pairs:
        a, b = rows[first], rows[second]
        figures = [("val", "cider_d"), *(("test", name) for name in METRICS)]
        more = [b["mean"][split][name] - a["mean"][split][name] for split, name in figures]
        shared = sorted(a["every"].keys() & b["every"].keys())
        better = [
            b["every"][seed]["test"]["cider_d"] > a["every"][seed]["test"]["cider_d"]
            for seed in shared
        ]
        told = f"{sum(better)} of {len(better)}" if better else ""
        cells = [f"`{first}`", f"`{second}`", *(f"{round(one, 3) + 0:+.3f}" for one in more), told]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app()
