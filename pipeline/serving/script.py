"""What runs in the browser: reading aloud, copying, choosing a word's map, and telling of changes.

Web Speech API: https://developer.mozilla.org/docs/Web/API/SpeechSynthesis. The page itself sends
nothing anywhere; some browsers have voices that their maker's servers speak (`docs/serve.md`).
"""

SCRIPT = """
(() => {
  const speech = window.speechSynthesis;
  let speaking = null;  // the button that was pressed last

  const label = (button, text) => {
    const found = button && button.querySelector(".cp-read-label");
    if (found) found.textContent = text;
  };
  const quiet = () => {
    if (speech) speech.cancel();
    label(speaking, "Read aloud");
    speaking = null;
  };
  const read = (text, button) => {
    quiet();
    if (!speech) return;
    const words = new SpeechSynthesisUtterance(text);
    words.lang = "en";
    words.onend = words.onerror = () => { if (speaking === button) quiet(); };
    speaking = button;
    label(button, "Stop");
    speech.speak(words);
  };

  // Screen readers tell what changes in a place that was there before: this one.
  const place = document.createElement("div");
  place.id = "cp-announcer";
  place.className = "cp-hidden";
  place.setAttribute("role", "status");
  place.setAttribute("aria-live", "polite");
  const announce = text => {
    place.textContent = "";
    setTimeout(() => { place.textContent = text; }, 50);
  };

  const copy = async button => {
    const name = button.querySelector(".cp-copy-label");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      name.textContent = "Copied";
    } catch { name.textContent = "Not allowed"; }
    announce(name.textContent);
    setTimeout(() => { name.textContent = "Copy"; }, 2000);
  };
  const show = word => {
    const section = word.closest(".cp-attention");
    for (const other of section.querySelectorAll(".cp-word"))
      other.setAttribute("aria-pressed", String(other === word));
    const large = section.querySelector(".cp-map-large");
    large.src = word.querySelector("img").src;
    large.alt = word.dataset.told;
    section.querySelector(".cp-map-told").textContent = word.dataset.told;
  };
  document.addEventListener("click", event => {
    const button = event.target.closest && event.target.closest("button");
    if (!button) return;
    if (button.dataset.read) speaking === button ? quiet() : read(button.dataset.read, button);
    else if (button.dataset.copy) copy(button);
    else if (button.classList.contains("cp-word")) show(button);
  });

  // Gradio leaves some of its buttons and fields without a name, or with one of their parts' only.
  const names = [
    ["#cp-picture .source-selection button:nth-child(1)", "Upload a picture"],
    ["#cp-picture .source-selection button:nth-child(2)", "Take a picture with the camera"],
    ["#cp-picture .source-selection button:nth-child(3)", "Paste a picture from the clipboard"],
    ["#cp-picture input[type=file]", "Picture file"],
  ];
  const name = (element, text) => {
    if (text && element.getAttribute("aria-label") !== text)
      element.setAttribute("aria-label", text);
  };
  const nameAll = () => {
    for (const [selector, text] of names)
      for (const found of document.querySelectorAll(selector)) name(found, text);
    document.querySelectorAll("#cp-examples button.gallery-item").forEach(
      (button, number) => name(button, `Example ${number + 1}`));
    for (const group of document.querySelectorAll("fieldset"))
      name(group, (group.querySelector("[data-testid=block-info]") || {}).textContent);
    for (const fold of document.querySelectorAll("button.label-wrap")) {
      name(fold, fold.querySelector("span").textContent.trim());
      const open = String(fold.classList.contains("open"));
      if (fold.getAttribute("aria-expanded") !== open) fold.setAttribute("aria-expanded", open);
    }
    for (const address of document.querySelectorAll(".cp-origin"))
      if (address.textContent !== location.origin) address.textContent = location.origin;
    for (const image of document.querySelectorAll("#cp-picture img:not([data-cp])")) {
      image.dataset.cp = "named";
      image.alt = "The picture you chose";
    }
  };
  let last = null;
  const look = () => {
    nameAll();
    const result = document.querySelector("#cp-result [data-announce]");
    // Gradio may change elements in place, so that they tell nothing of what is new.
    const shown = result && result.closest("[data-serial]").dataset.serial;
    if (!result || shown === last) return;
    last = shown;
    quiet();
    announce(result.dataset.announce);
    if (!speech) for (const button of result.querySelectorAll(".cp-read")) button.hidden = true;
    const always = document.querySelector("#cp-always input");
    const button = result.querySelector(".cp-read");
    if (always && always.checked && button) read(button.dataset.read, button);
  };
  const begin = () => {
    document.documentElement.lang = "en";
    document.body.append(place);
    new MutationObserver(look).observe(
      document.body, { childList: true, subtree: true, attributeFilter: ["class", "data-serial"] });
    look();
  };
  if (document.body) begin(); else document.addEventListener("DOMContentLoaded", begin);
  addEventListener("pagehide", quiet);
})();
"""
