// Owns the form: contract cards, claim fields, what was filled in, and where errors are shown.

import { $, el, foreign, paint, visible } from "./dom.js";

const LARGEST_PHOTO = 1_048_576; // bytes
const isPhoto = (claim) => claim.type === "image/jpg;base64url";

/** The fields on the page: `{ claim, input, error, ready, encoded }`; the last two belong to photos. */
let fields = [];

export function drawContracts(contracts, choose) {
  const cards = contracts.map((contract, index) => {
    const id = `contract-${index}`;
    const radio = el("input", {
      type: "radio", name: "contract", id, "data-contract": contract.name, "aria-describedby": `${id}-about`,
    });
    radio.addEventListener("change", () => choose(contract));
    const card = el("label", { className: "card", htmlFor: id },
      el("span", { className: "card-top" }, el("bdi", { className: "card-title" }, visible(contract.title)), radio),
      el("span", { className: "card-about", id: `${id}-about` }, foreign(contract.description)),
      el("span", { className: "card-foot" }, foreign(contract.issued_by), el("span", { className: "card-chosen" }, "Chosen")));
    paint(card, contract);
    return card;
  });
  $("contracts").replaceChildren(...cards);
  return cards[0]?.querySelector("input");
}

export function drawClaims(contract) {
  clearErrors();
  const selfIssued = contract.attestation === "selfIssued";
  const claims = contract.claims;
  fields = selfIssued ? [] : claims.map(claimField);
  $("claims-hint").textContent = selfIssued
    ? "Nothing to fill in here: the wallet asks its holder for these claims."
    : claims.length === 0 ? "This credential has no claims." : "The fields start with sample values. Change them as you like.";
  $("claims").replaceChildren(...(selfIssued ? [askedByWallet(claims)] : fields.map((field) => field.row)));
  $("pin-option").hidden = !contract.pin_allowed;
  $("want-pin").checked = false;
  $("details").hidden = false;
}

const askedByWallet = (claims) =>
  el("ul", { className: "asked" }, ...claims.map((claim) =>
    el("li", {}, foreign(claim.label), claim.required ? null : el("span", { className: "quiet" }, " (optional)"))));

function claimField(claim, index) {
  const id = `claim-${index}`;
  const error = el("p", { className: "field-error", id: `${id}-error`, hidden: true });
  const input = el("input", {
    id, name: claim.name, "data-claim": claim.name, "aria-describedby": `${id}-error`, required: claim.required,
  });
  const label = el("label", { htmlFor: id }, foreign(claim.label),
    claim.required ? null : el("span", { className: "quiet" }, " (optional)"));
  const field = { claim, input, error };
  if (isPhoto(claim)) {
    field.row = el("div", { className: "field wide" }, label, photo(field, id), error);
  } else {
    Object.assign(input, { type: "text", dir: "auto", autocomplete: "off", spellcheck: false, value: claim.sample ?? "" });
    field.row = el("div", { className: "field" }, label, input, error);
  }
  input.addEventListener("input", () => setFieldError(field, ""));
  return field;
}

/** A file input with preview. The page's policy allows pictures from `data:`, not from `blob:`. */
function photo(field, id) {
  const picture = el("img", { className: "preview", alt: "", hidden: true });
  const hint = el("p", { className: "quiet", id: `${id}-hint` }, "A JPEG picture of at most 1 MB.");
  const remove = el("button", { type: "button", hidden: true }, "Remove picture");
  Object.assign(field.input, { type: "file", accept: "image/jpeg,.jpg,.jpeg" });
  field.input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);

  const show = (base64) => {
    field.encoded = base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    picture.hidden = remove.hidden = base64 === "";
    picture.alt = base64 === "" ? "" : `Preview of ${visible(field.claim.label)}`;
    if (base64 === "") picture.removeAttribute("src");
    else picture.src = `data:image/jpeg;base64,${base64}`;
  };
  const reject = (message) => {
    show("");
    field.input.value = "";
    setFieldError(field, message);
  };
  picture.addEventListener("error", () => reject("This picture cannot be read. Choose another JPEG."));
  remove.addEventListener("click", () => {
    reject("");
    field.input.focus();
  });
  field.input.addEventListener("change", () => {
    field.ready = readJpeg(field.input.files[0]).then(show, (problem) => reject(problem.message));
  });
  show((field.claim.sample ?? "").replaceAll("-", "+").replaceAll("_", "/"));
  return el("div", { className: "photo" }, picture, el("div", {}, field.input, hint, remove));
}

async function readJpeg(file) {
  if (!file) return "";
  if (file.size > LARGEST_PHOTO) throw new Error("The picture is larger than 1 MB.");
  const bytes = new Uint8Array(await file.arrayBuffer());
  // Every JPEG file starts with the marker SOI and the first byte of another (ISO/IEC 10918-1, annex B).
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8 || bytes[2] !== 0xff) throw new Error("This file is not a JPEG picture.");
  let binary = "";
  // In slices, because a call takes a limited number of arguments.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}

/** What was filled in. Empty claims are left out; `problems` names the required ones among them. */
export async function readForm() {
  await Promise.all(fields.map((field) => field.ready));
  const filled = fields.map((field) => [field, isPhoto(field.claim) ? field.encoded : field.input.value]);
  return {
    claims: Object.fromEntries(filled.filter(([, value]) => value !== "").map(([field, value]) => [field.claim.name, value])),
    sent: filled.filter(([, value]) => value !== "").map(([field, value]) => ({ ...field.claim, value, photo: isPhoto(field.claim) })),
    problems: filled
      .filter(([field, value]) => field.claim.required && value.trim() === "")
      .map(([field]) => ({ field, message: field.error.textContent || `${visible(field.claim.label)} is missing.` })),
    pin: !$("pin-option").hidden && $("want-pin").checked,
  };
}

export const fieldOfTarget = (target) => fields.find((field) => target === `claims.${field.claim.name}`);

function setFieldError(field, message) {
  field.error.textContent = visible(message);
  field.error.hidden = message === "";
  field.input.setAttribute("aria-invalid", String(message !== ""));
}

/** Shows problems (`{ message, field? }`) in the summary, each linked to its field, and moves the focus there. */
export function showErrors(title, problems, reference = "") {
  clearErrors();
  $("error-title").textContent = title;
  $("error-reference").textContent = reference;
  $("error-list").replaceChildren(...problems.map(({ field, message }) => {
    if (!field) return el("li", {}, foreign(message));
    setFieldError(field, message);
    const link = el("a", { href: `#${field.input.id}` }, foreign(message));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      field.input.focus();
    });
    return el("li", {}, link);
  }));
  $("error-summary").hidden = false;
  $("error-summary").focus();
}

export function clearErrors() {
  for (const field of fields) setFieldError(field, "");
  $("error-summary").hidden = $("reload").hidden = true;
}
