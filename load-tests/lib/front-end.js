// A web front end: gets its access token and asks for issuance requests. Knows the Request Service API only.
import http from 'k6/http';

const CREATE = '/v1.0/verifiableCredentials/createIssuanceRequest';

// What a front end that is refused shows to its user; a call that takes longer than this is a failure of its own.
const TIMEOUT = '10s';

/** An access token by the client credentials flow. Throws with the endpoint's answer when there is none. */
export function fetchToken(url, clientId, clientSecret, scope) {
  const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope };
  const answer = http.post(url, form, { responseType: 'text', tags: { name: 'token' } });
  if (answer.status !== 200) {
    throw new Error(`no access token: ${answer.status} ${answer.error} ${answer.body}`);
  }
  return answer.json('access_token');
}

/** The body of a create call. Without a QR code: drawing one is not what these tests load. */
export function createBody({ authority, manifest, claims, callback }) {
  const body = {
    authority,
    includeQRCode: false,
    registration: { clientName: 'Load test' },
    type: 'load',
    manifest,
    claims,
  };
  if (callback) {
    body.callback = { url: callback, state: 'load', headers: { 'api-key': 'load' } };
  }
  return JSON.stringify(body);
}

/** Address and parameters of a create call. */
export function createCall(origin, token) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const parameters = { headers, timeout: TIMEOUT, responseType: 'text', tags: { name: 'create' } };
  return { url: origin + CREATE, parameters };
}

/** What an answer to create says: `{link}`, `{refused, retryAfter}` or `{failed}`. */
export function readCreated(answer) {
  if (answer.status === 201) {
    return { link: answer.json('url') };
  }
  if (answer.status === 429 || answer.status === 503) {
    const seconds = Number(answer.headers['Retry-After']);
    return { refused: true, retryAfter: Number.isFinite(seconds) && seconds > 0 ? seconds : null };
  }
  return { failed: `create: ${answer.status} ${answer.error} ${String(answer.body).slice(0, 300)}` };
}
