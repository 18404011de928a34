"""What the pipeline reached on *scenes*, and that it owes it to the pictures.

Runs on the outputs of `make repro`, as `.ci/run` does after it; skipped where there are none.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml

DATA = Path(__file__).parents[1] / "data"
FAR_BELOW = 0.25  # of the trained decoder's CIDEr-D on pictures that are its own

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "evaluate" / "metrics.json").exists()
        or not (DATA / "train" / "bundle" / "bundle.json").exists()
        or not (DATA / "raw" / "scenes" / "facts.jsonl").exists(),
        reason="the pipeline has not run on scenes: make repro",
    ),
]


@pytest.fixture(scope="module")
def test_split():
    """The test pictures: features (n, f), and the tokens of their captions."""
    from pipeline.captioner import bundle
    from pipeline.images.shards import read_shards
    from pipeline.tables import CLEAN_CAPTIONS, IMAGES, read_table

    description = bundle.read_description(DATA / "train" / "bundle")
    known = read_shards(DATA / "features", description.encoder)
    row_of = known.row_of()
    references = defaultdict(list)
    for row in read_table(DATA / "clean" / "captions.parquet", CLEAN_CAPTIONS).to_pylist():
        references[row["image_id"]].append(row["tokens"])
    images = read_table(DATA / "ingest" / "images.parquet", IMAGES).to_pylist()
    ids = [row["image_id"] for row in images if row["split"] == "test"]
    features = known.values[[row_of[image_id] for image_id in ids]]
    return features, [references[image_id] for image_id in ids]


@pytest.fixture(scope="module")
def score(test_split):
    """Score what a captioner says of features as CIDEr-D on the test pictures' captions."""
    from pipeline.captioner.captioner import SearchSettings
    from pipeline.evaluation.cider import CiderD

    settings = SearchSettings.plain(beam_width=3, length_penalty=0.5, max_words=20)
    scorer = CiderD(test_split[1])

    def run(captioner, features: np.ndarray) -> float:
        found = [candidates[0].words for candidates in captioner.caption(features, settings)]
        return float(np.mean(scorer.score(found)))

    return run


@pytest.fixture(scope="module")
def trained():
    from pipeline.captioner import bundle

    return bundle.load_captioner(DATA / "train" / "bundle")


def test_the_captions_are_good():
    # The aims are 1.0 and 0.85, and docs/results.md has what was reached: 2.15 and 0.864. Another
    # machine rounds differently, which moves the latter by 0.01 or so: what fails here is broken.
    metrics = yaml.safe_load((DATA / "evaluate" / "metrics.json").read_text())
    assert metrics["cider_d"] >= 1.5
    assert metrics["fact_accuracy"] >= 0.82


def test_features_of_other_pictures_and_an_untrained_decoder_score_far_below(
    trained, test_split, score
):
    from pipeline import backend
    from pipeline.captioner.captioner import Captioner
    from pipeline.captioner.decoders.find import build

    features, _ = test_split
    reached = score(trained, features)
    assert reached >= 1.0
    shuffled = np.random.default_rng(5).permutation(features)
    assert score(trained, shuffled) < FAR_BELOW * reached

    backend.seed(1)
    words = trained.vocabulary
    untrained = build(trained.decoder.settings, len(words), features.shape[1:])
    untrained.start_output_bias(np.array(words.counts))
    assert score(Captioner(untrained, words), features) < FAR_BELOW * reached
