"""What the report tells, before any of it is drawn."""

import pyarrow as pa

from pipeline.evaluation.predictions import Prediction
from pipeline.reporting.report.findings import gather
from pipeline.reporting.report.settings import ReportSettings
from pipeline.tables import CLEAN_CAPTIONS, IMAGES


def predicted(image_id: str, caption: str, *references: str) -> Prediction:
    scores = {"cider_d": 1.0}
    return Prediction(image_id, f"{image_id}.jpg", caption, (), references, scores)


def test_words_are_held_against_the_references_as_they_are_shown():
    # `clean` has dropped them all: too long, say, or said twice.
    predictions = [
        predicted("a", "a dog catches a frisbee", "A dog 's Frisbee !", "A dog .", "A dog ."),
        predicted("b", "a cat sits", "A cat .", "A kitten on a mat .", "A cat on a mat ."),
    ]
    tables = (pa.Table.from_pylist([], schema) for schema in (IMAGES, CLEAN_CAPTIONS))
    settings = ReportSettings(examples=2, picture_side=16, seed=1)
    found = gather(*tables, {}, predictions, [], [], settings)
    alone = [list(one.alone) for one in found.grounding.verdicts]
    assert alone == [["catches"], ["sits"]]
    left_out = [list(one.left_out) for one in found.grounding.verdicts]
    assert left_out == [[], ["mat"]]
