// The demo page of `credenza dev`: wires form, issuer and result together. The other modules do the drawing.

import { $, wireCopyButtons } from "./dom.js";
import { createRequest, follow, loadConfig, Refusal } from "./api.js";
import { clearErrors, drawClaims, drawContracts, fieldOfTarget, readForm, showErrors } from "./form.js";
import { showConnection, showProgress, showRequest, stopCountdown } from "./result.js";

const TITLE = document.title;
let chosen;
let busy = false;
let stopFollowing = () => {};

function choose(contract) {
  chosen = contract;
  drawClaims(contract);
}

async function start() {
  clearErrors();
  try {
    const config = await loadConfig();
    $("authority-name").textContent = config.authority_name;
    $("authority-did").textContent = config.authority_did;
    const first = drawContracts(config.contracts, choose);
    if (first) first.click();
    else $("contracts").textContent = "This authority has no contracts yet.";
  } catch (error) {
    $("contracts").textContent = "No contracts to show.";
    showErrors("The page could not be loaded", [{ message: explain(error) }]);
    $("reload").hidden = false;
  }
}

const explain = (error) =>
  error instanceof Refusal ? error.message : "The issuer cannot be reached. Is it still running?";

async function submit(event) {
  event.preventDefault();
  if (busy || !chosen) return;
  busy = true;
  clearErrors();
  const button = $("create");
  const label = button.textContent;
  try {
    const contract = chosen;
    const { claims, sent, problems, pin } = await readForm();
    if (problems.length > 0) return showErrors("Some claims are missing", problems);
    // Not `disabled`: that would take the focus away from whoever just pressed it.
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Creating…";
    const request = await createRequest({ contract_id: contract.id, claims, pin });
    showRequest(request, contract, sent);
    turnTo("result");
    $("result-title").focus({ preventScroll: true });
    stopFollowing = follow(request.request_id, showProgress, showConnection);
  } catch (error) {
    const refused = error instanceof Refusal;
    const wait = refused && error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
    const reference = [refused && error.code, refused && error.transaction && `transaction ${error.transaction}`];
    showErrors(
      refused ? "The issuer refused the request" : "The request could not be sent",
      [{ message: explain(error) + wait, field: refused ? fieldOfTarget(error.target) : undefined }],
      reference.filter(Boolean).join(" · "),
    );
  } finally {
    busy = false;
    button.removeAttribute("aria-disabled");
    button.textContent = label;
  }
}

function turnTo(view) {
  for (const id of ["compose", "result"]) $(id).hidden = id !== view;
  $("title").classList.toggle("unseen", view === "result");
  window.scrollTo(0, 0);
}

function startOver() {
  stopFollowing();
  stopCountdown();
  document.title = TITLE;
  drawClaims(chosen);
  turnTo("compose");
  document.querySelector("#contracts input:checked")?.focus({ preventScroll: true });
}

$("claims-form").addEventListener("submit", submit);
$("start-over").addEventListener("click", startOver);
$("reload").addEventListener("click", start);
wireCopyButtons();
start();
