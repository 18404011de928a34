"""Training by whole captions of one length a batch, against the two usual ways.

    python -m benchmarks.training

All train the decoder `inject` (512 units, 300-d words, 2,319 words) on the same captions, whose
lengths are drawn like Flickr8k's. `padded` is Keras's `fit` over captions padded to the longest;
`expanded` has one sample for each word of each caption, as most tutorials do: the words before it,
padded to the longest, and one word to predict. Real words a second: neither padding nor the words
that are read again and again count.
"""

from typing import Any

import keras
import numpy as np

from benchmarks.timing import in_turn, ratios, spread
from pipeline import backend
from pipeline.captioner.batches import Batches, Captions, pad, shift
from pipeline.captioner.decoders.base import DecoderSettings, Tensor
from pipeline.captioner.decoders.find import build

WORDS, FEATURES, CAPTIONS, BATCH, ROUNDS = 2319, 1280, 5120, 128, 3
EXPANDED = 20  # batches of the expanded way that are timed: a whole epoch of it takes minutes
SHAPE = DecoderSettings(decoder="inject", units=512, embedding=300, dropout=0.5)


class _LastWord(keras.Model):
    """The same decoder as tutorials use it: words so far -> scores of the next one."""

    def __init__(self) -> None:
        super().__init__(name="last_word")
        self.inject = build(SHAPE, WORDS, (FEATURES,))

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> Tensor:
        features, tokens = inputs
        decoder = self.inject
        words = decoder.dropout(decoder.embed(tokens), training=training)
        state = list(decoder.start(features))
        outputs, _, _ = decoder.lstm(words, initial_state=state)  # (b, t, d)
        return decoder.scores(decoder.dropout(outputs[:, -1], training=training))  # (b, v)


def measure() -> dict[str, Any]:
    """Time an epoch of each way in turn; real words a second, and ratios."""
    backend.seed(1)
    rng = np.random.default_rng(1)
    lengths = np.clip(rng.normal(10.8, 3.8, CAPTIONS).round().astype(int), 2, 30)
    tokens = [[1, *rng.integers(4, WORDS, length), 2] for length in lengths]
    features = rng.normal(size=(CAPTIONS // 5, FEATURES)).astype("float32")
    captions = Captions(np.repeat(np.arange(CAPTIONS // 5), 5), tokens)
    words = int(lengths.sum()) + CAPTIONS

    ours = Batches(captions, features, BATCH, seed=1)
    bucketed, all_alike, last_word = _compiled(build_inject()), _compiled(build_inject()), _last()
    inputs, targets, weights = shift(pad(tokens))
    pictures = features[captions.pictures]
    expanded = _expand(tokens, pictures, EXPANDED * BATCH)

    functions = {
        "bucketed": lambda: [bucketed.train_on_batch(*batch) for batch in ours],
        "padded": lambda: all_alike.fit(
            (pictures, inputs), targets, sample_weight=weights, batch_size=BATCH, verbose=0
        ),
        "expanded": lambda: last_word.fit(*expanded, batch_size=BATCH, verbose=0),
    }
    in_turn(functions, 1)  # compiled, and warm
    times = in_turn(functions, ROUNDS)
    whole = [value * words / (EXPANDED * BATCH) for value in times["expanded"]]
    return {
        "words_per_second": spread([words / value for value in times["bucketed"]]),
        "times_padded": ratios(times["padded"], times["bucketed"]),
        "times_expanded": ratios(whole, times["bucketed"]),
    }


def build_inject() -> keras.Model:
    """Build the decoder that is trained."""
    return build(SHAPE, WORDS, (FEATURES,))


def _compiled(model: keras.Model) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    model.compile(keras.optimizers.Adam(0.001, global_clipnorm=5.0), loss, jit_compile=False)
    return model


def _last() -> keras.Model:
    return _compiled(_LastWord())


def _expand(
    tokens: list[list[int]], pictures: np.ndarray, samples: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Make a sample of each word: what stands before it, padded in front to the longest."""
    longest = max(len(ids) for ids in tokens) - 1
    features, before, after = [], [], []
    for picture, ids in zip(pictures, tokens, strict=True):
        for place in range(1, len(ids)):
            features.append(picture)
            before.append([0] * (longest - place) + ids[:place])
            after.append(ids[place])
    rows = np.random.default_rng(2).permutation(len(after))[:samples]
    return (
        (np.array([features[row] for row in rows]), np.array(before, "int32")[rows]),
        np.array(after, "int32")[rows],
    )


if __name__ == "__main__":
    from benchmarks.run import tell

    tell({"training": measure()})
