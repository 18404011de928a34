"""What two runs' captions and scores have to say."""

from dataclasses import replace

import pytest
from PIL import Image

from pipeline.comparison.compare import compare
from pipeline.comparison.revisions import Run
from pipeline.comparison.scoring import pair, score
from pipeline.comparison.text import as_text
from pipeline.comparison.view import as_data, as_page
from pipeline.comparison.words import p_value, verdict
from pipeline.errors import InputError

ROUNDS = 400


def run(predictions, name="a", params=None, metrics=None):
    return Run(name, None, params or {}, metrics or {}, tuple(predictions))


def compared(a, b, examples=3):
    return compare(run(a), run(b, "b"), examples, ROUNDS, seed=1)


def score_of(found, metric="cider_d"):
    return next(one for one in found.scores if one.metric == metric)


def test_a_real_improvement_is_significant(predict):
    found = compared(predict(150, seed=1, quality=0.4), predict(150, seed=2, quality=0.7))
    for metric in ("cider_d", "bleu_4", "rouge_l"):
        assert verdict(score_of(found, metric)) == "b is better"
    assert found.changed_captions > 100
    assert "significantly better" in as_text(found)


def test_a_worse_one_is_told(predict):
    found = compared(predict(150, seed=1, quality=0.7), predict(150, seed=2, quality=0.4))
    assert verdict(score_of(found)) == "b is worse"
    assert score_of(found).difference.high < 0


def test_captions_drawn_anew_are_seldom_significant(predict):
    verdicts = []
    for seed in range(20):
        pairs = pair(predict(80, 2 * seed, 0.5), predict(80, 2 * seed + 1, 0.5))
        scored = score(pairs, 200, 1)
        verdicts.append(verdict(next(one for one in scored.scores if one.metric == "cider_d")))
    assert verdicts.count("not significant") >= 17


def test_the_same_captions_show_no_difference_at_all(predict):
    same = predict(40, seed=1, quality=0.5)
    found = compared(same, same)
    assert found.changed_captions == 0
    assert found.gained == found.lost == []
    assert {verdict(one) for one in found.scores} == {"the same"}
    assert "No difference: all 40 captions are the same." in as_text(found)


def test_the_pictures_that_moved_most(predict):
    a = predict(30, seed=1, quality=0.5)
    a[4] = replace(a[4], caption="something else")
    a[7] = replace(a[7], caption=a[7].references[0])
    b = list(a)
    b[4] = replace(a[4], caption=a[4].references[0])
    b[7] = replace(a[7], caption="nothing at all")
    found = compared(a, b)
    assert found.changed_captions == 2
    assert [one.image_id for one in found.gained] == ["p0004"]
    assert [one.image_id for one in found.lost] == ["p0007"]
    assert found.gained[0].delta > 0 > found.lost[0].delta
    assert found.lost[0].caption_b == "nothing at all"
    page = as_page(found, {})
    assert "<mark>nothing</mark>" in page
    assert "not at hand" in page


def test_other_pictures_compare_by_the_common_ones(predict):
    a, b = predict(30, seed=1, quality=0.5), predict(30, seed=1, quality=0.5, first=10)
    found = compared(a, b)
    assert found.pictures == 20
    assert "20 are common, 10 are in a alone and 10 in b alone" in found.notes[0]


def test_no_common_picture_is_refused(predict):
    with pytest.raises(InputError, match="0 of them common, such as p0000 and p0010"):
        compared(predict(5, 1, 0.5), predict(5, 1, 0.5, first=10))


def test_pictures_without_references_are_left_out(predict):
    a = predict(10, 1, 0.5)
    b = [replace(a[0], references=()), *a[1:]]
    found = compared(a, b)
    assert found.pictures == 9
    assert any("have no references" in note for note in found.notes)
    with pytest.raises(InputError, match="with references"):
        compared(a, [replace(one, references=()) for one in a])


def test_other_references_are_told_and_those_of_b_count(predict):
    a = predict(10, 1, 0.5)
    b = [replace(one, references=(one.caption,)) for one in a]
    found = compared(a, b)
    assert "The references of 10 pictures differ" in found.notes[0]
    assert score_of(found).a == score_of(found).b == pytest.approx(10)


def test_scores_that_a_run_did_not_reach_are_told(predict):
    same = predict(20, 1, 0.5)
    right = score_of(compared(same, same)).a
    a = run(same, metrics={"cider_d": right + 0.5})
    b = run(same, "b", metrics={"cider_d": right})
    [note] = compare(a, b, 3, ROUNDS, 1).notes
    assert note.startswith("metrics.json of a does not have the scores of its captions (cider_d")


def test_captions_that_wait_for_another_run_are_told(predict):
    same = predict(20, 1, 0.5)
    b = replace(run(same, "b"), behind=("`evaluate` has not run since `train`",))
    [note] = compare(run(same), b, 3, ROUNDS, 1).notes
    assert note.startswith("Captions of b are older than what they are made of: `evaluate` has")


def test_facts_are_compared_where_both_have_them(predict):
    a = predict(60, 1, 0.5)
    truth = [replace(one, scores={"fact_accuracy": float(n % 3 == 0)}) for n, one in enumerate(a)]
    better = [replace(one, scores={"fact_accuracy": float(n % 3 < 2)}) for n, one in enumerate(a)]
    assert verdict(score_of(compared(truth, better), "fact_accuracy")) == "b is better"
    some = [*better[1:], replace(better[0], scores={})]
    assert "fact_accuracy" not in {one.metric for one in compared(truth, some).scores}


def test_equal_runs_give_equal_bytes(predict):
    a, b = predict(25, 1, 0.4), predict(25, 2, 0.6)
    first, second = compared(a, b), compared(a, list(reversed(b)))
    assert as_page(first, {}) == as_page(second, {})
    assert as_data(first) == as_data(second)
    assert as_text(first) == as_text(second)


def test_captions_without_words_say_so(predict):
    a = predict(10, 1, 0.5)
    b = [replace(a[0], caption=""), *a[1:]]
    found = compared(a, b)
    assert "b  (no words)\n" in as_text(found)
    page = as_page(found, {a[0].image_id: Image.new("RGB", (4, 4))})
    assert 'alt="(no words)"' in page
    assert "<dd><bdi>(no words)</bdi></dd>" in page


def test_texts_of_people_are_no_markup(predict):
    a = predict(10, 1, 0.5)
    b = [replace(one, caption="<script>alert(1)</script>") for one in a]
    page = as_page(compared(a, b), {})
    assert "<script" not in page


@pytest.mark.parametrize(
    ("p", "rounds", "told"),
    [
        (2 / 1001, 1000, "\N{LESS-THAN OR EQUAL TO} 0.002"),
        (0.0312, 1000, "0.031"),
        (2 / 10001, 10000, "\N{LESS-THAN OR EQUAL TO} 0.0002"),
        (0.0004, 10000, "0.0004"),
        (1.0, 1000, "1.000"),
    ],
)
def test_a_p_value_is_never_nought(p, rounds, told):
    assert p_value(p, rounds) == told


def test_an_id_of_another_picture_is_not_common(predict):
    """Drawn scenes of another seed, or another folder of 1.jpg, 2.jpg, have the same ids."""
    before, after = predict(60, seed=1, quality=0.4), predict(60, seed=2, quality=0.7)
    after[:20] = [replace(one, references=("a plane",)) for one in after[:20]]
    after[20] = replace(after[20], references=("a new reference",))  # the same file all the same
    bytes_of = {one.image_id: one.image_id for one in before}
    other = bytes_of | {one.image_id: "other" for one in after[:20]}
    other[after[30].image_id] = "encoded anew"
    a, b = (replace(run(side), pictures=own) for side, own in ((before, bytes_of), (after, other)))
    found = compare(a, b, 3, ROUNDS, seed=1)
    assert found.pictures == 40
    assert any("20 are in a alone" in note and "20 ids are of ano" in note for note in found.notes)
    assert any("references of 1 pictures differ" in note for note in found.notes)
    assert compare(run(before), b, 3, ROUNDS, seed=1).pictures == 60  # of a it is not known


def test_runs_whose_ids_alone_agree_are_refused(predict):
    before = predict(5, seed=1, quality=0.4)
    after = [replace(one, references=("a plane",)) for one in before]
    a, b = run(before), run(after)
    a, b = (
        replace(one, pictures=dict.fromkeys((two.image_id for two in before), text))
        for one, text in ((a, "x"), (b, "y"))
    )
    with pytest.raises(InputError, match="5 have an id in common, but not the picture"):
        compare(a, b, 3, ROUNDS, seed=1)
