// Owns the talk with the issuer: requests, refusals and the polling rhythm. Draws nothing.

const POLL_MS = 700;
const HIDDEN_TAB_MS = 5000;
const LONGEST_WAIT_MS = 10_000;
const ANSWER_WITHIN_MS = 15_000;

/** An answer with an error status. `problem` is the innermost error object that the server sent. */
export class Refusal extends Error {
  constructor(response, body) {
    const outer = body?.error ?? {};
    const problem = outer.innererror ?? outer;
    super(problem.message || outer.message || `The server answered ${response.status}.`);
    this.status = response.status;
    this.code = problem.code ?? "";
    this.target = problem.target ?? "";
    this.retryAfter = response.headers.get("retry-after");
    this.transaction = response.headers.get("x-credenza-transaction-id");
  }
}

async function call(path, init = {}) {
  const response = await fetch(`/demo/api/${path}`, {
    ...init,
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response, body);
  if (body === null) throw new TypeError("The answer is not JSON.");
  return { body, serverTime: Date.parse(response.headers.get("date") ?? "") };
}

export const loadConfig = async () => (await call("config")).body;

/** Creates a request. `skew` is how far the server's clock is ahead of ours, in milliseconds. */
export async function createRequest(wanted) {
  const { body, serverTime } = await call("requests", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(wanted),
  });
  const ahead = serverTime - Date.now();
  // The date header has whole seconds, and the way back takes time: small differences mean nothing.
  return { ...body, skew: Math.abs(ahead) > 3000 ? ahead : 0 };
}

// The callback that tells how it ended may arrive shortly after the end itself. Expiry has none.
const LAST_CALLBACK = { completed: "issuance_successful", failed: "issuance_error" };
export const isFinal = (state) => ["completed", "failed", "expired"].includes(state);

/** Follows a request to its end: calls `show` with every answer and `note` with what is wrong ("" if nothing). */
export function follow(requestId, show, note) {
  let stopped = false;
  let failures = 0;
  let endedAt = null;
  let heardAtEnd = 0;
  let wake = () => {};
  const pause = (ms) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => (clearTimeout(timer), resolve());
    });
  const comeBack = () => document.visibilityState === "visible" && wake();

  function finished(answer) {
    if (!isFinal(answer.state)) return false;
    endedAt ??= Date.now();
    const last = LAST_CALLBACK[answer.state];
    // One more look after the callback: the ledger's entry about its delivery follows it.
    if (!last || answer.callbacks.some((one) => one.requestStatus === last)) heardAtEnd += 1;
    return heardAtEnd > (last ? 1 : 0) || Date.now() - endedAt > LONGEST_WAIT_MS;
  }

  async function run() {
    document.addEventListener("visibilitychange", comeBack);
    window.addEventListener("online", comeBack);
    while (!stopped) {
      try {
        const { body } = await call(`requests/${encodeURIComponent(requestId)}`);
        if (stopped) break;
        failures = 0;
        note("");
        show(body);
        if (finished(body)) break;
      } catch (error) {
        if (stopped) break;
        if (error instanceof Refusal && error.status === 404) {
          note("The issuer does not know this request any more. Start over to make a new one.");
          break;
        }
        failures += 1;
        note("The issuer cannot be reached at the moment. What you see may be old; trying again…");
      }
      const backedOff = Math.min(POLL_MS * 2 ** failures, LONGEST_WAIT_MS);
      await pause(document.visibilityState === "hidden" ? Math.max(HIDDEN_TAB_MS, backedOff) : backedOff);
    }
    document.removeEventListener("visibilitychange", comeBack);
    window.removeEventListener("online", comeBack);
  }

  run();
  return () => {
    stopped = true;
    wake();
  };
}
