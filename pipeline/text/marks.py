"""The four ids that are not words. Padding is 0, so zero-filled arrays and masks agree."""

PAD, START, END, UNKNOWN = range(4)
MARKS = ("<pad>", "<start>", "<end>", "<unk>")  # no token can be one: `<` is punctuation
