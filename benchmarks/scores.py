"""Seconds to score 1,000 pictures with 5 references, Java's start included, but without SPICE.

    CAPTION_FLICKR8K=... python -m benchmarks.scores

The references are those of Flickr8k's test pictures, and a caption is its picture's first reference
without its last word: it matches as much as a good captioner's does, so that METEOR has work to do.
Ours does what `evaluate` does: all scores, the n best captions and the intervals as well.
`pycocoevalcap` does the same official scores, with the same Java.
"""

import os
from pathlib import Path
from typing import Any

from benchmarks.timing import in_turn, photographs, ratios, spread
from pipeline.evaluation.java import java_path
from pipeline.evaluation.scores import Scores, score
from pipeline.evaluation.significance import interval

PICTURES, ROUNDS = 1000, 3
Groups = dict[str, list[str]]  # image id -> texts


def measure() -> dict[str, Any]:
    """Time both on the same captions, in turn.

    Raises:
        RuntimeError: CAPTION_FLICKR8K is not set, or the scores differ by more than 1e-6.
    """
    references = _references(photographs())
    captions = {name: " ".join(texts[0].split()[:-2]) for name, texts in references.items()}
    os.environ["PATH"] = f"{java_path().parent}{os.pathsep}{os.environ['PATH']}"
    _check(_ours(captions, references), _theirs(captions, references))
    functions = {
        "ours": lambda: _ours(captions, references),
        "theirs": lambda: _theirs(captions, references),
    }
    times = in_turn(functions, ROUNDS)
    return {
        "pictures": len(captions),
        "seconds": spread(times["ours"]),
        "pycocoevalcap_seconds": spread(times["theirs"]),
        "times_pycocoevalcap": ratios(times["theirs"], times["ours"]),
    }


def _references(folder: Path) -> Groups:
    """The captions of Flickr8k's test pictures."""
    names = (folder / "Flickr_8k.testImages.txt").read_text(encoding="utf-8").split()[:PICTURES]
    groups: Groups = {name: [] for name in names}
    for line in (folder / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        place, text = line.split("\t")
        name = place.partition("#")[0]
        if name in groups:
            groups[name].append(text)
    return groups


def _ours(captions: dict[str, str], references: Groups) -> Scores:
    scores = score(captions, references, {name: [text] * 3 for name, text in captions.items()})
    for statistics in scores.statistics.values():
        interval(statistics)
    return scores


def _theirs(captions: dict[str, str], references: Groups) -> dict[str, float]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    known = PTBTokenizer().tokenize(_entries(references))
    said = PTBTokenizer().tokenize(_entries({name: [text] for name, text in captions.items()}))
    bleu, _ = Bleu(4).compute_score(known, said, verbose=0)
    return {
        **{f"bleu_{order + 1}": bleu[order] for order in range(4)},
        "meteor": Meteor().compute_score(known, said)[0],
        "rouge_l": Rouge().compute_score(known, said)[0],
        "cider_d": Cider().compute_score(known, said)[0],
    }


def _entries(groups: Groups) -> dict[str, list[dict[str, str]]]:
    return {name: [{"caption": text} for text in texts] for name, texts in groups.items()}


def _check(ours: Scores, theirs: dict[str, float]) -> None:
    for name, value in theirs.items():
        if abs(ours.corpus.get(name, -1) - value) > 1e-6:
            raise RuntimeError(
                f"expected equal scores. Received: {name} {ours.corpus.get(name)} and {value}"
            )


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"scores": measure()})
