"""`gallery` and `summary` show what `evaluate` wrote, or say what to run first."""

import hashlib
import json

import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.tables import IMAGES, write_rows
from stages.gallery import gallery

METRICS = {
    "bleu_4": 0.25,
    "pictures": 2,
    "scored_pictures": 2,
    "words_used": 7,
    "missing": {"meteor": "no Java"},
}


@pytest.fixture
def evaluated(tmp_path):
    rows, images = [], []
    for name in ("one", "two"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / f"{name}.png")
        path = tmp_path / f"{name}.png"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        images.append(
            {
                **{"image_id": name, "split": "test", "path": path.name, "offset": 0},
                **{"bytes": path.stat().st_size, "sha256": digest, "width": 40, "height": 40},
                **{"mode": "RGB", "dhash": ""},
            }
        )
        rows.append(
            {
                **{"image_id": name, "path": path.name, "caption": f"a {name}"},
                "references": ["A red ."],
            }
        )
    write_rows(tmp_path / "images.parquet", images, IMAGES, ["image_id"])
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "predictions.jsonl").write_text(text)
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    return tmp_path


def draw(out, folder, predictions="predictions.jsonl"):
    gallery(out, folder, folder / "images.parquet", folder / predictions, count=8, columns=4)


def test_gallery_draws_a_sheet(evaluated, capsys):
    out = evaluated / "sheet.png"
    draw(out, evaluated)
    assert Image.open(out).size[0] > 2 * 224
    assert "2 of 2 pictures" in capsys.readouterr().out


def test_gallery_says_what_to_do_without_predictions_or_pictures(evaluated, tmp_path):
    with pytest.raises(InputError, match="dvc repro"):
        draw(tmp_path / "x.png", evaluated, "none.jsonl")
    (evaluated / "one.png").unlink()
    with pytest.raises(InputError, match="--raw"):
        draw(tmp_path / "x.png", evaluated)


def test_a_sheet_that_jpeg_has_no_pixels_for_is_told(evaluated, monkeypatch):
    monkeypatch.setattr("stages.gallery.MOST_OF_JPEG", 100)
    with pytest.raises(InputError, match=r"all that JPEG has\. Received: [\d,]+ x [\d,]+\. Lower"):
        draw(evaluated / "sheet.jpg", evaluated)
    draw(evaluated / "sheet.png", evaluated)


@pytest.mark.parametrize("name", ["sheet", "sheet.txt"])
def test_gallery_wants_a_name_of_a_picture(evaluated, name):
    with pytest.raises(InputError, match=r"expected a name that ends in \.png or \.jpg"):
        draw(evaluated / name, evaluated)


def test_a_broken_line_is_told_with_its_number(evaluated):
    with (evaluated / "predictions.jsonl").open("a") as stream:
        stream.write('{"image_id": "th\n')
    with pytest.raises(InputError, match=r"predictions\.jsonl:3: expected a line of"):
        draw(evaluated / "sheet.png", evaluated)
