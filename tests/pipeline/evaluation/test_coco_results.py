import json
from pathlib import Path

import pytest

from pipeline.evaluation.coco_results import coco_results


def test_numbers_become_numbers() -> None:
    assert coco_results({"391895": "a dog", "000522418": ""}) == [
        {"image_id": 391895, "caption": "a dog"},
        {"image_id": 522418, "caption": ""},
    ]


@pytest.mark.parametrize(
    "ids", [("12", "x"), ("1", "01"), ("1.5", "2"), ("\u0663", "4"), ("-1", "1")]
)
def test_ids_stay_text_where_one_is_no_number_or_two_would_be_one(ids: tuple[str, ...]) -> None:
    assert [entry["image_id"] for entry in coco_results(dict.fromkeys(ids, "a"))] == list(ids)


def test_of_no_captions_there_are_none() -> None:
    assert coco_results({}) == []


def test_the_official_reader_takes_them(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    annotations = {
        "info": {},
        "images": [{"id": 7}, {"id": 9}],
        "annotations": [{"id": 1, "image_id": 7, "caption": "a dog"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    results = tmp_path / "results.json"
    results.write_text(json.dumps(coco_results({"7": "a cat", "9": "two men"})))
    loaded = COCO(str(tmp_path / "annotations.json")).loadRes(str(results))
    assert [(one["image_id"], one["caption"]) for one in loaded.dataset["annotations"]] == [
        (7, "a cat"),
        (9, "two men"),
    ]
