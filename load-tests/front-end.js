// Only the front end's side, for an installation of one's own: RATE create calls a second, no wallets. It costs the vault
// nothing, because nothing is signed before a wallet comes. Shows the latency of admission and of refusals.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';

import { createBody, createCall, fetchToken, readCreated } from './lib/front-end.js';
import { COMMON, installation, people } from './lib/settings.js';

const site = installation();
const plan = people();
const body = createBody(site);

const created = new Trend('created_ms', true);
const refused = new Trend('refused_ms', true);
const failed = new Counter('create_failed');

export const options = {
  ...COMMON,
  scenarios: {
    creates: {
      executor: 'constant-arrival-rate',
      rate: Math.max(1, Math.round(plan.rate)),
      timeUnit: '1s',
      duration: `${plan.seconds}s`,
      preAllocatedVUs: Math.ceil(plan.rate / 4) + 5,
      maxVUs: Math.ceil(plan.rate) * 10 + 10,
    },
  },
  thresholds: { refused_ms: ['p(99)<100'], create_failed: ['count<1'] },
};

export function setup() {
  return { token: fetchToken(site.tokenUrl, site.clientId, site.clientSecret, site.scope) };
}

export default function (data) {
  const origin = site.origins[Math.floor(Math.random() * site.origins.length)];
  const { url, parameters } = createCall(origin, data.token);
  const answer = http.post(url, body, parameters);
  const outcome = readCreated(answer);
  if (outcome.link) {
    created.add(answer.timings.duration);
  } else if (outcome.refused) {
    refused.add(answer.timings.duration);
    check(outcome, { 'a refusal says when to come again': (seen) => seen.retryAfter !== null });
  } else {
    failed.add(1);
    console.error(outcome.failed);
  }
}
