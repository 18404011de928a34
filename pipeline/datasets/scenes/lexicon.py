"""Every word of the captions of *scenes*, with its meaning.

The grammar (`captions.py`) takes its words from these tables and the reader (`reading.py`) knows
them by the same ones, so that both agree on what a phrase means. Words are in lower case;
phrases are words with single spaces.
"""

from collections.abc import Mapping

NOUNS: Mapping[str, tuple[tuple[str, str], ...]] = {  # kind: (singular, plural), the usual first
    "ball": (("ball", "balls"),),
    "balloon": (("balloon", "balloons"),),
    "bird": (("bird", "birds"),),
    "boat": (("boat", "boats"), ("sailboat", "sailboats")),
    "bus": (("bus", "buses"),),
    "butterfly": (("butterfly", "butterflies"),),
    "car": (("car", "cars"),),
    "cat": (("cat", "cats"),),
    "child": (("child", "children"), ("kid", "kids")),
    "cow": (("cow", "cows"),),
    "dog": (("dog", "dogs"),),
    "fish": (("fish", "fish"),),
    "flower": (("flower", "flowers"),),
    "house": (("house", "houses"), ("cottage", "cottages")),
    "kite": (("kite", "kites"),),
    "tree": (("tree", "trees"),),
}
SIZES: Mapping[str, tuple[str, ...]] = {
    "big": ("big", "large", "huge"),
    "small": ("small", "little", "tiny"),
}
ARTICLES = ("a", "an", "the", "another")
SINGLE = ("single", "lone")  # there is exactly one of the kind described
COUNTS: Mapping[int, tuple[str, ...]] = {  # there are exactly so many
    2: ("two", "a pair of", "a couple of"),
    3: ("three", "a group of three"),
    4: ("four", "a group of four"),
}
SOME: Mapping[int, tuple[str, ...]] = {2: ("some",), 3: ("several",)}  # there are so many or more
ONE = "one"  # stands for the noun before it: "a red ball and a blue one"
IT = "it"  # stands for what the sentence is about: "a house with a tree beside it"
DRESSED = ("in {colour}", "in {article} {colour} coat", "in {colour} coats")  # said of children

SURFACES: Mapping[str, tuple[str, ...]] = {  # where a thing that is not in the sky is
    "grass": ("on the grass", "in the grass", "on the green grass", "in a field", "in a meadow",
              "in a green field", "in the meadow", "on the lawn"),
    "sand": ("on the sand", "on the beach", "at the beach", "in the sand", "on a sandy beach",
             "by the sea"),
    "snow": ("in the snow", "on the snow", "on the white snow", "in the deep snow",
             "on the snowy ground"),
    "water": ("on the water", "on the sea", "on the blue water", "on the waves"),
}  # fmt: skip
UNDER_WATER = ("in the water", "in the sea", "in the blue water", "in the waves")  # where fish are
BELOW_SKY: Mapping[str, tuple[str, ...]] = {  # where a thing in the sky is
    "grass": ("over the grass", "above the grass", "over a field", "over a meadow",
              "over a green field"),
    "sand": ("over the beach", "above the beach", "over the sand", "above the sand"),
    "snow": ("over the snow", "above the snow", "over the white snow"),
    "water": ("over the water", "above the water", "over the sea", "above the sea",
              "above the waves"),
}  # fmt: skip
SKIES: Mapping[str | None, tuple[str, ...]] = {  # where a thing in the sky is; some tell the time
    None: ("in the sky", "in the air", "high in the sky", "up in the air"),
    "day": ("in the blue sky", "in the bright sky"),
    "night": ("in the night sky", "in the dark sky"),
}
HOURS: Mapping[str, tuple[str, ...]] = {
    "day": ("during the day", "on a sunny day", "in the sunshine", "on a bright day",
            "under a blue sky", "in the daylight"),
    "night": ("at night", "in the dark", "on a dark night", "in the moonlight", "under the stars",
              "under a dark sky"),
}  # fmt: skip
PAGES: Mapping[tuple[str, str], tuple[str, ...]] = {  # background and time at once
    ("grass", "day"): ("a sunny day in the meadow",),
    ("grass", "night"): ("a night in the meadow", "a dark meadow"),
    ("sand", "day"): ("a sunny day at the beach", "a sunny beach"),
    ("sand", "night"): ("a night at the beach", "a dark beach"),
    ("snow", "day"): ("a bright snowy day", "a sunny day in the snow"),
    ("snow", "night"): ("a snowy night", "a dark snowy night"),
    ("water", "day"): ("a sunny day at sea", "a sunny sea"),
    ("water", "night"): ("a night at sea", "a dark sea"),
}
RELATIONS: Mapping[str, tuple[str, ...]] = {
    "left_of": ("to the left of", "on the left of", "left of", "on the left side of"),
    "right_of": ("to the right of", "on the right of", "right of", "on the right side of"),
    "above": ("above", "over", "high above"),
    "below": ("below", "under", "beneath"),
    "next_to": ("next to", "beside", "near", "close to"),
    "in_front_of": ("in front of",),
    "behind": ("behind",),
}
SIDES: Mapping[str, tuple[str, ...]] = {
    "left": ("on the left", "on the left side"),
    "middle": ("in the middle",),
    "right": ("on the right", "on the right side"),
}
EVERYWHERE = ("grass", "sand", "snow", "water")
VERBS: Mapping[tuple[str, str, str], Mapping[str, tuple[str, ...]]] = {
    # (one does, two do, doing): who does it, and on which backgrounds
    ("stands", "stand", "standing"): dict.fromkeys(
        ("bus", "car", "child", "cow", "dog", "house", "tree"), EVERYWHERE
    ),
    ("waits", "wait", "waiting"): dict.fromkeys(("bus", "car", "child", "dog"), EVERYWHERE),
    ("sits", "sit", "sitting"): {"cat": EVERYWHERE},
    ("rests", "rest", "resting"): {
        "ball": ("grass", "sand", "snow"), "boat": ("sand",), "cat": EVERYWHERE,
    },
    ("lies", "lie", "lying"): {"ball": ("grass", "sand", "snow"), "boat": ("sand",)},
    ("floats", "float", "floating"): {
        "ball": ("water",), "balloon": EVERYWHERE, "boat": ("water",),
    },
    ("sails", "sail", "sailing"): {"boat": ("water",)},
    ("drifts", "drift", "drifting"): {"balloon": EVERYWHERE, "boat": ("water",)},
    ("swims", "swim", "swimming"): {"fish": ("water",)},
    ("flies", "fly", "flying"): dict.fromkeys(("bird", "butterfly", "kite"), EVERYWHERE),
    ("soars", "soar", "soaring"): dict.fromkeys(("bird", "kite"), EVERYWHERE),
    ("flutters", "flutter", "fluttering"): dict.fromkeys(("butterfly", "kite"), EVERYWHERE),
    ("hangs", "hang", "hanging"): dict.fromkeys(("balloon", "kite"), EVERYWHERE),
    ("grows", "grow", "growing"): dict.fromkeys(("flower", "tree"), EVERYWHERE),
    ("blooms", "bloom", "blooming"): {"flower": EVERYWHERE},
    ("waves", "wave", "waving"): {"child": EVERYWHERE},
    ("smiles", "smile", "smiling"): {"child": EVERYWHERE},
    ("looks around", "look around", "looking around"): dict.fromkeys(
        ("cat", "cow", "dog"), EVERYWHERE
    ),
    ("is parked", "are parked", "parked"): dict.fromkeys(("bus", "car"), EVERYWHERE),
}  # fmt: skip
ARE = ("is", "are")
AND, WITH, WHILE = "and", "with", "while"
OPENINGS: Mapping[bool, tuple[str, ...]] = {  # whether more than one thing follows
    False: ("there is", "we see", "this is", "here is", "you can see"),
    True: ("there are", "we see", "these are", "here are", "you can see"),
}
TITLES = ("a picture of", "this picture shows", "a drawing of", "the picture shows")
