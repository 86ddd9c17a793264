// The official JavaScript client, unmodified, against a running vault-sim. `acceptance` starts both; README.md says how.
//
//   node acceptance.mjs READY_FILE PROFILE [URL]
//
// Beside the packages @azure/keyvault-keys and @azure/identity, with the simulator's CA in NODE_EXTRA_CA_CERTS. With a URL
// the client checks the challenge against it.

import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, verify } from "node:crypto";
import { readFileSync } from "node:fs";

import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

const TENANT = "00000000-0000-0000-0000-000000000001";
const CURVES = [
  ["P-256", "ES256", 32, 64],
  ["P-256K", "ES256K", 32, 64],
  ["P-384", "ES384", 48, 96],
  ["P-521", "ES512", 64, 132],
];
/** Names of the two curves in the vault, in OpenSSL and in a JWK. */
const SHORT = [
  ["P-256", "ES256", "prime256v1", "P-256"],
  ["P-256K", "ES256K", "secp256k1", "secp256k1"],
];
const QUICK = { intervalInMs: 100 };

const [readyFile, profile, checkedUrl] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, "utf8"));
const options = { disableChallengeResourceVerification: checkedUrl === undefined };
const isHsm = profile === "managed-hsm";

const staticToken = { getToken: async () => ({ token: "any", expiresOnTimestamp: Date.now() + 3_600_000 }) };

async function all(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

async function refused(status, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.statusCode, status, error);
    return true;
  });
}

/** By a library that knows nothing of the vault. */
function verifies(publicKey, message, signature) {
  assert.equal(signature.length, 64);
  assert.ok(verify("sha256", message, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature));
}

async function signAndVerify(client, crypto, prefix) {
  for (const [curve, algorithm, digestLength, width] of CURVES) {
    for (const hsm of [false, true]) {
      const key = await client.createEcKey(`${prefix}-${curve}-${hsm ? 1 : 0}`, { curve, hsm });
      assert.equal(key.keyType, hsm || isHsm ? "EC-HSM" : "EC");
      const digest = randomBytes(digestLength);
      const signed = await crypto(key.id).sign(algorithm, digest);
      assert.equal(signed.result.length, width);
      assert.equal(signed.keyID, key.id);
      assert.equal((await crypto(key.id).verify(algorithm, digest, signed.result)).result, true);
      assert.equal((await crypto(key).verify(algorithm, randomBytes(digestLength), signed.result)).result, false);
    }
  }
}

/** A key of OpenSSL's whose x or y begins with a zero byte. */
function shortKey(curve, place) {
  for (;;) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: curve });
    const { d, x, y } = privateKey.export({ format: "jwk" });
    const wide = Object.fromEntries(Object.entries({ d, x, y }).map(([name, text]) => [name, Buffer.from(text, "base64url")]));
    if (wide[place][0] === 0) return { publicKey, wide };
  }
}

async function importShortKeys(client, crypto, prefix) {
  for (const [curve, algorithm, opensslCurve] of SHORT) {
    for (const place of ["x", "y"]) {
      const { publicKey, wide } = shortKey(opensslCurve, place);
      const key = { kty: "EC", crv: curve, keyOps: ["sign", "verify"], ...wide };
      const imported = await client.importKey(`${prefix}-short-${curve}-${place}`, key);
      assert.deepEqual(Buffer.from(imported.key.x), wide.x);
      assert.deepEqual(Buffer.from(imported.key.y), wide.y);
      const message = randomBytes(40);
      const digest = createHash("sha256").update(message).digest();
      verifies(publicKey, message, (await crypto(imported.id).sign(algorithm, digest)).result);
    }
  }
}

async function manySignatures(client, crypto, prefix) {
  for (const [curve, algorithm, , jwkCurve] of SHORT) {
    const { id, key } = await client.createEcKey(`${prefix}-many-${curve}`, { curve });
    const [x, y] = [key.x, key.y].map((bytes) => Buffer.from(bytes).toString("base64url"));
    const publicKey = createPublicKey({ key: { kty: "EC", crv: jwkCurve, x, y }, format: "jwk" });
    const signer = crypto(id);
    const seen = new Set();
    for (let number = 0; number < 1_200; number += 1) {
      const message = Buffer.from(`message ${number}`);
      const digest = createHash("sha256").update(message).digest();
      const { result } = await signer.sign(algorithm, digest);
      verifies(publicKey, message, result);
      seen.add(Buffer.from(result).toString("hex"));
    }
    assert.equal(seen.size, 1_200);
  }
}

async function lifeOfAKey(client, crypto, prefix) {
  for (let number = 0; number < 30; number += 1) await client.createEcKey(`${prefix}-page-${number}`);
  const listed = (await all(client.listPropertiesOfKeys())).filter((key) => key.name.startsWith(`${prefix}-page-`));
  assert.equal(listed.length, 30);
  const name = `${prefix}-page-0`;
  const rotated = await client.rotateKey(name);
  assert.equal((await all(client.listPropertiesOfKeyVersions(name))).length, 2);
  const disabled = await client.updateKeyProperties(name, rotated.properties.version, { enabled: false });
  assert.equal(disabled.properties.enabled, false);
  assert.equal((await client.getKey(name)).properties.enabled, false);
  await refused(403, () => crypto(rotated.id).sign("ES256", randomBytes(32)));
  await client.updateKeyProperties(name, { enabled: true });
  await crypto(rotated.id).sign("ES256", randomBytes(32));
  const policy = await client.updateKeyRotationPolicy(name, {
    expiresIn: "P2Y",
    lifetimeActions: [{ action: "Rotate", timeAfterCreate: "P90D" }],
  });
  // A vault adds a notice of its own. The client knows an HSM's `rotate` for what it is.
  const actions = policy.lifetimeActions.map(({ action }) => action);
  assert.deepEqual(actions, isHsm ? ["Rotate"] : ["Rotate", "Notify"]);
  const backup = await client.backupKey(name);
  const deleted = await (await client.beginDeleteKey(name, QUICK)).pollUntilDone();
  assert.ok(deleted.properties.recoveryId);
  assert.ok((await all(client.listDeletedKeys())).some((key) => key.name === name));
  await refused(404, () => client.getKey(name));
  await (await client.beginRecoverDeletedKey(name, QUICK)).pollUntilDone();
  await (await client.beginDeleteKey(name, QUICK)).pollUntilDone();
  await client.purgeDeletedKey(name);
  for (;;) {
    try {
      await client.restoreKeyBackup(backup);
      break;
    } catch (error) {
      assert.equal(error.statusCode, 409, error);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  assert.equal((await all(client.listPropertiesOfKeyVersions(name))).length, 2);
  await refused(404, () => client.getKey("nobody"));
}

if (checkedUrl) {
  // The check is on: a host outside of the service's domain gets no token.
  const elsewhere = new KeyClient(ready.url, staticToken, options);
  await assert.rejects(() => elsewhere.getKey("nobody"), /challenge resource/);
}
const secret = new ClientSecretCredential(TENANT, "app", "secret", {
  authorityHost: ready.url,
  disableInstanceDiscovery: true,
});
for (const [name, credential] of [["token", staticToken], ["secret", secret]]) {
  const client = new KeyClient(checkedUrl ?? ready.url, credential, options);
  const crypto = (key) => new CryptographyClient(key, credential, options);
  await signAndVerify(client, crypto, `js-${name}`);
  await importShortKeys(client, crypto, `js-${name}`);
  await lifeOfAKey(client, crypto, `js-${name}`);
  if (name === "token") await manySignatures(client, crypto, `js-${name}`);
  console.log("JavaScript", profile, name, checkedUrl ? "checked" : "unchecked", "ok");
}
