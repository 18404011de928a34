"""How the page looks: the report's colours, which Gradio's own parts take from `VARIABLES`."""

from pipeline.reporting.page import PALETTE

# Gradio's names for colours: ours. `page.py` sets them for light and dark.
VARIABLES = {
    "body_background_fill": "paper",
    "background_fill_primary": "card",
    "background_fill_secondary": "paper",
    "block_background_fill": "card",
    "block_border_color": "line",
    "block_info_text_color": "muted",
    "block_label_background_fill": "card",
    "block_label_text_color": "muted",
    "block_title_text_color": "ink",
    "body_text_color": "ink",
    "body_text_color_subdued": "muted",
    "border_color_primary": "line",
    "border_color_accent": "blue",
    "checkbox_label_background_fill": "card",
    "checkbox_label_background_fill_hover": "paper",
    "checkbox_label_background_fill_selected": "card",
    "checkbox_label_text_color": "ink",
    "checkbox_label_text_color_selected": "ink",
    "checkbox_background_color": "card",
    "checkbox_background_color_selected": "blue",
    "checkbox_border_color": "muted",
    "checkbox_border_color_selected": "blue",
    "color_accent_soft": "paper",
    "input_background_fill": "card",
    "link_text_color": "blue",
    "link_text_color_hover": "blue",
    "loader_color": "blue",
    "panel_background_fill": "card",
}


def _colours(which: int) -> str:
    return " ".join(f"--cp-{name}: {pair[which]};" for name, pair in PALETTE.items())


_RULES = """
.cp-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
#cp-title h1 { font-size: 1.7rem; font-weight: 700; margin: .6rem 0 .1rem; letter-spacing: -.01em; }
#cp-title, #cp-title .html-container { padding: 0 !important; }
#cp-title p { color: var(--cp-muted); margin: 0 0 .4rem; font-size: 1rem; }
#cp-result { border: 1px solid var(--cp-line); border-radius: 8px; background: var(--cp-card);
  padding: 1.1rem 1.35rem; min-height: 360px; }
#cp-result h2 { font-size: .95rem; font-weight: 650; margin: 1.5rem 0 .5rem; color: var(--cp-ink); }
.cp-caption { font-size: 1.6rem; line-height: 1.3; font-weight: 600; margin: 0 0 1rem;
  color: var(--cp-ink); text-wrap: balance; }
.cp-caption bdi { display: block; }
.cp-caption bdi::first-letter { text-transform: uppercase; }
.cp-actions { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; }
.cp-button { display: inline-flex; align-items: center; gap: .45rem; min-height: 44px;
  padding: 0 1rem; border-radius: 10px; border: 1px solid var(--cp-blue); cursor: pointer;
  background: var(--cp-blue); font-weight: 600; font-size: .95rem; }
#cp-result .cp-button, #cp-result .cp-button * { color: var(--cp-card); }
#cp-result .cp-quiet, #cp-result .cp-quiet * { color: var(--cp-ink); }
.cp-button:hover { filter: brightness(1.08); }
.cp-button[hidden] { display: none !important; }
.cp-quiet { background: transparent; border-color: var(--cp-line); }
.cp-quiet:hover { border-color: var(--cp-muted); filter: none; }
.cp-note { color: var(--cp-muted); font-size: .85rem; }
.cp-others { list-style: none; margin: 0; padding: 0; }
.cp-others li { display: grid; grid-template-columns: minmax(0, 1fr) 4.5rem 3.8rem; gap: .8rem;
  align-items: center; padding: .5rem 0; border-top: 1px solid var(--cp-line); }
.cp-others li:first-child { border-top: 0; }
.cp-other-text { color: var(--cp-ink); }
.cp-other-chance { text-align: right; color: var(--cp-muted); font-variant-numeric: tabular-nums;
  font-size: .9rem; white-space: nowrap; }
.cp-bar { display: block; height: 6px; border-radius: 3px; background: var(--cp-line);
  overflow: hidden; }
.cp-bar-fill { display: block; height: 100%; background: var(--cp-blue); border-radius: 3px; }
.cp-map { margin: 0; }
.cp-map-large { display: block; width: 100%; max-height: 400px; object-fit: contain;
  object-position: left; }
#cp-result .cp-map-told { color: var(--cp-muted); font-size: .9rem; margin: .6rem 0 .9rem; }
.cp-words { display: flex; flex-wrap: wrap; gap: .5rem; }
.cp-word { display: flex; flex-direction: column; align-items: center; gap: .3rem;
  min-width: 84px; padding: 5px 5px 7px; border-radius: 10px; border: 2px solid transparent;
  cursor: pointer; background: transparent; color: var(--cp-ink); font-size: .9rem; }
#cp-result .cp-word span { font-weight: 400; }
#cp-result .cp-word[aria-pressed=true] span { font-weight: 700; }
.cp-word img { width: 70px; aspect-ratio: 1; object-fit: cover; border-radius: 6px; }
.cp-word:hover { border-color: var(--cp-line); }
.cp-word[aria-pressed=true] { border-color: var(--cp-blue); }
.cp-empty { min-height: 270px; display: grid; place-content: center; text-align: center;
  color: var(--cp-muted); }
.cp-empty-title { font-size: 1.15rem; font-weight: 600; color: var(--cp-ink); margin: 0 0 .3rem; }
.cp-error { border-left: 4px solid var(--cp-orange); padding: .2rem 0 .2rem 1rem; }
.cp-error-title { font-size: 1.15rem; font-weight: 650; color: var(--cp-orange);
  margin: 0 0 .3rem; }
.cp-error-text { color: var(--cp-ink); margin: 0; line-height: 1.5; }
.cp-card { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem 2.2rem; padding: .4rem .2rem; }
.cp-card table { border-collapse: collapse; width: 100%; font-size: .92rem; align-self: start; }
.cp-card caption, .cp-card h3 { text-align: left; font-weight: 650; font-size: .95rem;
  padding: .4rem 0; margin: 0; color: var(--cp-ink); }
#cp-model .cp-card :is(th, td) { text-align: left; padding: .4rem .6rem .4rem 0; border: 0;
  border-top: 1px solid var(--cp-line); font-weight: 400; font-variant-numeric: tabular-nums; }
#cp-model .cp-card table { border: 0; }
#cp-model .cp-card td { color: var(--cp-ink); }
#cp-model .cp-card th { color: var(--cp-muted); }
#cp-model .cp-card :is(thead, tbody, tr) { border: 0; background: none; }
.cp-limits { grid-column: 1 / -1; }
.cp-limits ul { margin: 0; padding-left: 1.1rem; list-style: disc; }
.cp-limits li { margin: .25rem 0; line-height: 1.5; color: var(--cp-ink); }
#cp-picture .source-selection { gap: 4px; height: 52px; }
#cp-picture .source-selection button { width: 44px; height: 44px; display: grid;
  place-items: center; }
#cp-picture .source-selection button svg { width: 20px; height: 20px; }
#cp-program code, #cp-program pre { font-size: .85rem; }
#cp-program pre { padding: .7rem .9rem; border-radius: 8px; background: var(--cp-paper);
  border: 1px solid var(--cp-line); overflow-x: auto; color: var(--cp-ink); margin: .6rem 0; }
#cp-program p { margin: .3rem 0; line-height: 1.5; color: var(--cp-ink); }
@media (max-width: 640px) {
  .cp-caption { font-size: 1.35rem; }
  #cp-result { padding: 1rem; min-height: 180px; }
  .cp-empty { min-height: 140px; }
  .cp-others li { grid-template-columns: minmax(0, 1fr) 3.8rem; }
  .cp-bar { display: none; }
  .cp-card { grid-template-columns: 1fr; }
}
"""

# Gradio puts its own container before every selector of `STYLE`; these are of the whole page.
_WHOLE = """
.gradio-container, .dark { --color-accent: var(--cp-blue); }
.gradio-container { width: 100% !important; max-width: 1080px !important;
  margin: 0 auto !important; }
.gradio-container :is(button, a, input, summary, [tabindex]):focus-visible {
  outline: 3px solid var(--cp-blue) !important; outline-offset: 2px; }
footer { display: none !important; }
@media (max-width: 640px) {
  #cp-left, #cp-right { display: contents; }
  #cp-picture { order: 1; }
  #cp-result { order: 2; }
  #cp-examples { order: 3; }
  #cp-settings { order: 4; }
  .gradio-container main.app, .gradio-container > main { padding: 12px !important; }
}
@media (prefers-reduced-motion: reduce) {
  .gradio-container *, .gradio-container *::before, .gradio-container *::after {
    animation-duration: .01ms !important; animation-iteration-count: 1 !important;
    transition-duration: .01ms !important; scroll-behavior: auto !important; }
}
"""

WHOLE_PAGE = f":root, .light {{ {_colours(0)} }}\n.dark {{ {_colours(1)} }}\n{_WHOLE}"
STYLE = _RULES
