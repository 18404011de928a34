"""Training by whole captions of one length a batch, against the two usual ways.

    python -m benchmarks.training

All train the decoder `inject` (512 units, 300-d words, 2,319 words) on the same captions, whose
lengths are those of Flickr8k's training captions, of which `clean` drops what is longer than 30
words. `padded` is Keras's `fit` over captions padded to the longest; `expanded` has one sample for
each word of each caption, as most tutorials do: the words before it, padded to the longest, and one
word to predict. Ours are trained as stage `train` does it, and these two with Keras's own loss
and optimizer. Real words a second: neither padding nor the words that are read again and again
count.

`share_of_peak` is the rate of a training's matrix products over that of one large product, measured
in the same run: what is not a matrix product (sorting, reading, dropout, softmax, Adam) is lost,
and so is what smaller products run slower. It is told for bfloat16 too where the CPU has it.

The decoders of grids (7 x 7 places of 1,280 features) train on captions of the same lengths, fewer
of them, as a step of theirs has two to three times the arithmetic: the projection of the grid's
places alone has half of all that `inject` does.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.timing import in_turn, ratios, spread
from pipeline import backend
from pipeline.captioner.batches import Batch, Batches, Captions, pad, shift
from pipeline.captioner.decoders.base import Decoder, DecoderSettings, Tensor
from pipeline.captioner.decoders.find import build
from pipeline.captioner.objective import PLAIN
from pipeline.captioner.training import compiled
from pipeline.captioner.updates import UpdateSettings, adam
from pipeline.machine import cpu_flags

WORDS, FEATURES, CAPTIONS, BATCH, ROUNDS = 2319, 1280, 5120, 128, 3
LENGTHS = {  # words of Flickr8k's 25,000 training captions, punctuation left out, -> how many
    2: 13, 3: 110, 4: 277, 5: 737, 6: 1624, 7: 2123, 8: 2442, 9: 2755, 10: 2813, 11: 2605, 12: 2304,
    13: 1949, 14: 1523, 15: 1102, 16: 811, 17: 543, 18: 418, 19: 294, 20: 169, 21: 117, 22: 95,
    23: 60, 24: 38, 25: 26, 26: 18, 27: 8, 28: 7, 29: 8, 30: 4,
}  # fmt: skip
SIDE, PRODUCTS = 2048, 12  # of the product that stands for the peak, and how many are timed at once
GRID, GRID_CAPTIONS, NARROW = (7, 7, FEATURES), 1024, 128  # NARROW: `attention_width`
EXPANDED = 20  # batches of the expanded way that are timed: a whole epoch of it takes minutes
SHAPE = DecoderSettings.plain(decoder="inject", units=512, embedding=300, dropout=0.5)


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
    lengths = rng.permutation(_quantiles(CAPTIONS))
    tokens = [[1, *rng.integers(4, WORDS, length), 2] for length in lengths]
    features = rng.normal(size=(CAPTIONS // 5, FEATURES)).astype("float32")
    captions = Captions(np.repeat(np.arange(CAPTIONS // 5), 5), tokens)
    words = int(lengths.sum()) + CAPTIONS

    ours = Batches(captions, features, BATCH, seed=1)
    bucketed, all_alike, last_word = _as_trained(build_inject()), _compiled(build_inject()), _last()
    inputs, targets, weights = shift(pad(tokens))
    pictures = features[captions.pictures]
    expanded = _expand(tokens, pictures, EXPANDED * BATCH)

    functions = {
        "bucketed": lambda: [bucketed.train_on_batch(*batch) for batch in ours],
        "padded": lambda: all_alike.fit(
            (pictures, inputs), targets, sample_weight=weights, batch_size=BATCH, verbose=0
        ),
        "expanded": lambda: last_word.fit(*expanded, batch_size=BATCH, verbose=0),
        "peak": _products("float32"),
    }
    if cpu_flags() & {"amx_bf16", "avx512_bf16"}:
        half = _as_trained(build(SHAPE, WORDS, (FEATURES,), "mixed_bfloat16"))
        functions["bfloat16"] = lambda: [half.train_on_batch(*batch) for batch in ours]
        functions["peak_bfloat16"] = _products("bfloat16")
    grids = list(_grids(rng))
    grid_words = sum(float(weights.sum()) for _, _, weights in grids)
    for name, width in GRID_DECODERS.items():
        functions[name] = _steps(_as_trained(_build_grid(name, width)), grids)
    in_turn(functions, 1)  # compiled, and warm
    times = in_turn(functions, ROUNDS)
    whole = [value * words / (EXPANDED * BATCH) for value in times["expanded"]]
    work = sum(flops(len(inputs), inputs.shape[1]) for (_, inputs), _, _ in ours)
    results = {
        "words_per_second": spread([words / value for value in times["bucketed"]]),
        "times_padded": ratios(times["padded"], times["bucketed"]),
        "times_expanded": ratios(whole, times["bucketed"]),
        "peak_gflops": spread([_PRODUCT_FLOPS / value / 1e9 for value in times["peak"]]),
        "share_of_peak": _share(work, times["bucketed"], times["peak"]),
    }
    for name in GRID_DECODERS:
        results[f"{name}_words_per_second"] = spread([grid_words / value for value in times[name]])
    if "bfloat16" in times:
        results["times_float32"] = ratios(times["bucketed"], times["bfloat16"])
        results["share_of_peak_bfloat16"] = _share(work, times["bfloat16"], times["peak_bfloat16"])
    return results


def flops(captions: int, words: int) -> int:
    """Count the operations of the matrix products of one training step of `inject`.

    A product (m, k) x (k, n) has 2 m k n. Each layer has one forwards and two backwards, for its
    inputs and for its weights.

    Args:
        captions: of the batch, b.
        words: that are read of each, padding included, t.
    """
    units, width = SHAPE.units, SHAPE.embedding
    picture = 2 * FEATURES * units  # to the hidden and to the cell state
    word = (width + units) * 4 * units + units * WORDS  # the LSTM's gates, and the scores
    return 3 * 2 * captions * (picture + words * word)


GRID_DECODERS = {  # as they are by themselves, and narrow -> width of the attention
    "adaptive": None, "attention": None, "top_down": None,
    "attention_narrow": NARROW, "top_down_narrow": NARROW,
}  # fmt: skip


def _build_grid(name: str, width: int | None) -> Decoder:
    changes = {"decoder": name.removesuffix("_narrow"), "attention_width": width}
    return build(SHAPE.model_copy(update=changes), WORDS, GRID)


def _grids(rng: np.random.Generator) -> Batches:
    """Make batches of captions with grids, of lengths as above."""
    lengths = rng.permutation(_quantiles(GRID_CAPTIONS))
    tokens = [[1, *rng.integers(4, WORDS, length), 2] for length in lengths]
    features = np.abs(rng.normal(size=(GRID_CAPTIONS // 5, *GRID))).astype("float16")
    pictures = np.arange(GRID_CAPTIONS) % len(features)
    return Batches(Captions(pictures, tokens), features, BATCH, seed=1)


def _steps(model: keras.Model, batches: list[Batch]) -> Callable[[], Any]:
    return lambda: [model.train_on_batch(*batch) for batch in batches]


_PRODUCT_FLOPS = PRODUCTS * 2 * SIDE**3


def _products(precision: str) -> Callable[[], Any]:
    """Make what the peak is measured by: large matrix products one after another."""
    rng = np.random.default_rng(3)
    values = keras.ops.cast(rng.normal(size=(SIDE, SIDE)), precision)

    def multiply() -> Any:
        found = [keras.ops.matmul(values, values) for _ in range(PRODUCTS)]
        return keras.ops.convert_to_numpy(keras.ops.cast(found[-1][0, 0], "float32"))

    return multiply


def _share(work: int, seconds: list[float], peak: list[float]) -> dict[str, float]:
    """Spread of a training's rate over the peak's, round by round."""
    pairs = zip(seconds, peak, strict=True)
    return spread([(work / time) / (_PRODUCT_FLOPS / alone) for time, alone in pairs])


def _quantiles(captions: int) -> np.ndarray:
    """Take so many lengths, evenly spaced among all, the shortest and the longest included."""
    known = np.repeat(list(LENGTHS), list(LENGTHS.values()))
    return known[np.linspace(0, len(known) - 1, captions).round().astype(int)]


def build_inject() -> Decoder:
    """Build the decoder that is trained."""
    return build(SHAPE, WORDS, (FEATURES,))


def _as_trained(decoder: Decoder) -> keras.Model:
    """Compile a decoder's training as stage `train` does, all that may be added to it left out."""
    how = UpdateSettings(clip_norm=5.0, accumulate=1, ema=0.0, precision="float32")
    return compiled(decoder, PLAIN, adam(0.001, how))


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
