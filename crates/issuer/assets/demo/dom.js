// Owns the few ways this page touches the document: building nodes, showing foreign text, colours, copying.
// Text from elsewhere only ever becomes text nodes; nothing here or in the other modules parses markup.

export const $ = (id) => document.getElementById(id);

/** A new element; `props` are properties where the element has them, else attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

// Control characters, direction overrides, line separators, byte order marks, lone surrogates.
const UNSEEN = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/gu;

/** The text with characters that cannot be seen, or that reorder others, spelled out. */
export const visible = (text) =>
  String(text).replace(UNSEEN, (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

/** Foreign text, isolated so that its direction does not disturb what stands around it. */
export const foreign = (text) => el("bdi", {}, visible(text));

const HEX = /^#[0-9a-f]{6}$/i;

function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** Paints a node in a contract's colours. Illegible pairs (WCAG 2.2, 1.4.3: below 4.5 to 1) get black or white text. */
export function paint(node, { background_color, text_color }) {
  const back = HEX.test(background_color) ? background_color : "#2b3a42";
  const wanted = HEX.test(text_color) ? text_color : "#ffffff";
  const lighter = contrast(back, "#ffffff") >= contrast(back, "#000000") ? "#ffffff" : "#000000";
  node.style.setProperty("--card", back);
  node.style.setProperty("--card-ink", contrast(back, wanted) >= 4.5 ? wanted : lighter);
}

async function copyText(text) {
  // The clipboard interface exists in secure contexts only; a phone on http://192.168… needs the old way.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = el("textarea", { value: text, className: "unseen", readOnly: true });
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  if (!done) throw new Error("copying is not possible here");
}

/** Makes every `data-copy` button copy the text, or the link, of the element that it names. */
export function wireCopyButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.textContent;
    let timer;
    button.addEventListener("click", async () => {
      const source = $(button.dataset.copy);
      const outcome = await copyText(source.dataset.link ?? source.textContent).then(
        () => "Copied",
        () => "Select and copy by hand",
      );
      button.textContent = outcome;
      $("announce").textContent = outcome;
      clearTimeout(timer);
      timer = setTimeout(() => {
        button.textContent = label;
        $("announce").textContent = "";
      }, 2000);
    });
  }
}
