"""The command `vocabulary`."""

import json

from pipeline.text.vocabulary import Vocabulary


def test_the_words_the_metrics_and_the_curve_are_written(counted):
    folder = counted.data / "vocabulary"
    words = Vocabulary.read(folder / "vocabulary.json").words
    assert words[4:6] == ("a", "square")
    assert set(words[6:]) == {"red", "green", "blue", "on", "the", "left", "right", "there", "is"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == {"unknown_rate": {"test": 0.0, "train": 0.0, "val": 0.0}, "words": 15}
    lines = (folder / "coverage.csv").read_text().splitlines()
    assert lines[:2] == ["min_count,words,split,coverage", "1,11,train,1.0"]
    assert len(lines) == 1 + 12 * 3


def test_the_same_captions_give_the_same_bytes(counted, content, tmp_path):
    assert counted.run("vocabulary", counted.images, counted.captions, tmp_path).code == 0
    assert content(tmp_path) == content(counted.data / "vocabulary")


def test_only_words_of_the_training_split_are_known(make_tiny, tmp_path):
    tiny = make_tiny(tmp_path / "data", {"train": 2, "test": 4})  # training pictures are all red
    out = tmp_path / "out"
    assert (
        tiny.run("clean", tiny.data / "ingest" / "captions.parquet", tiny.data / "clean").code == 0
    )
    assert tiny.run("vocabulary", tiny.images, tiny.captions, out, min_count=1).code == 0
    words = Vocabulary.read(out / "vocabulary.json").words
    assert "red" in words
    assert not {"green", "blue"} & set(words)
    assert json.loads((out / "metrics.json").read_text())["unknown_rate"]["test"] > 0


def test_a_threshold_that_no_word_reaches_is_one_line(cleaned, one_line, tmp_path):
    out = tmp_path / "out"
    result = cleaned.run("vocabulary", cleaned.images, cleaned.captions, out, min_count=1000)
    assert "Lower vocabulary.min_count" in one_line(result)
    assert not out.exists()


def test_captions_that_are_not_clean_are_one_line(tiny, one_line, tmp_path):
    captions = tiny.data / "ingest" / "captions.parquet"
    assert "expected columns" in one_line(tiny.run("vocabulary", tiny.images, captions, tmp_path))
