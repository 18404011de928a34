"""CIDEr-D as the paper has it, for a few captions: what tests hold ours to."""

import math
from collections import Counter

import numpy as np


def ngrams(words, order):
    return Counter(tuple(words[n : n + order]) for n in range(len(words) - order + 1))


def plain_cider_d(caption, other, pictures):
    """CIDEr-D of one caption against one other, straight from the paper."""
    total = 0.0
    for order in range(1, 5):
        vectors = []
        for words in (caption, other):
            vector = {}
            for ngram, times in ngrams(words, order).items():
                having = sum(any(ngram in ngrams(c, order) for c in group) for group in pictures)
                vector[ngram] = times * (math.log(len(pictures)) - math.log(max(having, 1)))
            vectors.append(vector)
        ours, theirs = vectors
        product = sum(min(ours[n], theirs[n]) * theirs[n] for n in ours if n in theirs)
        norms = [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]
        total += product / (norms[0] * norms[1]) if all(norms) else 0.0
    return 10 * total / 4 * math.exp(-((len(caption) - len(other)) ** 2) / 72)


def plain_leave_one_out(pictures):
    return [
        [
            np.mean(
                [plain_cider_d(one, other, pictures) for m, other in enumerate(group) if m != n]
            )
            for n, one in enumerate(group)
        ]
        for group in pictures
        if len(group) > 1
    ]
