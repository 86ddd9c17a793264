// Everybody at once: BURST requests are created little by little, then it is quiet for QUIET seconds (longer than the
// vault's window), then all wallets fetch their request objects in the same moment. After another quiet spell all of
// them send their proofs, prepared before, in the same moment. The moments are written as gauges (milliseconds since 1970).
import { Counter, Gauge } from 'k6/metrics';

import { createBody, createCall, fetchToken, readCreated } from './lib/front-end.js';
import { Service, pause, tell } from './lib/service.js';
import { COMMON, installation, people, summary } from './lib/settings.js';
import { newHolder } from './lib/wallet.js';

const site = installation();
const plan = people();
const CREATING = plan.burst / plan.rate;
// Wallets of one virtual user that call at the same time: the connections stay few and are warm.
const ABREAST = 8;

const created = new Counter('created');
const refused = new Counter('refused');
const createFailed = new Counter('create_failed');
const startedAt = new Gauge('started_at');
const requestsAt = new Gauge('burst_requests_at');
const proofsAt = new Gauge('burst_proofs_at');

export const options = {
  ...COMMON,
  scenarios: {
    burst: {
      executor: 'per-vu-iterations',
      vus: plan.users,
      iterations: 1,
      maxDuration: `${Math.ceil(3 * CREATING + 3 * plan.quiet + 120)}s`,
    },
  },
};

export function setup() {
  const token = fetchToken(site.tokenUrl, site.clientId, site.clientSecret, site.scope);
  const start = Date.now();
  // Creating may take half as long again when the service asks for patience.
  const requests = start + 1000 * (1.5 * CREATING + 5 + plan.quiet);
  return { token, start, requests, proofs: requests + 1000 * (plan.quiet + 5) };
}

const service = new Service(site.origins, plan.retries);
const body = createBody(site);

async function create(token) {
  const { url, parameters } = createCall('', token);
  for (;;) {
    const outcome = readCreated(await service.exchange('POST', url, body, parameters));
    if (outcome.link) {
      created.add(1);
      return outcome.link;
    }
    if (outcome.failed) {
      createFailed.add(1);
      tell(outcome.failed);
      return null;
    }
    refused.add(1);
    await pause(1000 * (outcome.retryAfter || 1));
  }
}

/** Runs `work` over `items`, ABREAST at a time. */
async function each(items, work) {
  const queue = items.slice();
  const lane = async () => {
    while (queue.length > 0) {
      await work(queue.shift());
    }
  };
  await Promise.all(Array.from({ length: ABREAST }, lane));
}

const until = (moment) => pause(Math.max(0, moment - Date.now()));

/** Opens the connections that the burst will use; a health check asks nothing of the vault. */
async function warm(moment) {
  await until(moment - 1000);
  const parameters = { timeout: '5s', tags: { name: 'warm' } };
  await Promise.all(Array.from({ length: ABREAST }, () => service.exchange('GET', '/livez', null, parameters)));
  await until(moment);
}

export default async function (data) {
  startedAt.add(data.start);
  const first = __VU - 1;
  const mine = Array.from({ length: plan.burst }, (_, at) => at).filter((at) => at % plan.users === first);
  const wallets = [];
  await each(mine, async (at) => {
    await until(data.start + (1000 * at) / plan.rate);
    const link = await create(data.token);
    if (link) {
      wallets.push({ link, holder: await newHolder() });
    }
  });
  await warm(data.requests);
  requestsAt.add(data.requests);
  await each(wallets, async (wallet) => {
    wallet.request = await service.retrieve(wallet.link, true);
  });
  await each(wallets.filter((wallet) => wallet.request), async (wallet) => {
    wallet.prepared = await service.prepare(wallet.holder, wallet.request, true);
  });
  const ready = wallets.filter((wallet) => wallet.prepared);
  await warm(data.proofs);
  proofsAt.add(data.proofs);
  await each(ready, async (wallet) => {
    wallet.credential = await service.redeem(wallet.prepared, true);
  });
  await each(ready.filter((wallet) => wallet.credential), (wallet) => service.complete(wallet.request, true));
}

export function handleSummary(data) {
  return summary(data);
}
