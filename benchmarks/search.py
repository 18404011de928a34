"""Beam search for 1,000 pictures, against the loop of one `predict` a word.

    python -m benchmarks.search

`inject` with 512 units and 2,319 words. The weights are random, so captions hardly ever end and
every one grows to 20 words: the worst case.
"""

from typing import Any

import keras
import numpy as np

from benchmarks.timing import in_turn, ratios, spread
from pipeline import backend
from pipeline.captioner.captioner import Captioner, SearchSettings
from pipeline.captioner.decoders.base import DecoderSettings
from pipeline.captioner.decoders.find import build
from pipeline.text.marks import MARKS, START
from pipeline.text.vocabulary import Vocabulary

WORDS, FEATURES, PICTURES, FEW, ROUNDS = 2319, 1280, 1000, 2, 3
MAX_WORDS = 20


def measure() -> dict[str, Any]:
    """Time beam 3, greedy, and the loop for a few pictures, in turn."""
    backend.seed(1)
    shape = DecoderSettings.plain(decoder="inject", units=512, embedding=300, dropout=0.5)
    decoder = build(shape, WORDS, (FEATURES,))
    words = (*MARKS, *(f"w{number}" for number in range(WORDS - len(MARKS))))
    captioner = Captioner(decoder, Vocabulary(words, (1,) * WORDS))
    features = np.random.default_rng(1).normal(size=(PICTURES, FEATURES)).astype("float32")
    beam = SearchSettings.plain(beam_width=3, length_penalty=0.9, max_words=MAX_WORDS)
    greedy = SearchSettings.plain(beam_width=1, length_penalty=0.0, max_words=MAX_WORDS)
    functions = {
        "beam": lambda: captioner.caption(features, beam),
        "greedy": lambda: captioner.caption(features, greedy),
        "loop": lambda: [_loop(decoder, picture) for picture in features[:FEW]],
    }
    in_turn(functions, 1)  # compiled, and warm
    times = in_turn(functions, ROUNDS)
    loop = [value * PICTURES / FEW for value in times["loop"]]
    return {
        "beam_3_seconds": spread(times["beam"]),
        "greedy_seconds": spread(times["greedy"]),
        "beam_3_times_greedy_predict_loop": ratios(loop, times["beam"]),
    }


def _loop(decoder: keras.Model, picture: np.ndarray) -> list[int]:
    """Caption one picture greedily, one `predict` a word, padded, as tutorials do."""
    tokens = [START]
    for _ in range(MAX_WORDS):
        padded = np.array([tokens + [0] * (MAX_WORDS - len(tokens))], "int32")
        logits = decoder.predict((picture[None], padded), verbose=0)
        tokens.append(int(np.argmax(logits[0, len(tokens) - 1])))
    return tokens


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"search": measure()})
