"""What the page shows, as markup."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pipeline.captioner.looks import Looks
from pipeline.serving.answer import answer, card, percent, refusal
from pipeline.serving.bounds import RequestError
from pipeline.serving.describe import Description, Guess
from pipeline.serving.model_card import ModelCard, Score

EVIL = '<script>alert(1)</script> "x" onload=1'


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def description(looks: bool) -> Description:
    maps = np.eye(3, dtype="float32")[None].repeat(2, axis=0) / 3
    return Description(
        captions=(Guess(EVIL, 0.25), Guess("a dog", 0.0125)),
        words=(EVIL, "dog"),
        looks=Looks(maps, np.array([0.5, 0.0])) if looks else None,
        picture=Image.new("RGB", (30, 20), "white") if looks else None,
        seconds=0.25,
    )


def test_captions_are_texts_whatever_is_in_them():
    page = Tags(answer(description(looks=True)))
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    assert EVIL in page.text
    [read] = [given["data-read"] for _, given in page.tags if "data-read" in given]
    assert read == EVIL


def test_a_caption_without_words_says_so():
    page = Tags(answer(replace(description(looks=False), captions=(Guess("", 0.5),), words=())))
    assert "(no words)" in page.text
    assert page.tags[0][1]["data-announce"] == "Caption: (no words)"


def test_the_n_best_have_their_probabilities():
    text = Tags(answer(description(looks=False))).text
    assert "25%" in text
    assert "a dog" in text
    assert "1.2%" in text
    assert "Where it looked" not in text


def test_every_word_has_a_map_that_is_told_in_words():
    page = Tags(answer(description(looks=True)))
    words = [given for _, given in page.tags if given.get("class") == "cp-word"]
    assert [word["aria-pressed"] for word in words] == ["true", "false"]
    assert "50% of the word came from the sentence" in words[0]["data-told"]
    assert words[1]["data-told"] == "“dog”: it looked most at the top left."
    [large] = [given for _, given in page.tags if given.get("class") == "cp-map-large"]
    assert large["alt"] == words[0]["data-told"]
    assert large["src"].startswith("data:image/jpeg;base64,")


def test_of_a_look_at_nothing_no_place_is_told():
    looks = Looks(np.zeros((2, 3, 3), "float32"), np.ones(2))
    page = Tags(answer(replace(description(looks=True), looks=looks)))
    told = [given["data-told"] for _, given in page.tags if "data-told" in given]
    assert told[1] == (
        "“dog”: it looked at no place more than at others; 100% of the word came from the "
        "sentence and not the picture."
    )


def test_pictures_always_have_an_alt_text_and_buttons_a_type():
    for tag, given in Tags(answer(description(looks=True))).tags:
        assert tag != "img" or "alt" in given
        assert tag != "button" or given["type"] == "button"


def test_a_refusal_says_why():
    page = Tags(refusal(RequestError("damaged", f"It is {EVIL}.")))
    assert f"It is {EVIL}." in page.text
    assert page.tags[0][1]["data-reason"] == "damaged"


@pytest.mark.parametrize(
    ("probability", "told"),
    [(1.0, "100%"), (0.123, "12%"), (0.0345, "3.5%"), (0.0021, "0.21%"), (1e-9, "<0.01%"),
     (0.0, "<0.01%")],
)  # fmt: skip
def test_percent(probability, told):
    assert percent(probability) == told


def test_the_card_has_scores_only_where_there_are_some():
    bare = ModelCard((("Decoder", "inject"),), (), 0, ("It errs.",))
    assert "scores" not in Tags(card(bare)).text
    scored = bare._replace(scores=(Score("BLEU-4", "52.3", "50.1 to 54.9"),), pictures=500)
    text = Tags(card(scored)).text
    assert "Its scores on 500 pictures, searched as" in text
    assert "50.1 to 54.9" in text
