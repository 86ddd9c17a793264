// A front end and its users. Create calls arrive at random moments (Poisson, RATE a second in all) whatever happens to
// the earlier ones; of the admitted, the share SCANNED scans after SCAN_MIN to SCAN_MAX seconds and goes on to the end.
//
// Each virtual user is an event loop that plays many people: a person who has yet to scan is a timer, not a thread, so
// that one machine can hold thousands of them beside the service under test.
import exec from 'k6/execution';
import { Counter, Gauge, Trend } from 'k6/metrics';

import { createBody, createCall, fetchToken, readCreated } from './lib/front-end.js';
import { Service, pause, tell, took } from './lib/service.js';
import { COMMON, installation, people, summary } from './lib/settings.js';
import { newHolder } from './lib/wallet.js';

const site = installation();
const plan = people();

const created = new Counter('created');
const refused = new Counter('refused');
const refusedBare = new Counter('refused_without_retry_after');
const createFailed = new Counter('create_failed');
const createdMs = new Trend('created_ms', true);
const refusedMs = new Trend('refused_ms', true);
const retryAfter = new Trend('retry_after_s');
// Milliseconds since 1970.
const startedAt = new Gauge('started_at');

export const options = {
  ...COMMON,
  scenarios: {
    people: {
      executor: 'per-vu-iterations',
      vus: plan.users,
      iterations: 1,
      maxDuration: `${Math.ceil(plan.seconds + plan.scanMax + 90)}s`,
    },
  },
};

export function setup() {
  const token = fetchToken(site.tokenUrl, site.clientId, site.clientSecret, site.scope);
  return { token, start: Date.now() };
}

const service = new Service(site.origins, plan.retries);
const body = createBody(site);

async function person(token, measured) {
  const { url, parameters } = createCall('', token);
  let answer = await service.exchange('POST', url, body, parameters);
  for (let attempt = 0; answer.status === 0 && attempt < plan.retries; attempt += 1) {
    answer = await service.exchange('POST', url, body, parameters);
  }
  const outcome = readCreated(answer);
  if (outcome.refused) {
    refused.add(1);
    if (measured) {
      refusedMs.add(took(answer));
    }
    if (outcome.retryAfter === null) {
      refusedBare.add(1);
    } else {
      retryAfter.add(outcome.retryAfter);
    }
    return;
  }
  if (outcome.failed) {
    createFailed.add(1);
    tell(outcome.failed);
    return;
  }
  created.add(1);
  if (measured) {
    createdMs.add(took(answer));
  }
  if (Math.random() < plan.scanned) {
    await pause(1000 * (plan.scanMin + Math.random() * (plan.scanMax - plan.scanMin)));
    await service.accept(await newHolder(), outcome.link, measured);
  }
}

export default async function (data) {
  startedAt.add(data.start);
  const perMs = plan.rate / plan.users / 1000;
  const end = data.start + plan.seconds * 1000;
  const measureFrom = data.start + plan.measureFrom * 1000;
  let next = data.start;
  for (;;) {
    next += -Math.log(1 - Math.random()) / perMs;
    if (next >= end) {
      break;
    }
    const wait = next - Date.now();
    if (wait > 0) {
      await pause(wait);
    }
    const name = `vu ${exec.vu.idInTest}`;
    person(data.token, next >= measureFrom).catch((error) => {
      createFailed.add(1);
      tell(`${name}: ${error}`);
    });
  }
  // People who have yet to scan keep the iteration alive until the last of them is done.
}

export function handleSummary(data) {
  return summary(data);
}
