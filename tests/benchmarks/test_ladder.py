"""The ladder's rows are what its file says, and are trained in an order that shares work."""

import json
import re
import statistics
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.ladder import (
    METRICS,
    RESULTS,
    ROOT,
    Work,
    app,
    captions_of,
    gains,
    read_rows,
    seeded,
    table,
    with_known,
)
from pipeline.files import write_json

LADDER = {
    "base": {"train.units": 512, "sweep.beam_widths": [3]},
    "rows": {
        "inject": {},
        "smooth": {"from": "inject", "train.label_smoothing": 0.1},
        "scst": {"from": "smooth", "train.self_critical.epochs": 2},
        "wide": {"of": "scst", "evaluate.max_words": 7},
        "together": {"of": "scst", "ensemble": True},
        "agreed": {"of": "scst", "sweep.consensus": [0, 5]},
        "agreed_together": {"of": "scst", "from": "agreed", "ensemble": True},
    },
}


@pytest.fixture
def rows_of(tmp_path):
    def read(ladder):
        path = tmp_path / "ladder.yaml"
        path.write_text(yaml.safe_dump(ladder, sort_keys=False))
        return read_rows(path)

    return read


def test_a_row_is_the_one_above_it_and_what_it_changes(rows_of):
    rows = rows_of(LADDER)
    assert list(rows) == list(LADDER["rows"])
    assert rows["inject"].settings["train"]["units"] == 512
    assert rows["inject"].settings["train"]["label_smoothing"] == 0.0
    assert rows["scst"].settings["train"]["label_smoothing"] == 0.1
    assert rows["scst"].settings["train"]["self_critical"]["epochs"] == 2
    assert rows["smooth"].settings["train"]["self_critical"]["epochs"] == 0
    assert rows["wide"].settings["evaluate"]["max_words"] == 7
    assert [row.of for row in rows.values()] == ["inject", "smooth", *["scst"] * 5]
    assert [name for name, row in rows.items() if row.ensemble] == ["together", "agreed_together"]
    assert rows["agreed_together"].settings["sweep"]["consensus"] == [0, 5]


def test_a_search_is_chosen_for_the_decoder_or_where_a_row_says_from_what(rows_of):
    searched = {name: row.searched for name, row in rows_of(LADDER).items()}
    assert searched == {
        "inject": "inject",
        "smooth": "smooth",
        "scst": "scst",
        "wide": "scst",
        "together": "scst",
        "agreed": "agreed",
        "agreed_together": "agreed",
    }


def test_what_is_not_set_is_as_in_params_yaml(rows_of):
    plain = yaml.safe_load((ROOT / "params.yaml").read_text())
    plain["train"]["units"] = 512
    plain["sweep"]["beam_widths"] = [3]
    assert rows_of(LADDER)["inject"].settings == plain


@pytest.mark.parametrize("name", ["train.unitz", "trian.units", "train.self_critical.epoch"])
def test_a_misspelt_setting_is_no_new_one(rows_of, name):
    with pytest.raises(KeyError):
        rows_of({"base": {}, "rows": {"inject": {name: 1}}})


def test_what_rows_are_about_depends_on_no_order():
    assert not [row.name for row in read_rows().values() if row.about.startswith("...")]


def test_the_committed_ladder_can_be_read():
    rows = read_rows()
    assert rows["inject"].settings["ingest"]["folder"] == "data/raw/flickr8k"
    assert all(row.of in rows for row in rows.values())


def test_what_goes_on_with_a_training_waits_for_it(rows_of, tmp_path):
    rows = rows_of(LADDER)
    work = Work(tmp_path, tmp_path, tmp_path)
    backwards = [rows[name] for name in reversed(LADDER["rows"])]
    chains = [[(row.name, seed) for row, seed in chain] for chain in work.chains(backwards, [1, 2])]
    assert sorted(chains) == [
        [("inject", 1)],
        [("inject", 2)],
        [("smooth", 1), ("scst", 1)],
        [("smooth", 2), ("scst", 2)],
    ]
    assert [chain[0][1] for chain in chains] == [1, 1, 2, 2], "every row once, before seed 2"


def test_all_seeds_and_their_ensemble_are_searched_as_the_first_seed_chose(
    rows_of, tmp_path, monkeypatch
):
    rows, work, ran = rows_of(LADDER), Work(tmp_path, tmp_path, tmp_path), []

    def run(out, command):
        ran.append(command[0])
        if command[0] == "stages.sweep":
            write_json(
                out / "best.json",
                {"beam_width": 10, "length_penalty": 0.9, "guide": 4.0, "consensus": 2.0},
            )

    monkeypatch.setattr(work, "_run", run)
    for seed in (1, 2):
        work.choose(rows["scst"], seed)
        work.caption(rows["scst"], [seed])
    work.caption(rows["together"], [1, 2])
    assert ran == ["stages.sweep", *["benchmarks.ladder"] * 3]
    work.caption(rows["agreed_together"], [1, 2])
    assert ran[4:] == ["stages.sweep", "benchmarks.ladder"], "which is another search"
    for folder in ("scst/seed_1", "scst/seed_2", "together/ensemble_1_2"):
        search = yaml.safe_load((tmp_path / folder / "params.yaml").read_text())["evaluate"]
        assert search["beam_width"] == 10
        assert search["length_penalty"] == 0.9
        assert search["guide"] == 4.0
        assert search["consensus"] == 2.0
        assert search["max_words"] == 20


SEARCH = {"beam_width": 10, "length_penalty": 0.9}  # as of rows from before there was a guide
WHOLE = {**SEARCH, "guide": 0.0, "consensus": 0.0}


def test_further_seeds_are_searched_as_was_chosen_before(rows_of, tmp_path, monkeypatch):
    rows, ran = rows_of(LADDER), []
    work = Work(tmp_path, tmp_path, tmp_path, {"scst": SEARCH})
    monkeypatch.setattr(work, "_run", lambda out, command: ran.append(command[0]))
    for seed in (2, 3):
        work.caption(rows["scst"], [seed])
    assert ran == ["benchmarks.ladder"] * 2, "no sweep"
    written = yaml.safe_load((tmp_path / "scst" / "seed_3" / "params.yaml").read_text())
    assert WHOLE.items() <= written["evaluate"].items()


def test_what_was_searched_otherwise_is_no_further_seed(rows_of, tmp_path):
    row = rows_of(LADDER)["scst"]
    write_json(tmp_path / "scst" / "sweep" / "best.json", {**WHOLE, "beam_width": 3})
    with pytest.raises(ValueError, match=r"scst: expected the search of ladder\.json"):
        Work(tmp_path, tmp_path, tmp_path, {"scst": SEARCH}).choose(row, 2)


def test_further_seeds_stand_beside_those_that_are_known(rows_of):
    row = rows_of(LADDER)["scst"]
    found = {"search": WHOLE, "seeds": 2, "every": {"seed_1": "new", "seed_2": "new"}}
    known = {"search": SEARCH, "seeds": 2, "every": {"seed_1": "old", "seed_3": "kept"}, "mean": 1}
    every = {"seed_1": "new", "seed_2": "new", "seed_3": "kept"}
    assert with_known(row, found, known) == {"search": WHOLE, "seeds": 3, "every": every}
    assert list(with_known(row, found, known)["every"]) == sorted(every)
    assert with_known(row, found, None) == found
    with pytest.raises(ValueError, match=r"scst: expected the search of ladder\.json"):
        with_known(row, {**found, "search": {**WHOLE, "guide": 4.0}}, known)


@pytest.mark.parametrize(("seeds", "stays"), [(2, "known"), (3, "found"), (4, "found")])
def test_of_ensembles_the_one_of_more_seeds_stays(rows_of, seeds, stays):
    row = rows_of(LADDER)["together"]
    told = {
        "found": {"search": WHOLE, "seeds": seeds, "every": {"ensemble_new": {}}},
        "known": {"search": WHOLE, "seeds": 3, "every": {"ensemble_1_2_3": {}}},
    }
    assert with_known(row, told["found"], told["known"]) == told[stays]


def test_an_ensemble_of_more_seeds_is_searched_anew(rows_of, tmp_path, monkeypatch):
    row, work, ran = rows_of(LADDER)["together"], Work(tmp_path, tmp_path, tmp_path), []

    def run(out, command):
        if command[0] == "stages.sweep":
            write_json(out / "best.json", {"beam_width": 10, "length_penalty": 0.9})
            return
        ran.append([Path(one).parts[-3] for one in command if "seed_" in str(one)])
        write_json(command[-1], {})

    monkeypatch.setattr(work, "_run", run)
    assert captions_of(tmp_path, row) == {}
    for seeds in ([1], [1, 2, 3], [1, 2, 3], [1]):
        work.caption(row, seeds)
    assert ran == [["seed_1"], ["seed_1", "seed_2", "seed_3"]], "each once"
    largest = tmp_path / "together" / "ensemble_1_2_3" / "captions.json"
    assert captions_of(tmp_path, row) == {largest: 3}, "others are not averaged with it"


def test_of_seeds_alone_each_has_its_captions(rows_of, tmp_path):
    row = rows_of(LADDER)["wide"]
    paths = [tmp_path / "wide" / f"seed_{seed}" / "captions.json" for seed in (1, 2)]
    for path in paths:
        write_json(path, {})
    assert captions_of(tmp_path, row) == dict.fromkeys(paths, 1)


def test_what_other_settings_made_is_not_taken_for_a_row(rows_of, tmp_path, monkeypatch):
    row, changed = rows_of(LADDER)["scst"], rows_of({**LADDER, "base": {"train.units": 7}})["scst"]
    work, ran = Work(tmp_path, tmp_path, tmp_path), []
    monkeypatch.setattr(Work, "_run", lambda self, out, command: ran.append(out))
    for _ in range(2):
        work._once(tmp_path / "train", row, "train")
        work._once(tmp_path / "clean", changed, "clean")
    assert ran == [tmp_path / "train", tmp_path / "clean"]
    work._once(tmp_path / "clean", row, "clean")  # which depends on no setting of train
    with pytest.raises(SystemExit, match=r"other settings of section 'train' than scst has now"):
        work._once(tmp_path / "train", changed, "train")


def test_a_row_of_another_kernel_goes_on_with_the_same_training(tmp_path):
    rows, work = read_rows(), Work(tmp_path, tmp_path, tmp_path)
    linear = rows["inject_consensus_linear"]
    assert linear.settings["train"]["consensus"]["kernel"] == "linear"
    assert linear.settings["sweep"] == rows["inject_consensus"].settings["sweep"]
    chains = work.chains([linear, rows["inject_better"]], [1])
    assert [[row.name for row, _ in chain] for chain in chains] == [
        ["inject_consensus_linear", "inject_better"]
    ]
    together = rows["inject_consensus_linear_ensemble"]
    assert (together.of, together.searched) == (linear.name, linear.name)


def test_the_committed_figures_tell_of_how_many_seeds_they_are():
    rows = json.loads(RESULTS.read_text())["rows"]
    assert "| `inject_consensus_ensemble` | 3 |" in table(rows)
    assert "| `inject_consensus` | 3 |" in table(rows)
    assert "| `adaptive_consensus` | 3 |" in table(rows)


SHOWN = re.compile(
    r"^    (python -m benchmarks\.ladder (?:show|steps) [\w: ]+)\n\n((?:\|.*\n)+)", re.MULTILINE
)


def test_the_tables_of_the_docs_are_what_their_commands_show():
    text = (ROOT / "docs" / "results.md").read_text()
    found = SHOWN.findall(text)
    commands = re.findall(r"benchmarks\.ladder (?:show|steps) ", text)
    assert len(found) == len(commands) > 0
    for command, written in found:
        shown = CliRunner().invoke(app, command.split()[3:])
        assert shown.stdout == written, command


def test_one_seed_at_a_time(rows_of):
    rows = rows_of(LADDER)
    assert seeded(rows["inject"], 3).settings["train"]["seeds"] == [3]
    assert rows["inject"].settings["train"]["seeds"] == [1]


def test_the_table_has_means_and_deviations():
    def scores(value):
        return {"val": {"cider_d": value}, "test": {"bleu_4": value, "cider_d": value}}

    search = {"beam_width": 10, "length_penalty": 1.0}
    row = {
        "search": {**search, "consensus": 5.0},
        "seeds": 2,
        "every": {"seed_1": {}, "seed_2": {}},
        "mean": {**scores(0.5), "training": {"minutes": 12.5}},
        "deviation": scores(0.01),
    }
    alone = {
        "search": search,
        "seeds": 3,  # together
        "every": {"ensemble_1_2_3": {}},
        "mean": {**scores(0.4), "training": {}},
    }
    *_, first, second = table({"inject": row, "wide": alone}).splitlines()
    assert (
        first
        == "| `inject` | 2 | 12.5 | 10, 1, 0, 5 | 0.500 | 0.500 ± 0.010 |  |  | 0.500 ± 0.010 |"
    )
    known = read_rows()
    assert table({"inject": row}, known).splitlines()[-1].startswith("| `inject`: cross-entropy")
    told = table({"inject_ensemble": alone}, known).splitlines()[-1]
    assert told.startswith("| `inject_ensemble`: the seeds together | 3 |")
    assert second == "| `wide` | 3 |  | 10, 1, 0, 0 | 0.400 | 0.400 |  |  | 0.400 |"


def test_steps_are_differences_of_means_and_the_seeds_that_gain_are_counted():
    def row(**seeds):
        every = {
            seed: {"test": {**dict.fromkeys(METRICS, 0.2), "cider_d": value}}
            for seed, value in seeds.items()
        }
        mean = statistics.mean(seeds.values())
        test = {**dict.fromkeys(METRICS, mean), "cider_d": mean}
        return {"every": every, "mean": {"val": {"cider_d": 0.5 + mean}, "test": test}}

    rows = {"a": row(seed_1=0.5, seed_2=0.5), "b": row(seed_1=0.6, seed_2=0.4, seed_3=0.8)}
    rows["all"] = row(ensemble_1_2=0.7)
    *_, first, second = gains([("a", "b"), ("b", "all")], rows).splitlines()
    assert first == "| `a` | `b` | +0.100 | +0.100 | +0.100 | +0.100 | +0.100 | 1 of 2 |"
    assert second.endswith("| +0.100 |  |")
