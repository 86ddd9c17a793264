//! What has to hold in every state of the page: nothing runs out of the window, everything has a name, is legible and large
//! enough. Measured in the browser; the rules are those of WCAG 2.2 (1.1.1, 1.3.1, 1.4.3, 1.4.10, 2.5.8, 4.1.2).

use crate::page::Page;

/// Gives a list of complaints.
const AUDIT: &str = r#"
const problems = [];
const name = (node) => node.id ? `#${node.id}` : `${node.tagName.toLowerCase()}.${node.className}`;
const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest('.unseen, .skip');
const all = [...document.querySelectorAll('body, body *')].filter(seen);

const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) {
  problems.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);
}
for (const node of all) {
  const box = node.getBoundingClientRect();
  if (box.width > 0 && (box.right > width + 1 || box.left < -1)) problems.push(`${name(node)} runs out of the window`);
  const clips = getComputedStyle(node).overflowX !== 'visible';
  if (clips && node.scrollWidth > node.clientWidth + 1 && node.tagName !== 'INPUT') problems.push(`${name(node)} is cut off`);
}

const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) problems.push(`two elements are called ${id}`);
for (const attribute of ['aria-describedby', 'aria-labelledby', 'for']) {
  for (const node of document.querySelectorAll(`[${attribute}]`)) {
    for (const id of node.getAttribute(attribute).split(/\s+/)) {
      if (!document.getElementById(id)) problems.push(`${name(node)} refers to ${id}, which is not there`);
    }
  }
}
for (const node of all) {
  const text = (node.getAttribute('aria-label') ?? node.textContent).trim();
  if (node.matches('img') && !node.hasAttribute('alt')) problems.push(`${name(node)} has no alternative text`);
  if (node.matches('input') && !node.labels.length && !text) problems.push(`${name(node)} has no label`);
  if (node.matches('button, a, summary') && !text) problems.push(`${name(node)} has no name`);
  if (node.matches('button, a.button, summary, input')) {
    const box = node.getBoundingClientRect();
    const whole = node.labels?.[0]?.getBoundingClientRect() ?? box;
    if (Math.max(box.height, whole.height) < 24 || Math.max(box.width, whole.width) < 24) problems.push(`${name(node)} is hard to hit`);
  }
}

const parts = (colour) => {
  const found = colour.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
  return found && [1, 2, 3, 4].map((at) => (found[at] === undefined ? 1 : Number(found[at])));
};
const light = (colour) => {
  const [red, green, blue] = colour.map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const backOf = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = parts(getComputedStyle(at).backgroundColor);
    if (colour && colour[3] === 1) return colour;
  }
  return [255, 255, 255, 1];
};
for (const node of all) {
  if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
  const style = getComputedStyle(node);
  const ink = parts(style.color);
  if (!ink) { problems.push(`${name(node)} has the colour ${style.color}`); continue; }
  const [high, low] = [light(ink), light(backOf(node))].sort((one, other) => other - one);
  const contrast = (high + 0.05) / (low + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (contrast < (large ? 3 : 4.5)) problems.push(`${name(node)} has a contrast of ${contrast.toFixed(2)}`);
}
return problems;
"#;

/// Asserts that nothing is wrong with the page in its present state.
///
/// # Panics
/// When something is; the message lists it.
pub async fn check(page: &Page, state: &str) {
    page.settle().await;
    let problems: Vec<String> = serde_json::from_value(page.run(AUDIT).await).expect("a list of texts");
    assert!(problems.is_empty(), "{state}: {problems:#?}");
}
