"""Each rule passes what is good and catches what it is there for."""

import html

import pyarrow as pa
import pytest

from pipeline.checks.frames import columns_frame, frames
from pipeline.checks.run import ask, broken, summary, validate
from pipeline.checks.suites import Suite, columns_suite, suites


@pytest.fixture(scope="module")
def good(make_rows, settings):
    return validate(make_rows().tables(), settings)


@pytest.fixture
def outcome_of(settings):
    """Ask a single rule."""

    def find(name, tables, **changes):
        bounds = settings.model_copy(update=changes)
        if name in {rule.name for rule in columns_suite().rules}:
            made, asked = {"columns": columns_frame(tables)}, [columns_suite()]
        else:
            made = frames(tables, bounds)
            asked = suites(bounds, tables["images"].num_rows)
        [(suite, rule)] = [(s, r) for s in asked for r in s.rules if r.name == name]
        alone = Suite(name=suite.name, about="", shows=suite.shows, rules=[rule])
        return ask(alone, made[suite.name]).outcomes[0]

    return find


def image(**changes):
    """Change the first picture of val."""
    return lambda rows: rows.images[8].update(changes)


def text(words):
    """Change the first caption."""
    return lambda rows: rows.captions[0].update(text=words)


def same_text(rows):
    for caption in rows.captions[::2]:
        caption["text"] = "an image of something"


def lose(kind, reason, count):
    return lambda rows: [rows.drop(kind, str(n), reason) for n in range(count)]


def uncaption(split):
    def change(rows):
        rows.captions = [c for c in rows.captions if not c["image_id"].startswith(split)]

    return change


def one_train_picture(rows):
    rows.images = rows.images[7:]


def no_val(rows):
    rows.images = rows.images[:8] + rows.images[10:]


FIRST = "0" * 16 + "5a" * 24
# The rule, what breaks it, and how many rows it then finds. Rows of settings: see conftest.py.
BROKEN = [
    ("unique_picture_ids", image(image_id="train-00"), 2),
    ("unique_picture_files", image(path="train-00.png"), 2),
    ("known_splits", image(split="valid"), 1),
    ("whole_file_hashes", image(sha256="abc"), 1),
    ("whole_picture_hashes", image(dhash="X" * 64), 1),
    ("picture_sizes", image(bytes=0), 1),
    ("picture_sides", image(width=31), 1),
    ("picture_shapes", image(width=200), 1),
    ("picture_modes", image(mode="L"), 1),
    ("captioned_pictures", uncaption("train-00"), 1),
    ("captioned_pictures", uncaption("val-08"), 1),
    ("captions_a_picture", lambda rows: rows.captions.pop(), 1),
    ("no_picture_in_two_splits", image(sha256="0" * 64), 1),
    ("no_look_alikes_across_splits", image(dhash="1" * 16 + "5a" * 23 + "5b"), 1),
    ("captions_of_known_pictures", lambda rows: rows.captions[0].update(image_id="gone"), 1),
    ("unique_caption_ids", lambda rows: rows.captions[0].update(caption_id="val-08#0"), 2),
    ("no_blank_captions", text(" \t "), 1),
    ("caption_characters", text("very " * 50), 1),
    ("caption_words", text("a cat ."), 1),
    ("caption_words", text("a " + "big " * 12 + "cat"), 1),
    ("no_invisible_characters", text("a c\x00at on grass"), 1),
    ("no_invisible_characters", text("a c\u200bat on grass"), 1),
    ("no_invisible_characters", text("a foot\u00adball on grass"), 1),
    ("no_broken_encoding", text("a cafÃ© on the grass"), 1),
    ("no_broken_encoding", text("a caf\ufffd on the grass"), 1),
    *(
        ("no_broken_encoding", text(f"a {letter} on the grass"), 1)
        for letter in (b.encode().decode("cp1252") for b in "ßÉÖÜÑéü")
    ),
    ("no_broken_encoding", text("itâ€™s a cat on grass"), 1),
    ("no_markup", text("a <b>cat</b> on the grass"), 1),
    ("no_markup", text("a cat &amp; a dog"), 1),
    ("no_markup", text(html.escape("a dog's ball on grass")), 1),
    ("no_markup", text("&frac12; a cat on the grass"), 1),
    ("no_web_addresses", text("a cat https://cats.example"), 1),
    ("no_web_addresses", text("a cat by me@cats.example"), 1),
    ("english_letters", text("une forêt de sapins"), 1),
    ("captions_differ", text("There is  one CAT here ."), 2),
    ("no_boilerplate", same_text, 12),
    ("split_sizes", one_train_picture, 1),
    ("split_sizes", no_val, 1),
    ("training_share", one_train_picture, 1),
    ("scorable_splits", uncaption("test"), 1),
    ("known_words", lambda rows: rows.captions[16].update(text="zebras graze on plains"), 1),
    ("share_left_out", lose("image", "truncated", 3), 1),
    ("share_left_out", lose("caption", "empty_caption", 3), 1),
]


def test_good_tables_keep_every_rule(good):
    assert [outcome.tell() for outcome in broken(good, "error") + broken(good, "warning")] == []


@pytest.mark.parametrize(
    ("name", "change", "count"), BROKEN, ids=[f"{n}-{b[0]}" for n, b in enumerate(BROKEN)]
)
def test_a_broken_rule_is_found(rows, outcome_of, name, change, count):
    change(rows)
    outcome = outcome_of(name, rows.tables())
    assert not outcome.kept
    assert outcome.broken == count
    assert len(outcome.examples) == min(count, 3)
    assert outcome.tell().startswith(f"{name}: expected that {outcome.rule.says}. Received: ")


def test_each_rule_has_a_broken_example(good):
    names = {outcome.rule.name for suite in good[1:] for outcome in suite.outcomes}
    assert names == {name for name, _, _ in BROKEN}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("captioned_pictures", uncaption("test-10")),  # as COCO's test pictures have none
        ("captions_a_picture", uncaption("test-10")),
        ("unique_picture_files", image(path="train-00.png", offset=512)),  # of one tar file
        ("no_picture_in_two_splits", lambda rows: rows.images[1].update(sha256="0" * 64)),
        # Of the same bytes, and so told by another rule.
        ("no_look_alikes_across_splits", image(sha256=f"{1:064x}", dhash="1" * 16 + "5a" * 24)),
        ("no_markup", text("a cat < 3 kg & a dog > 5 kg")),
        ("no_web_addresses", text("a cat ... and a www sign")),
        ("caption_words", text("a cat - on , grass ...")),
        ("english_letters", text("a cat's 'ball' - 50 % off!")),
        ("share_left_out", lose("caption", "repaired", 30)),
        ("share_left_out", lose("image", "restval", 30)),
    ],
)
def test_what_is_no_fault_is_passed(rows, outcome_of, name, change):
    change(rows)
    assert outcome_of(name, rows.tables()).kept


def test_a_share_may_break_a_rule(rows, outcome_of):
    image(mode="L")(rows)
    few = outcome_of("picture_modes", rows.tables(), max_odd=1 / 12)
    assert (few.kept, few.broken, few.rows) == (True, 1, 12)
    rows.images[0]["mode"] = "L"
    assert not outcome_of("picture_modes", rows.tables(), max_odd=1 / 12).kept


def test_the_setting_decides_whether_a_leak_is_an_error(rows, outcome_of):
    image(sha256="0" * 64)(rows)
    name = "no_picture_in_two_splits"
    assert outcome_of(name, rows.tables()).rule.severity == "warning"
    leak = outcome_of(name, rows.tables(), same_picture="error")
    assert leak.rule.severity == "error"
    assert leak.examples == ["image_id 'val-08', split 'val', same_as 'train-00 (train)'"]


def test_words_that_train_lacks_are_named(rows, outcome_of):
    rows.captions[16]["text"] = "Zebras graze, and zebras run ."
    [example] = outcome_of("known_words", rows.tables()).examples
    assert example == "split 'val', unknown_words 0.25, new_words 'zebras, and, graze, run'"


@pytest.mark.parametrize(
    ("name", "table", "example"),
    [
        ("columns", lambda t: t.drop_columns("mode"), "column 'mode', state 'absent'"),
        ("columns", lambda t: t.append_column("x", t["mode"]), "column 'x', state 'unknown'"),
        (
            "column_types",
            lambda t: t.set_column(6, "width", t["width"].cast(pa.int64())),
            "column 'width', type 'int64', agreed_type 'int32'",
        ),
        (
            "no_empty_cells",
            lambda t: t.set_column(8, "mode", pa.nulls(len(t), pa.string())),
            "column 'mode', empty_cells 12",
        ),
    ],
)
def test_tables_of_another_form_are_found(rows, settings, outcome_of, name, table, example):
    tables = rows.tables()
    tables["images"] = table(tables["images"])
    assert outcome_of(name, tables).examples == [f"table 'images', {example}"]
    # The other frames cannot be made of such tables, and are not.
    done = validate(tables, settings)
    assert [suite.suite.name for suite in done] == ["columns"]
    assert broken(done, "error")


def test_every_rule_has_its_own_name_a_sentence_and_a_reason(good, settings):
    rules = [outcome.rule for suite in good for outcome in suite.outcomes]
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.says and not rule.says.endswith(".") for rule in rules)
    assert all(rule.why.endswith(".") for rule in rules)
    fields = set(type(settings).model_fields)
    assert all(part in fields for r in rules if r.setting for part in r.setting.split(" and "))


def test_the_summary_does_not_change_with_what_is_good(make_rows, settings, good):
    rows = make_rows()
    rows.captions.append(
        {"image_id": "val-08", "caption_id": "val-08#2", "text": "A cat here on the grass ."}
    )
    changed = validate(rows.tables(), settings.model_copy(update={"max_words": 13}))
    assert summary(changed) == summary(good)
