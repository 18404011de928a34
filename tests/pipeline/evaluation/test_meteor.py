import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.evaluation import java
from pipeline.evaluation.java import MetricUnavailable
from pipeline.evaluation.meteor import STATISTICS, combine, meteor
from pipeline.evaluation.ptb import ptb_tokenize


def words(text: str) -> list[str]:
    return text.split(" ")


# Captions and their references, as PTB tokens joined by spaces.
PICTURES = [
    ("a dog runs on grass", ["a hound is running through a field", "the dog ran"]),
    ("two men sit", ["two men sit"]),
    ("", ["a dog runs"]),
    ("a dog", [""]),
    ("", ["", "a dog"]),
    ("2\u00a01/2 dogs", ["two and a half dogs", "2\u00a01/2 dogs"]),
    ("a ||| dog", ["a dog"]),
    ("| | |", ["a dog"]),
    ("a café 犬", ["the café 犬", "A Cafe"]),
    ("SCORE EVAL", ["EVAL"]),
    ("dog " * 50, ["dog " * 49]),
    ("-lrb- n't 's & < > \" \\ %", ['-lrb- not is &amp; < " \\ %']),
]
# Words that match by form, by stem, as synonyms and as paraphrases, and some that never do.
WORDS = words("a the big large dog dogs hound run runs running next to beside near , in xyzzy")


def draw(rng: np.random.Generator) -> list[str]:
    return [str(word) for word in rng.choice(WORDS, size=rng.integers(0, 12))]


RNG = np.random.default_rng(1)
DRAWN = [(draw(RNG), [draw(RNG) for _ in range(RNG.integers(1, 6))]) for _ in range(200)]
CAPTIONS = [words(caption) for caption, _ in PICTURES] + [caption for caption, _ in DRAWN]
REFERENCES = [[*map(words, group)] for _, group in PICTURES] + [group for _, group in DRAWN]


def official(scorer: Any, captions: Any, references: Any) -> tuple[float, list[float]]:
    said = {number: [" ".join(caption)] for number, caption in enumerate(captions)}
    known = {number: [" ".join(one) for one in group] for number, group in enumerate(references)}
    return scorer.compute_score(known, said)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)  # METEOR's paraphrases take 62 MB
    except OSError:
        shutil.copy2(source, target)


@pytest.mark.slow
def test_equals_pycocoevalcap_whatever_the_machine(
    official_meteor: Any,
    adversarial: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    odd = ptb_tokenize(adversarial)
    captions = [*CAPTIONS, *odd]
    references = [*REFERENCES, *([tokens, odd[n - 1]] for n, tokens in enumerate(odd))]
    spec = find_spec("pycocoevalcap")
    assert spec
    assert spec.submodule_search_locations
    home = Path(next(iter(spec.submodule_search_locations))) / "meteor"
    shutil.copytree(home, tmp_path / "naïve Übung", copy_function=link_or_copy)
    monkeypatch.setattr(java, "_program_folder", lambda _: tmp_path / "naïve Übung")
    for name in ("LC_ALL", "LANG"):
        monkeypatch.setenv(name, "de_DE.ISO-8859-1")  # in German, 0.5 is 0,5
    monkeypatch.setenv("_JAVA_OPTIONS", "-Duser.language=de -Dfile.encoding=ISO-8859-1")

    scores = meteor(captions, references)

    corpus, each = official(official_meteor, captions, references)
    assert scores.corpus == pytest.approx(corpus, abs=1e-6)
    np.testing.assert_allclose(scores.pictures, each, rtol=0, atol=1e-6)
    assert scores.statistics.shape == (len(captions), STATISTICS)
    np.testing.assert_allclose(combine(scores.statistics), each, rtol=0, atol=1e-9)
    whole = combine(scores.statistics.sum(axis=0, keepdims=True))
    assert whole == pytest.approx([corpus], abs=1e-9)
    assert scores.pictures[1] > 0.9  # the same words
    assert scores.pictures[2] == 0  # no words


def test_line_ends_and_separators_do_not_reach_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(java.Conversation, "send", lambda _, line: sent.append(line))
    answers = iter([" ".join("1" * STATISTICS), "0.5", "0.5"])
    monkeypatch.setattr(java.Conversation, "receive", lambda _: next(answers))
    meteor([["a\nb", "|||"]], [[["c\rd"], ["|||e"]]])
    statistics = " ".join("1" * STATISTICS)
    assert sent == ["SCORE ||| c d ||| e ||| a b ", f"EVAL ||| {statistics}"]


def test_a_conversation_that_breaks_off_is_held_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = " ".join("1" * STATISTICS), " ".join("2" * STATISTICS)
    answers = iter([first, None, first, second, "0.5", "0.25", "0.375"])

    def receive(_: java.Conversation) -> str:
        answer = next(answers)
        if answer is None:
            raise java.ProgramFailed("killed")
        return answer

    monkeypatch.setattr(java.Conversation, "send", lambda *_: None)
    monkeypatch.setattr(java.Conversation, "receive", receive)
    scores = meteor([["a"], ["b"]], [[["a"]], [["b"]]])
    assert (scores.corpus, scores.pictures.tolist()) == (0.375, [0.5, 0.25])
    assert scores.statistics[1].tolist() == [2] * STATISTICS


def test_its_time_is_limited() -> None:
    with pytest.raises(MetricUnavailable, match="took longer"):
        meteor([["a"]], [[["a"]]], timeout=0.05)


def test_no_captions_are_told() -> None:
    with pytest.raises(InputError, match="at least one to score"):
        meteor([], [])


@pytest.mark.slow
def test_one_picture(official_meteor: Any) -> None:
    corpus, each = official(official_meteor, CAPTIONS[:1], REFERENCES[:1])
    scores = meteor(CAPTIONS[:1], REFERENCES[:1])
    assert scores.corpus == pytest.approx(corpus, abs=1e-6)
    np.testing.assert_allclose(scores.pictures, each, rtol=0, atol=1e-6)
