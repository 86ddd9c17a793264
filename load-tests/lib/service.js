// The service as the internet sees it: one or several replicas behind what would be a load balancer, and the calls of
// wallets with their measurements. A wallet gives up after 10 s, so a slower answer counts as late.
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

import { completion, manifestOf, path, payload, proof, requestUri } from './wallet.js';

const WALLET_PATIENCE_MS = 10_000;
// Longer than the patience, so that late answers are told from lost ones.
const TIMEOUT = '15s';
const RETRY_PAUSE_MS = 300;

export const STEPS = ['request', 'contract', 'proof', 'completion'];

const durations = {};
for (const step of STEPS) {
  durations[step] = new Trend(`${step}_ms`, true);
}
const late = new Counter('wallet_late');
const failed = new Counter('wallet_failed');
const retried = new Counter('wallet_retried');
const scanned = new Counter('people_scanned');
const issued = new Counter('issued');
const whole = new Trend('issuance_ms', true);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How long an exchange took for the caller, connecting included. */
export function took(answer) {
  const timings = answer.timings;
  return timings.blocked + timings.connecting + timings.tls_handshaking + timings.duration;
}

let told = 0;

/** Writes a failure to the log; the first ones of each virtual user say it all. */
export function tell(text) {
  told += 1;
  if (told <= 5) {
    console.error(text);
  }
}

/** What stands behind the public origin. `retries` is what a load balancer or a patient person does after a lost answer. */
export class Service {
  constructor(origins, retries) {
    this.origins = origins;
    this.retries = retries;
    this.downUntil = origins.map(() => 0);
  }

  /** Any replica that is not known to be down. */
  choose() {
    const now = Date.now();
    const up = this.downUntil.map((until, at) => (until <= now ? at : -1)).filter((at) => at >= 0);
    const from = up.length > 0 ? up : this.origins.map((_, at) => at);
    return from[Math.floor(Math.random() * from.length)];
  }

  /** One exchange at any replica; a replica that cannot be reached is avoided for a second. */
  async exchange(method, target, body, parameters) {
    const at = this.choose();
    const answer = await http.asyncRequest(method, this.origins[at] + target, body, parameters);
    if (answer.status === 0) {
      this.downUntil[at] = Date.now() + 1000;
    }
    return answer;
  }

  /** A wallet's call; the answer's body, or null when it failed for good. */
  async wallet(step, method, url, body, headers, expected, measured) {
    const parameters = { headers, timeout: TIMEOUT, tags: { name: step } };
    if (step !== 'proof' && step !== 'completion') {
      parameters.responseType = 'text';
    }
    for (let attempt = 0; ; attempt += 1) {
      const answer = await this.exchange(method, path(url), body, parameters);
      if (answer.status === expected) {
        const ms = took(answer);
        if (measured) {
          durations[step].add(ms);
        }
        if (ms > WALLET_PATIENCE_MS) {
          late.add(1, { step });
        }
        return answer;
      }
      const isLost = answer.status === 0 || answer.status >= 500;
      if (!isLost || attempt >= this.retries) {
        failed.add(1, { step });
        tell(`${step}: ${answer.status} ${answer.error} ${String(answer.body).slice(0, 300)}`);
        return null;
      }
      retried.add(1, { step });
      await pause(RETRY_PAUSE_MS * (attempt + 1));
    }
  }

  /** Fetches the request object of a link: the first signature. */
  async retrieve(link, measured) {
    const answer = await this.wallet('request', 'GET', requestUri(link), null, {}, 200, measured);
    return answer && payload(answer.body);
  }

  /** Fetches the contract and makes the proof: no signature of the service. */
  async prepare(holder, request, measured) {
    const manifest = manifestOf(request);
    const signed = { 'x-ms-sign-contract': 'true' };
    const answer = await this.wallet('contract', 'GET', manifest, null, signed, 200, measured);
    if (!answer) {
      return null;
    }
    const contract = payload(answer.json('token'));
    return { to: contract.input.credentialIssuer, body: await proof(holder, request, manifest, contract) };
  }

  /** Sends the proof and takes the credential: the second signature. */
  async redeem(prepared, measured) {
    const text = { 'content-type': 'text/plain' };
    return this.wallet('proof', 'POST', prepared.to, prepared.body, text, 200, measured);
  }

  /** Reports the end. */
  async complete(request, measured) {
    const json = { 'content-type': 'application/json' };
    const done = await this.wallet(
      'completion', 'POST', request.redirect_uri, completion(request), json, 202, measured,
    );
    if (done) {
      issued.add(1);
    }
    return done;
  }

  /** Everything between the scan and the credential in the wallet. */
  async accept(holder, link, measured) {
    const began = Date.now();
    scanned.add(1);
    const request = await this.retrieve(link, measured);
    const prepared = request && (await this.prepare(holder, request, measured));
    const credential = prepared && (await this.redeem(prepared, measured));
    const done = credential && (await this.complete(request, measured));
    if (done && measured) {
      whole.add(Date.now() - began);
    }
  }
}
