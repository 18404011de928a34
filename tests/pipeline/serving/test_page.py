"""The page as a browser sees it."""

import base64

import pytest

from tests.quick import looks

WAIT = 30_000  # milliseconds
# Stands for the browser's voice: headless ones have none.
VOICE = """
window.spoken = []; window.stopped = 0;
window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
Object.defineProperty(window, "speechSynthesis", { value: {
  speak: words => window.spoken.push([words.text, words.lang]), cancel: () => window.stopped++,
} });
"""
DROP = """
([name, type, content]) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const place = document.querySelector("#cp-picture button[aria-dropeffect]");
  for (const kind of ["dragenter", "dragover", "drop"])
    place.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true }));
}
"""
# As WCAG 2.2 has it: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
CONTRAST = """
selector => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(part => part / 255).map(
    part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  ).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll(selector)].filter(one => one.checkVisibility()).map(one => {
    const pair = [light(parts(getComputedStyle(one).color)), light(behind(one))].sort();
    return [one.className, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)];
  });
}
"""


@pytest.fixture
def open_page(browser, running):
    """Open the page and wait until it stands; whatever it asks of other hosts is noted."""
    pages = []

    def new(width: int = 1280, scheme: str = "light", **more):
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **more
        )
        pages.append(page)
        page.outside, page.wrong = [], []
        local = (running.url, "data:", "blob:")
        page.on("request", lambda one: one.url.startswith(local) or page.outside.append(one.url))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.add_init_script(VOICE)
        page.goto(running.url)
        page.wait_for_selector("#cp-picture input[type=file]", state="attached", timeout=WAIT)
        page.wait_for_selector("#cp-examples button[aria-label]", timeout=WAIT)
        return page

    yield new
    for page in pages:
        page.close()


def choose(page, name: str, content: bytes) -> None:
    kind = "image/png"
    page.set_input_files(
        "#cp-picture input[type=file]", {"name": name, "mimeType": kind, "buffer": content}
    )


def caption_of(page) -> str:
    page.wait_for_selector(".cp-answer", timeout=WAIT)
    return page.get_attribute(".cp-answer", "data-caption")


def test_a_dropped_picture_is_captioned_told_and_read_aloud(open_page, describer, picture_bytes):
    from pipeline.serving.describe import Choice

    page, picture = open_page(), picture_bytes(4)
    page.evaluate(DROP, ["photo.png", "image/png", base64.b64encode(picture).decode()])
    caption = caption_of(page)
    expected = describer.describe(picture, Choice(), looks=True)
    assert caption == expected.captions[0].text
    assert page.inner_text(".cp-caption").lower() == caption
    page.wait_for_function("document.querySelector('#cp-announcer').textContent", timeout=WAIT)
    assert page.text_content("#cp-announcer") == f"Caption: {caption}"
    assert page.evaluate("window.spoken") == []
    page.get_by_role("button", name="Read aloud").click()
    assert page.evaluate("window.spoken") == [[caption, "en"]]
    page.get_by_role("button", name="Stop").click()
    assert page.get_by_role("button", name="Read aloud").is_visible()
    assert page.locator(".cp-others li").count() == len(expected.captions) - 1
    assert page.get_attribute("#cp-picture img", "alt") == "The picture you chose"
    page.evaluate("document.querySelector('.cp-read').hidden = true")  # as where there is no voice
    assert not page.locator(".cp-read").is_visible()
    assert (page.outside, page.wrong) == ([], [])


def test_each_word_shows_where_the_decoder_looked(open_page, picture_bytes):
    page = open_page()
    choose(page, "photo.png", picture_bytes(5))
    words = caption_of(page).split()
    buttons = page.locator(".cp-word")
    assert [text.strip() for text in buttons.all_inner_texts()] == words
    pressed = [one.get_attribute("aria-pressed") == "true" for one in buttons.all()]
    assert sum(pressed) == 1
    other = (pressed.index(True) + 1) % len(words)
    buttons.nth(other).focus()
    page.keyboard.press("Enter")
    # Of a word that was looked for alike, the map may be the same picture.
    wanted = buttons.nth(other).locator("img").get_attribute("src")
    page.wait_for_function(
        "src => document.querySelector('.cp-map-large').getAttribute('src') === src", arg=wanted
    )
    assert f"“{words[other]}”" in page.inner_text(".cp-map-told")
    now = [one.get_attribute("aria-pressed") == "true" for one in buttons.all()]
    assert now == [number == other for number in range(len(words))]


def test_settings_and_examples_by_keyboard_alone(open_page):
    page = open_page()
    page.get_by_role("button", name="Example 2").focus()
    page.keyboard.press("Enter")
    caption_of(page)
    settings = page.get_by_role("button", name="Settings", exact=True)
    assert settings.get_attribute("aria-expanded") == "false"
    settings.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#cp-always input", timeout=WAIT)
    assert settings.get_attribute("aria-expanded") == "true"
    page.locator("#cp-always input").focus()
    page.keyboard.press("Space")
    page.get_by_role("radio", name="1", exact=True).focus()
    page.keyboard.press("Space")
    page.wait_for_function("window.spoken.length === 1", timeout=WAIT)  # a new caption is read
    assert page.evaluate("window.spoken")[0][0] == caption_of(page)
    assert page.locator(".cp-others li").count() == 0


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        pytest.param("broken.jpg", b"\xff\xd8\xff\xe0 cut off", "picture", marks=pytest.mark.slow),
        pytest.param("page.png", b"<html>", "not a picture", marks=pytest.mark.slow),
        ("<img src=x onerror=alert(1)>.png", b"", "empty"),
    ],
)
def test_a_broken_file_gets_a_clear_message_and_the_next_is_answered(
    open_page, picture_bytes, name, content, told
):
    page = open_page()
    choose(page, name, content)
    page.wait_for_selector(".cp-error", timeout=WAIT)
    message = page.inner_text(".cp-error-text")
    assert told in message
    page.wait_for_function("document.querySelector('#cp-announcer').textContent", timeout=WAIT)
    assert page.text_content("#cp-announcer") == message
    page.get_by_role("button", name="Example 1").click()
    assert caption_of(page)
    assert page.wrong == []


@pytest.mark.slow
def test_a_file_beyond_the_bound_is_refused_by_the_page(open_page, bounds, picture_bytes):
    page = open_page()
    choose(page, "large.png", picture_bytes() + b"\0" * bounds.bytes)
    page.get_by_text("exceed the maximum allowed size").first.wait_for(timeout=WAIT)


@pytest.mark.parametrize(("width", "scheme"), looks(narrow=360))
def test_it_fits_and_can_be_read(open_page, picture_bytes, width, scheme):
    page = open_page(width, scheme)
    choose(page, "photo.png", picture_bytes(6))
    caption_of(page)
    for name in ("Settings", "About this model", "For programs"):
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_selector("#cp-program", timeout=WAIT)
    assert f"'{page.evaluate('location.origin')}/api/" in page.inner_text("#cp-program code")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    texts = ("#cp-title h1, #cp-title p, .cp-caption, .cp-button span, .cp-note, .cp-other-text, "
             ".cp-other-chance, .cp-word span, .cp-map-told, #cp-model td, #cp-model th, "
             "#cp-program p, #cp-program code")  # fmt: skip
    contrasts = page.evaluate(CONTRAST, texts)
    assert len(contrasts) > 15
    assert [one for one in contrasts if one[1] < 4.5] == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) > 384) == (scheme == "light")


@pytest.mark.slow
def test_everything_that_can_be_used_has_a_name(open_page, picture_bytes):
    page = open_page()
    choose(page, "photo.png", picture_bytes(7))
    caption_of(page)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.wait_for_selector("#cp-always input", timeout=WAIT)
    nameless = [
        line.strip()
        for line in page.locator("body").aria_snapshot().splitlines()
        for role in ("button", "radio", "checkbox", "link", "group", "textbox")
        if line.strip().rstrip(":") == f"- {role}"
    ]
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("[...document.images].every(one => one.hasAttribute('alt'))")
    assert page.locator("h1").count() == 1
    announcer = page.locator("#cp-announcer")
    assert announcer.get_attribute("role") == "status"
    assert announcer.get_attribute("aria-live") == "polite"


@pytest.mark.slow
def test_whoever_wants_no_motion_gets_none(open_page):
    page = open_page(reduced_motion="reduce")
    slowest = page.evaluate("""Math.max(...[...document.querySelectorAll(".gradio-container *")]
      .map(one => parseFloat(getComputedStyle(one).transitionDuration)))""")
    assert slowest < 0.01
