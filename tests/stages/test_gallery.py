"""`gallery` and `summary` show what `evaluate` wrote, or say what to run first."""

import json

import pytest
from PIL import Image

from pipeline.errors import InputError
from stages.gallery import gallery
from stages.summary import summary

METRICS = {"bleu_4": 0.25, "pictures": 2, "words_used": 7, "missing": {"meteor": "no Java"}}


@pytest.fixture
def evaluated(tmp_path):
    rows = []
    for name in ("one", "two"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / f"{name}.png")
        rows.append({"path": f"{name}.png", "caption": f"a {name}", "references": ["A red ."]})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "predictions.jsonl").write_text(text)
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    return tmp_path


def test_gallery_draws_a_sheet(evaluated, capsys):
    out = evaluated / "sheet.png"
    gallery(out, evaluated, evaluated / "predictions.jsonl", count=8, columns=4)
    assert Image.open(out).size[0] > 2 * 224
    assert "2 of 2 pictures" in capsys.readouterr().out


def test_gallery_says_what_to_do_without_predictions_or_pictures(evaluated, tmp_path):
    with pytest.raises(InputError, match="dvc repro"):
        gallery(tmp_path / "x.png", evaluated, tmp_path / "none.jsonl", count=8, columns=4)
    (evaluated / "one.png").unlink()
    with pytest.raises(InputError, match="--raw"):
        gallery(tmp_path / "x.png", evaluated, evaluated / "predictions.jsonl", 8, 4)


def test_summary_tells_scores_what_is_missing_and_examples(evaluated, capsys):
    summary(evaluated, examples=2)
    told = capsys.readouterr().out
    for part in ("BLEU-4", "0.250", "missing: no Java", "one.png", "a two", "A red ."):
        assert part in told


def test_summary_says_what_to_run_first(tmp_path):
    with pytest.raises(InputError, match="make repro"):
        summary(tmp_path, examples=2)
