// Owns what is shown once a request exists: code, PIN, countdown, steps, callbacks and the trail.

import { $, el, foreign, paint, visible } from "./dom.js";
import { isFinal } from "./api.js";

const STEPS = ["Created", "Scanned", "Issued", "Stored"];
const REACHED = { created: 1, retrieved: 2, issued: 3, completed: 4 };
const SAYS = {
  created: "Waiting for a wallet: scan the code, or open the link on this device.",
  retrieved: "A wallet has fetched the request. Next it proves that it holds its key.",
  issued: "The credential is signed and handed over. Waiting for the wallet to store it.",
  completed: "Done. The wallet has stored the credential.",
  failed: "The issuance failed.",
  expired: "The request expired before a wallet was done with it. Start over to make a new one.",
};
const VEIL = { retrieved: "Scanned", issued: "Scanned", completed: "Done", failed: "Failed", expired: "Expired" };
const CALLBACKS = {
  request_retrieved: "A wallet has fetched the request",
  issuance_successful: "The credential was issued",
  issuance_error: "The issuance failed",
};

// Title, tone and explanation of every kind of event in a transaction.
const EVENTS = {
  request_created: ["Request created", "plain", "The front end asked for a credential and the issuer accepted."],
  request_refused: ["Request refused", "bad", "The front end asked for a credential and the issuer said no."],
  request_retrieved: ["Request fetched", "plain", "A wallet fetched the signed request for the first time."],
  contract_fetched: ["Contract fetched", "plain", "The wallet learned what the credential is and what it looks like."],
  proof_refused: ["Proof refused", "warn", "What the wallet sent did not prove its right to the credential."],
  signing_intent: ["Signature intended", "plain", "Written down before the key is asked to sign."],
  signing_outcome: ["Signature outcome", "plain", "What came of the attempt to sign."],
  intent_voided: ["Intent voided", "warn", "Its key is no longer active; another intent takes its place."],
  credential_issued: ["Credential issued", "good", "The signed credential was handed to the wallet."],
  wallet_reported: ["Wallet reported back", "plain", "The wallet said how it ended on its side."],
  request_expired: ["Request expired", "bad", "Its time ran out."],
  request_failed: ["Request failed", "bad", "The issuer gave up on this request."],
  callback_delivered: ["Callback delivered", "plain", "The front end was told."],
  callback_abandoned: ["Callback abandoned", "bad", "The front end could not be told; no more tries follow."],
};

// Reasons that people at a demo meet; the others stand there as the ledger has them.
const REASONS = {
  wrong_pin: "the PIN was wrong",
  pin_tries_used_up: "the PIN was wrong too often",
  other_holder: "another wallet has this request",
  request_expired: "the request had expired",
  request_not_open: "the request was not open",
};

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const stamp = (at) => el("time", { dateTime: new Date(at).toISOString() }, clock.format(at));

const source = new WeakMap(); // row → the text of what it shows
let ticking;
let said = "";

export function showRequest(request, contract, sent) {
  for (const id of ["result-contract", "band-title"]) $(id).textContent = visible(contract.title);
  $("band-issuer").textContent = visible(contract.issued_by);
  paint($("band"), contract);

  $("qr").src = request.qr_code;
  const link = $("deep-link");
  link.dataset.link = request.url;
  // Only the schemes of wallets: this link must not become a way to run something here.
  if (/^openid[a-z-]*:\/\//.test(request.url)) link.href = request.url;
  else link.removeAttribute("href");

  $("pin").hidden = !request.pin;
  $("pin-value").textContent = request.pin ?? "";
  $("wallet-command").textContent = request.wallet_command;
  $("transaction-id").textContent = request.transaction_id;
  $("sent-box").hidden = sent.length === 0;
  $("sent-box").open = false;
  $("sent").replaceChildren(...sent.flatMap((claim) => [
    el("dt", {}, foreign(claim.label)),
    el("dd", {}, claim.photo ? "a picture" : foreign(claim.value)),
  ]));

  said = "";
  showProgress({ state: "created", callbacks: [], events: [] });
  showConnection("");
  startCountdown(request.expiry * 1000 - request.skew);
}

export const showConnection = (text) => {
  if ($("connection").textContent !== text) $("connection").textContent = text;
};

export function stopCountdown() {
  clearInterval(ticking);
}

function startCountdown(end) {
  stopCountdown();
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    const text = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    $("countdown").textContent = left > 0 ? `Expires in ${text}` : "Its time is up";
    $("countdown").classList.toggle("urgent", left <= 60);
    if (left === 0) stopCountdown();
  };
  tick();
  ticking = setInterval(tick, 500);
}

/** Draws an answer about the request. Live text and the trail change only where there is news. */
export function showProgress({ state, callbacks, events }) {
  const stopped = state === "failed" || state === "expired";
  const happened = (name) => events.some((one) => one.event === name);
  const reached = REACHED[state] ?? (happened("credential_issued") ? 3 : happened("request_retrieved") ? 2 : 1);
  $("status").dataset.state = state;
  drawList("steps", STEPS.map((name, index) => {
    if (index !== reached) return index < reached ? [name, "done", "done"] : [name, "open", "not yet"];
    return stopped ? [name, "stopped", VEIL[state]] : [name, "next", "waiting"];
  }), stepRow);

  const refusal = state === "retrieved" ? lastRefusal(events) : undefined;
  const says = sentence(state, callbacks, events, refusal);
  if (says !== said) $("status-text").replaceChildren(visible(says));
  said = says;
  document.title = `${stopped ? VEIL[state] : STEPS[reached - 1]} – Credenza demo`;

  // After a refusal the same person may have to scan again.
  const veil = refusal ? "" : VEIL[state] ?? "";
  $("qr-veil").textContent = veil;
  $("qr").classList.toggle("spent", veil !== "");
  $("countdown").hidden = state === "issued" || isFinal(state);
  if ($("countdown").hidden) stopCountdown();
  if (isFinal(state) && $("to-do").contains(document.activeElement)) $("result-title").focus({ preventScroll: true });
  $("to-do").hidden = isFinal(state);

  $("no-callbacks").hidden = callbacks.length > 0;
  drawList("callbacks", callbacks, callbackRow);
  drawList("trail", events, (event) => eventRow(event, event.at - events[0].at));
}

/** The newest refused proof, unless the wallet has begun anew since. */
function lastRefusal(events) {
  const at = events.findLastIndex((one) => one.event === "proof_refused");
  const anew = events.findLastIndex((one) => one.event === "contract_fetched" || one.event === "signing_intent");
  return at > anew ? events[at] : undefined;
}

const because = (reason) => (reason ? `: ${REASONS[reason] ?? reason}` : "");

function sentence(state, callbacks, events, refusal) {
  if (state === "failed") {
    const reason = events.findLast((one) => one.event === "request_failed")?.details?.reason;
    if (reason) return `The issuance failed${because(reason)}.`;
    const error = callbacks.findLast((one) => one.error)?.error;
    if (error) return `${SAYS.failed} ${error.code}: ${error.message}`;
  }
  if (refusal) return `The wallet’s proof was refused${because(refusal.details?.reason)}. It may try again.`;
  return SAYS[state] ?? `State: ${state}`;
}

/** Makes a list show the items. A row stays as it is, opened details included, while its item is the same. */
function drawList(id, items, makeRow) {
  const list = $(id);
  items.forEach((item, index) => {
    const text = JSON.stringify(item);
    const old = list.children[index];
    if (old && source.get(old) === text) return;
    const row = makeRow(item);
    source.set(row, text);
    if (old) old.replaceWith(row);
    else list.append(row);
  });
  while (list.children.length > items.length) list.lastElementChild.remove();
}

function stepRow([name, kind, word]) {
  const row = el("li", { className: `step-${kind}` },
    el("span", { className: "step-name" }, name),
    el("span", { className: kind === "stopped" ? "step-word" : "unseen" }, ` ${word}`));
  if (kind === "next") row.setAttribute("aria-current", "step");
  return row;
}

const callbackRow = ({ requestStatus, at, error }) =>
  el("li", { className: error ? "tone-bad" : "" },
    el("span", { className: "row-head" }, el("strong", {}, CALLBACKS[requestStatus] ?? "Callback"), stamp(at)),
    el("code", {}, visible(requestStatus)),
    error ? el("span", { className: "reason" }, foreign(`${error.code}: ${error.message}`)) : null);

/** A detail as people read it: milliseconds since 1970 as a time, durations with their unit. */
function fact([name, value]) {
  const words = name.replaceAll("_", " ");
  if (typeof value === "number" && name.endsWith("_at")) return [words, moment.format(value)];
  if (typeof value === "number" && name.endsWith("_us")) return [words.slice(0, -3), `${(value / 1000).toFixed(2)} ms`];
  return [words, String(value)];
}

function eventRow({ at, event, details }, sinceFirst) {
  const [title, usual, about] = EVENTS[event] ?? [visible(event).replaceAll("_", " "), "plain", ""];
  const tone = usual === "plain" && wentWrong(event, details ?? {}) ? "warn" : usual;
  const pairs = Object.entries(details ?? {});
  const short = pairs.filter(([name, value]) => name !== "reason" && String(value).length <= 24);
  const facts = short.slice(0, 3).map((pair) => visible(fact(pair).join(" "))).join(" · ");
  const reason = details?.reason;
  return el("li", { className: `tone-${tone}` },
    el("span", { className: "row-head" },
      el("strong", {}, title),
      el("span", { className: "when" }, stamp(at), ` · +${(sinceFirst / 1000).toFixed(2)} s`)),
    about ? el("span", { className: "about" }, about) : null,
    reason ? el("span", { className: "reason" }, "Reason: ", foreign(REASONS[reason] ? `${REASONS[reason]} (${reason})` : reason)) : null,
    el("details", {},
      el("summary", {}, "Details", el("span", { className: "unseen" }, ` of ${title}`), el("bdi", { className: "facts" }, facts)),
      el("dl", { className: "pairs" },
        ...[["event", event], ["at", at], ...pairs].flatMap(([name, value]) =>
          [el("dt", {}, el("code", {}, visible(name))), el("dd", {}, el("code", {}, foreign(value)))]))));
}

/** An attempt that brought no signature, or a wallet that did not store the credential. */
const wentWrong = (event, { outcome, code }) =>
  event === "signing_outcome" ? outcome !== "signed" : event === "wallet_reported" && code !== "issuance_successful";
