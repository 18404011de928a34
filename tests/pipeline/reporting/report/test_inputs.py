"""Reading learning curves and the sweep's table."""

import pytest

from pipeline.errors import InputError
from pipeline.reporting.report.inputs import Trial, chosen_by, read_curves, read_sweep


def test_curves_are_read_with_their_run(tmp_path):
    for run in ("seed-1", "seed-2"):
        folder = tmp_path / run / "plots" / "metrics"
        folder.mkdir(parents=True)
        (folder / "loss.tsv").write_text("step\tloss\n0\t4.5\n1\tnan\n2\t3.5\n")
    first, second = read_curves(tmp_path)
    assert (first.name, first.run, second.run) == ("loss", "seed-1", "seed-2")
    assert (first.steps, first.values) == ((1.0, 3.0), (4.5, 3.5))  # what is no number is left out


def test_one_training_has_no_run_name(tmp_path):
    folder = tmp_path / "plots" / "metrics"
    folder.mkdir(parents=True)
    (folder / "val_cider_d.tsv").write_text("step\tval_cider_d\n0\t0.5\n")
    assert read_curves(tmp_path)[0].run == ""


def test_the_first_of_several_trainings_is_named_too(tmp_path):
    for folder in ("plots/metrics", "seed_2/plots/metrics"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "loss.tsv").write_text("step\tloss\n0\t4.5\n")
    assert [curve.run for curve in read_curves(tmp_path)] == ["first seed", "seed_2"]


def test_no_curves_or_others_are_told(tmp_path):
    with pytest.raises(InputError, match="expected the learning curves"):
        read_curves(tmp_path)
    (tmp_path / "loss.tsv").write_text("epoch\tloss\n0\t1\n")
    with pytest.raises(InputError, match=r"loss\.tsv: expected numbers in columns step and loss"):
        read_curves(tmp_path)


def test_the_sweep(tmp_path):
    path = tmp_path / "sweep.csv"
    path.write_text("beam_width,length_penalty,cider_d\n1,0.0,0.5\n3,0.75,0.6\n")
    assert read_sweep(path) == [Trial(1, 0.0, {"cider_d": 0.5}), Trial(3, 0.75, {"cider_d": 0.6})]
    path.write_text("beam_width,length_penalty,consensus,cider_d\n3,0.75,5.0,0.6\n")
    assert read_sweep(path) == [Trial(3, 0.75, {"cider_d": 0.6}, consensus=5.0)]
    path.write_text("beam_width,length_penalty,guide,consensus,cider_d\n3,0.75,4.0,5.0,0.6\n")
    assert read_sweep(path) == [Trial(3, 0.75, {"cider_d": 0.6}, consensus=5.0, guide=4.0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("beam_width,length_penalty,cider_d\n", "a row for each setting"),
        ("beam_width,cider_d\n1,2\n", "expected numbers in columns"),
        ("beam_width,length_penalty,cider_d\nwide,0,1\n", "expected numbers in columns"),
        (None, "no such file"),
    ],
)
def test_another_table_is_told(tmp_path, text, told):
    path = tmp_path / "sweep.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_sweep(path)


def test_what_the_sweep_chose_by(tmp_path):
    assert chosen_by(tmp_path / "sweep.csv") is None
    (tmp_path / "best.json").write_text('{"metric": "mean_score", "beam_width": 3}')
    assert chosen_by(tmp_path / "sweep.csv") == "mean_score"


@pytest.mark.parametrize("text", ["", "[]", "{}", "3"])
def test_another_file_of_the_best_is_told(tmp_path, text):
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(InputError, match=r"best\.json: expected what `sweep` writes"):
        chosen_by(tmp_path / "sweep.csv")
