// A wallet of the Entra wire: a holder key of its own (did:jwk over P-256) and the four calls after the scan.
// Written from the wire's description (request object, contract, proof, completion); signs with k6's WebCrypto.
import encoding from 'k6/encoding';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' };
const ES256 = { name: 'ECDSA', hash: 'SHA-256' };
const SELF_ISSUED = 'https://self-issued.me';

const base64url = (data) => encoding.b64encode(data, 'rawurl');
// The scripting engine has no TextEncoder; this round trip runs natively and is ten times as fast as a loop.
const bytes = (text) => encoding.b64decode(encoding.b64encode(text, 'rawstd'), 'rawstd');

/** The payload of a compact JWS. The signature is checked by the development wallet's tests, not under load. */
export function payload(jws) {
  return JSON.parse(encoding.b64decode(jws.split('.', 2)[1], 'rawurl', 's'));
}

/** Path and query of an absolute address: under load, replicas stand behind other origins than the public one. */
export function path(url) {
  return url.slice(url.indexOf('/', 'https://'.length));
}

/** The address of the request object in a deep link. */
export function requestUri(link) {
  return decodeURIComponent(link.slice(link.indexOf('request_uri=') + 'request_uri='.length));
}

/** A new holder. */
export async function newHolder() {
  const pair = await crypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
  // Not the `jwk` export: k6 1.1.0 drops leading zero bytes of x and y there, which RFC 7518, section 6.2.1.2 forbids.
  const point = await crypto.subtle.exportKey('raw', pair.publicKey);
  const jwk = { crv: 'P-256', kty: 'EC', x: base64url(point.slice(1, 33)), y: base64url(point.slice(33, 65)) };
  // RFC 7638, section 3: the required members in lexicographic order, as they stand above.
  const text = JSON.stringify(jwk);
  const thumbprint = base64url(await crypto.subtle.digest('SHA-256', bytes(text)));
  const did = `did:jwk:${base64url(text)}`;
  const header = base64url(JSON.stringify({ alg: 'ES256', kid: `${did}#0`, typ: 'JWT' }));
  return { privateKey: pair.privateKey, jwk, did, thumbprint, header };
}

/** The proof that answers `request` under `contract`; `manifest` is the address that stood in the request. */
export async function proof(holder, request, manifest, contract) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: SELF_ISSUED,
    aud: contract.input.credentialIssuer,
    did: holder.did,
    sub: holder.thumbprint,
    sub_jwk: holder.jwk,
    contract: manifest,
    jti: crypto.randomUUID(),
    iat: now,
    exp: now + 3600,
    attestations: { idTokens: { [SELF_ISSUED]: request.id_token_hint } },
  };
  const input = `${holder.header}.${base64url(JSON.stringify(claims))}`;
  const signature = await crypto.subtle.sign(ES256, holder.privateKey, bytes(input));
  return `${input}.${base64url(signature)}`;
}

/** The manifest's address in a request object. */
export function manifestOf(request) {
  return request.claims.vp_token.presentation_definition.input_descriptors[0].issuance[0].manifest;
}

/** The body of the completion call. */
export function completion(request) {
  return JSON.stringify({ code: 'issuance_successful', state: request.state });
}
