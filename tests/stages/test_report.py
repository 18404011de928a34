"""The command `report`, and the page as a browser sees it."""

import re
import shutil

import numpy as np
import pytest

from pipeline.captioner.looks import Looks
from pipeline.evaluation.attention_file import ATTENTION, Looked, write_attention
from pipeline.files import write_json, write_json_lines
from tests.quick import looks

SETTINGS = {"examples": 2, "picture_side": 64, "seed": 1}
METRICS = {
    "cider_d": 0.71, "cider_d_low": 0.65, "cider_d_high": 0.77, "bleu_4": 0.2,
    "distinct_share": 0.5, "words_used": 9, "pictures": 6,
    "missing": {"meteor": "no Java"}, "tokenisation": "ptb",
}  # fmt: skip
EVIL = '<script>alert("x")</script> & co'


class Evaluated:
    """What `train`, `evaluate` and the sweep would have written, to be changed by a test."""

    def __init__(self, tiny, folder):
        self.tiny, self.folder = tiny, folder
        self.rows = [self._row(number) for number in range(6)]
        self.metrics = dict(METRICS)
        self.looked = {}  # of a decoder that attends to nothing
        self.curves = {
            "loss": [4.0, 3.0, 2.5],
            "val_loss": [4.1, 3.3, 3.2],
            "val_cider_d": [0.2, 0.5, 0.4],
        }
        self.sweep = "beam_width,length_penalty,cider_d,mean_words\n" + "".join(
            f"{beam},{penalty},{0.5 + beam / 100 + penalty / 50},{9 + penalty}\n"
            for beam in (1, 3)
            for penalty in (0.0, 0.5, 1.0)
        )

    def _row(self, number):
        caption = f"a red square on the {'left' if number % 2 else 'moon'}"
        return {
            "image_id": f"test-{number:02d}",
            "path": f"test-{number:02d}.png",
            "caption": caption,
            "candidates": [
                {"caption": caption, "log_prob": -4.25 - number},
                {"caption": "there is a square", "log_prob": -7.5},
            ],
            "references": ["A red square on the left.", "There is a red square."],
            "scores": {"cider_d": number / 4},
        }

    def write(self):
        write_json_lines(self.folder / "evaluate" / "predictions.jsonl", self.rows)
        write_json(self.folder / "evaluate" / "metrics.json", self.metrics)
        write_attention(self.folder / "evaluate" / ATTENTION, self.looked)
        curves = self.folder / "curves" / "plots" / "metrics"
        curves.mkdir(parents=True, exist_ok=True)
        for name, values in self.curves.items():
            lines = [f"step\t{name}", *(f"{step}\t{value}" for step, value in enumerate(values))]
            (curves / f"{name}.tsv").write_text("\n".join(lines) + "\n")
        (self.folder / "sweep.csv").write_text(self.sweep)

    def look(self, sentinel=True):
        """Where a decoder that attends would have looked, with what weight of a sentinel."""
        rows = np.random.default_rng(1).dirichlet(np.ones(13), (len(self.rows), 9))
        elsewhere = rows[..., 12] if sentinel else np.zeros_like(rows[..., 12])
        looked = {}
        for row, weights, lost in zip(self.rows, rows[..., :12], elsewhere, strict=True):
            words = tuple(row["caption"].split())
            maps = weights[: len(words)].reshape(len(words), 4, 3)
            looked[row["image_id"]] = Looked(words, Looks(maps, lost[: len(words)]))
        self.looked = looked

    def run(self, out, *more, **changes):
        inputs = self.tiny.raw, self.tiny.images, self.tiny.captions, self.folder / "curves"
        settings = {**SETTINGS, **changes}
        return self.tiny.run("report", *inputs, self.folder / "evaluate", out, *more, **settings)

    def page(self, *more, **changes):
        self.write()
        result = self.run(self.folder / "out", *more, **changes)
        assert result.code == 0, result.err
        return (self.folder / "out" / "index.html").read_text(encoding="utf-8")

    def swept(self):
        return "--sweep", self.folder / "sweep.csv"


@pytest.mark.parametrize(
    ("without", "scored", "told"),
    [
        (False, None, "{} captions, scored and counted"),
        (False, 3, "{} captions counted, 3 of them scored"),
        (True, 0, "{} captions, counted and not scored"),
    ],
)
def test_how_many_captions_are_scored(evaluated, without, scored, told):
    if scored is not None:
        evaluated.metrics["scored_pictures"] = scored
    if without:
        kept = ("distinct_share", "mean_words", "scored_pictures", "pictures")
        evaluated.metrics = {name: evaluated.metrics.get(name, 0.5) for name in kept}
    page = evaluated.page()
    assert told.format(len(evaluated.rows)) in page
    assert ("bootstrap" in page) != without


@pytest.mark.parametrize(
    ("split", "told", "named"),
    [
        (None, "The scores", "This run"),
        ("test", "the test split, which training did not see", "This run"),
        ("train", "the training split, which the model was trained on", "This run, split train"),
    ],
)
def test_it_is_told_which_split_was_scored(evaluated, split, told, named):
    if split is not None:
        evaluated.metrics["split"] = split
    page = evaluated.page()
    assert (told in page) == (split is not None)
    assert f'<th scope="row">{named}</th>' in page or f">{named}<" in page


@pytest.fixture
def evaluated(cleaned, tmp_path):
    return Evaluated(cleaned, tmp_path)


def test_everything_is_on_the_page(evaluated):
    page = evaluated.page(*evaluated.swept())
    assert "0.650 to 0.770" in page
    assert "METEOR is missing: no Java." in page
    assert "of a seed by itself" not in page
    assert "Show, Attend and Tell, soft" in page
    assert "Validation CIDEr-D is highest in epoch 2" in page
    assert "is best with a beam of 3 and a length penalty of 1: 0.550" in page
    assert "mean_words" not in page, "figures of the sweep are named"
    assert ">words a caption</th>" in page
    assert "\N{MINUS SIGN}4.2" in page or "\N{MINUS SIGN}4.3" in page  # a log-probability
    assert "42 pictures with 84 captions" in page
    for title in ("Drawn at random", "Best", "Median", "Worst"):
        assert f">{title}</h3>" in page
    assert page.count("<img ") >= 6


def test_consensus_of_the_sweep_is_told_as_a_setting_where_there_is_any(evaluated):
    for weight, told in ((0.0, "a length penalty of 1: 0.600"), (5.0, "consensus 5: 0.600")):
        evaluated.sweep = (
            f"beam_width,length_penalty,consensus,cider_d\n3,0.0,{weight},0.5\n3,1.0,{weight},0.6\n"
        )
        page = evaluated.page(*evaluated.swept())
        assert told in page
        assert ("consensus" in page) == (weight > 0)


def test_guides_of_the_sweep_are_told_and_the_best_of_each_pair_is_drawn(evaluated):
    evaluated.sweep = "beam_width,length_penalty,guide,cider_d\n" + "".join(
        f"3,{penalty},{guide},{0.5 + 0.01 * penalty - 0.02 * abs(guide - 4)}\n"
        for penalty in (0.0, 1.0)
        for guide in (0.0, 4.0)
    )
    page = evaluated.page(*evaluated.swept())
    assert "a length penalty of 1, guide 4: 0.510" in page
    assert "from 0.500 to 0.510, for beams of 3" in page
    assert "a line for each beam width, each with the guide that is best" in page
    assert "consensus" not in page


def test_what_the_sweep_chose_by_is_what_is_told_first(evaluated):
    evaluated.sweep = "beam_width,length_penalty,cider_d,mean_score\n3,0,0.5,0.4\n3,1,0.6,0.3\n"
    for best, told in (
        (None, "CIDEr-D is best with a beam of 3 and a length penalty of 1: 0.600"),
        ({"metric": "mean_score"}, "is best with a beam of 3 and a length penalty of 0: 0.400"),
        ({"metric": "lost"}, "CIDEr-D is best with a beam of 3 and a length penalty of 1: 0.600"),
    ):
        if best:
            write_json(evaluated.folder / "best.json", best)
        assert told in evaluated.page(*evaluated.swept())


def alts(page):
    return re.findall(r'<svg role="img" aria-label="([^"]*)"', page)


def test_of_many_beam_widths_the_best_are_drawn_and_the_others_told(evaluated):
    evaluated.sweep = "beam_width,length_penalty,cider_d\n" + "".join(
        f"{width},{penalty},{0.5 - width / 100 + penalty / 50}\n"
        for width in range(1, 9)
        for penalty in (0.0, 1.0)
    )
    page = evaluated.page(*evaluated.swept())
    assert "CIDEr-D; 2 more beam widths: in the table" in page
    [alt] = [alt for alt in alts(page) if "beams" in alt]
    assert alt.endswith("from 0.440 to 0.510, for beams of 1, 2, 3, 4, 5, 6.")
    assert "beam 6" in page
    assert "beam 7" not in page


def test_several_seeds_are_named_and_their_mean_is_told(evaluated):
    seeds = {"trained": 8, "mean": {"cider_d": 0.6}, "deviation": {"cider_d": 0.0124}}
    evaluated.metrics["seeds"] = seeds
    evaluated.write()
    for seed in range(2, 9):
        folder = evaluated.folder / "curves" / f"seed_{seed}"
        shutil.copytree(evaluated.folder / "curves" / "plots", folder / "plots")
    page = evaluated.page()
    assert "mean ± deviation of 8 seeds" in page
    seeds["missing"] = {"meteor": "killed"}
    assert "METEOR of a seed by itself is missing: killed." in evaluated.page()
    assert "0.600 ± 0.012" in page
    assert "24 curves of 8 trainings" in page
    for title in ("Loss of training", "Loss of validation", "Validation CIDEr-D"):
        assert f"{title}; 2 more curves: in the table</h4>" in page
    told = [alt for alt in alts(page) if "seed_6" in alt]
    assert len(told) == 3
    for alt in told:
        assert alt.startswith("Curves by epoch: first seed from")
        assert "seed_7" not in alt  # which is not drawn
    assert page.count(">val_loss seed_8</th>") == 1
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_scores_on_other_tokens_are_not_called_official(evaluated):
    assert "Scores, as COCO" in evaluated.page()
    evaluated.metrics["tokenisation"] = "clean (PTB unavailable: no Java)"
    page = evaluated.page()
    assert "Scores, as COCO" not in page
    assert "PTB unavailable: no Java" in page


def test_the_training_caption_that_is_nearest(evaluated):
    for row in evaluated.rows:
        row["caption"] = "a green square on the right"
    assert "Nearest training caption: the same" in evaluated.page()
    for row in evaluated.rows:
        row["caption"] = "nobody flies"
    assert "No training caption shares a word" in evaluated.page()


def test_words_need_three_references(evaluated):
    assert "takes pictures with three references or more" in evaluated.page()


def test_the_sweep_may_be_missing(evaluated):
    page = evaluated.page()
    assert "Decoding settings" not in page
    assert "<svg" in page


def test_one_epoch_has_no_curve(evaluated):
    evaluated.curves = {"loss": [4.0], "val_cider_d": [0.25]}
    page = evaluated.page()
    assert "One epoch has no curve." in page
    assert "0.25" in page


def test_nothing_scored_and_nothing_said(evaluated):
    evaluated.metrics = {"pictures": 6, "missing": {}}
    for row in evaluated.rows:
        row.update(scores={}, references=[], caption="", candidates=[])
    page = evaluated.page()
    assert "(no words)" in page
    assert "Best" not in page


def test_the_same_bytes_each_time_and_no_path(evaluated, cleaned):
    assert evaluated.page(*evaluated.swept()) == (page := evaluated.page(*evaluated.swept()))
    assert str(cleaned.data) not in page
    assert str(evaluated.folder) not in page


@pytest.mark.parametrize(("width", "scheme"), looks(narrow=390))
def test_the_page_in_a_browser(evaluated, browser, width, scheme):
    evaluated.look()
    evaluated.page(*evaluated.swept())
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, said = [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: said.append(message.text))
    view.goto((evaluated.folder / "out" / "index.html").as_uri())
    # A keyboard gets to what unfolds, and unfolds it.
    first = view.locator("summary").first
    first.focus()
    view.keyboard.press("Enter")
    assert first.evaluate("e => e.parentElement.open")
    view.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")
    assert view.evaluate("[...document.querySelectorAll('svg')].every(s => s.ariaLabel)")
    ids = view.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    for link in view.locator("nav a").all():
        assert link.get_attribute("href")[1:] in ids
    view.close()


def figures_of_looks(page):
    """The figures of where the decoder looked: of each the pictures' alt texts, and all of it."""
    figures = re.findall(r"<figure>(?:(?!</figure>).)*?<ol class=\"maps\">.*?</figure>", page)
    return [(re.findall(r'<img [^>]*alt="([^"]*)"', one), one) for one in figures]


def test_of_a_decoder_that_attends_the_page_has_a_map_of_each_word(evaluated):
    evaluated.look()
    page = evaluated.page()
    figures = figures_of_looks(page)
    assert 2 <= len(figures) <= 8, "of each list the first two, and no picture twice"
    captions = {row["caption"] for row in evaluated.rows}
    for (whole, *alts), figure in figures:
        assert whole in captions
        words = whole.split()
        assert len(alts) == len(words)
        for word, alt in zip(words, alts, strict=True):
            assert alt.startswith(f"“{word}”: it looked most at the ")
            assert f"<bdi>{word}</bdi>" in figure
            share = re.search(r"(\d+%) of the word came from the sentence", alt)
            assert share is None or f"{share[1]} not looking" in figure
        assert figure.count(" not looking</span>") == len(words)
    assert "Not looking: the sentinel" in page
    assert '<a href="#attention">' in page


def test_without_a_sentinel_nothing_is_said_of_one(evaluated):
    evaluated.look(sentinel=False)
    page = evaluated.page()
    assert figures_of_looks(page)
    assert "ot looking" not in page


def test_without_maps_or_pictures_the_page_is_as_if_there_were_no_attention(evaluated):
    plain = evaluated.page()
    assert "attention" not in plain
    assert "maps" not in plain
    for row in evaluated.rows:
        row["caption"] = ""
    nothing_said = evaluated.page()
    evaluated.look()
    assert evaluated.page() == nothing_said, "a caption without words has no map"


def test_captions_are_texts_whatever_is_in_them(evaluated):
    for row in evaluated.rows:
        row.update(caption=EVIL, references=[EVIL, EVIL])
        row["candidates"] = [{"caption": EVIL, "log_prob": -1.0}] * 2
    evaluated.look()
    assert "<script" not in evaluated.page()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "evaluate" / "predictions.jsonl").unlink(), "predictions.jsonl"),
        (
            lambda folder: (folder / "evaluate" / "metrics.json").write_text("["),
            "the scores that",
        ),
        (
            lambda folder: (folder / "evaluate" / "metrics.json").write_text("[]"),
            "the scores that",
        ),
        (
            lambda folder: (folder / "evaluate" / ATTENTION).write_text("["),
            "expected a Parquet table",
        ),
        (lambda folder: (folder / "sweep.csv").write_text("a\n1\n"), "beam_width"),
    ],
)
def test_wrong_inputs_are_one_line(evaluated, one_line, spoil, told):
    evaluated.write()
    spoil(evaluated.folder)
    out = evaluated.folder / "out"
    assert told in one_line(evaluated.run(out, *evaluated.swept()))
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"example": 3}, "report.example is not a setting"), ({"examples": 0}, "report.examples")],
)
def test_wrong_settings_are_one_line(evaluated, one_line, changes, told):
    assert told in one_line(evaluated.run(evaluated.folder / "out", **changes))
