// What the command sets, from the environment. One place, so that a script started by hand says what is missing.

function required(name) {
  const value = __ENV[name];
  if (!value) {
    throw new Error(`${name} is not set: see load-tests/README.md`);
  }
  return value;
}

function number(name, usual) {
  const text = __ENV[name];
  const value = text === undefined || text === '' ? usual : Number(text);
  if (!Number.isFinite(value)) {
    throw new Error(`${name} has to be a number`);
  }
  return value;
}

/** The installation: where it is and who we are to it. */
export function installation() {
  return {
    origins: required('ORIGINS').split(',').map((origin) => origin.replace(/\/$/, '')),
    tokenUrl: required('TOKEN_URL'),
    clientId: required('CLIENT_ID'),
    clientSecret: required('CLIENT_SECRET'),
    scope: __ENV.SCOPE || '3db474b9-6a0c-4840-96ac-1fceb342124f/.default',
    authority: required('AUTHORITY'),
    manifest: required('MANIFEST'),
    claims: JSON.parse(__ENV.CLAIMS || '{"given_name":"Megan","family_name":"Bowen","job_title":"Engineer",'
      + '"employee_id":"E-1","programme":"Physics","student_number":"S-1"}'),
    callback: __ENV.CALLBACK || null,
  };
}

/** The people and the time. */
export function people() {
  return {
    seconds: number('DURATION', 60),
    measureFrom: number('MEASURE_FROM', 0),
    rate: number('RATE', 10),
    scanned: number('SCANNED', 0.7),
    scanMin: number('SCAN_MIN', 1),
    scanMax: number('SCAN_MAX', 30),
    retries: number('RETRIES', 0),
    users: number('USERS', 12),
    burst: number('BURST', 1000),
    quiet: number('QUIET', 15),
  };
}

/** Everything that k6 measured, as JSON in the file OUT. */
export function summary(data) {
  const out = {};
  if (__ENV.OUT) {
    out[__ENV.OUT] = JSON.stringify(data.metrics);
  }
  return out;
}

/** Options that all scripts share: bodies are read only where a script asks, few tags, many kept connections. */
export const COMMON = {
  discardResponseBodies: true,
  systemTags: ['name', 'status'],
  summaryTrendStats: ['count', 'avg', 'med', 'p(95)', 'p(99)', 'max'],
  batch: 256,
  batchPerHost: 256,
  noVUConnectionReuse: false,
  setupTimeout: '60s',
};
