"""The official Python client, unmodified, against a running vault-sim. `acceptance` starts both; README.md says how.

acceptance.py READY_FILE PROFILE [URL]

Goes through every operation that the client has for elliptic-curve keys, with a token of its own and with the official
client-secret credential on the simulator's token endpoint. With a URL the client checks the challenge against it.
"""

import hashlib
import json
import os
import sys
import time

from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import (
    JsonWebKey,
    KeyClient,
    KeyCurveName,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
)
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

TENANT = "00000000-0000-0000-0000-000000000001"
CURVES = [
    (KeyCurveName.p_256, SignatureAlgorithm.es256, 32, 64),
    (KeyCurveName.p_256_k, SignatureAlgorithm.es256_k, 32, 64),
    (KeyCurveName.p_384, SignatureAlgorithm.es384, 48, 96),
    (KeyCurveName.p_521, SignatureAlgorithm.es512, 64, 132),
]
SHORT = [
    (KeyCurveName.p_256, ec.SECP256R1(), SignatureAlgorithm.es256),
    (KeyCurveName.p_256_k, ec.SECP256K1(), SignatureAlgorithm.es256_k),
]


class StaticToken:
    def get_token(self, *_scopes, **_options):
        return AccessToken("any", int(time.time()) + 3600)

    def get_token_info(self, *_scopes, **_options):
        return AccessTokenInfo("any", int(time.time()) + 3600)


def verifies(public, digest, signature):
    """Raises where it does not: by a library that knows nothing of the vault."""
    assert len(signature) == 64
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    public.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def sign_and_verify(client, crypto, prefix, profile):
    for curve, algorithm, digest_length, width in CURVES:
        for hsm in (False, True):
            key = client.create_ec_key(f"{prefix}-{curve.value}-{int(hsm)}", curve=curve, hardware_protected=hsm)
            assert key.key_type == ("EC-HSM" if hsm or profile == "managed-hsm" else "EC")
            digest = os.urandom(digest_length)
            signature = crypto(key).sign(algorithm, digest).signature
            assert len(signature) == width
            # With the key at hand the client verifies by itself, with its id it asks the vault.
            assert crypto(key).verify(algorithm, digest, signature).is_valid
            assert crypto(key.id).verify(algorithm, digest, signature).is_valid
            assert not crypto(key.id).verify(algorithm, os.urandom(digest_length), signature).is_valid


def import_short_keys(client, crypto, prefix):
    """Keys whose x or y begins with a zero byte."""
    for curve, group, algorithm in SHORT:
        for place in ("x", "y"):
            while True:
                private = ec.generate_private_key(group)
                numbers = private.private_numbers()
                wide = {
                    "d": numbers.private_value.to_bytes(32, "big"),
                    "x": numbers.public_numbers.x.to_bytes(32, "big"),
                    "y": numbers.public_numbers.y.to_bytes(32, "big"),
                }
                if wide[place][0] == 0:
                    break
            key = JsonWebKey(kty="EC", crv=curve, key_ops=["sign", "verify"], **wide)
            imported = client.import_key(f"{prefix}-short-{curve.value}-{place}", key)
            assert (imported.key.x, imported.key.y) == (wide["x"], wide["y"])
            digest = os.urandom(32)
            signature = crypto(imported.id).sign(algorithm, digest).signature
            verifies(private.public_key(), digest, signature)


def many_signatures(client, crypto, prefix):
    for curve, group, algorithm in SHORT:
        key = client.create_ec_key(f"{prefix}-many-{curve.value}", curve=curve)
        point = ec.EllipticCurvePublicNumbers(
            int.from_bytes(key.key.x, "big"), int.from_bytes(key.key.y, "big"), group
        ).public_key()
        signer = crypto(key.id)
        seen = set()
        for number in range(1200):
            digest = hashlib.sha256(number.to_bytes(2, "big")).digest()
            signature = signer.sign(algorithm, digest).signature
            verifies(point, digest, signature)
            seen.add(signature)
        assert len(seen) == 1200


def refused(status, call):
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code == status, error
        return error
    raise AssertionError("it was not refused")


def life_of_a_key(client, crypto, prefix, profile):
    for number in range(30):
        client.create_ec_key(f"{prefix}-page-{number}")
    listed = [key.name for key in client.list_properties_of_keys() if key.name.startswith(f"{prefix}-page")]
    assert len(listed) == 30
    name = f"{prefix}-page-0"
    rotated = client.rotate_key(name)
    assert len(list(client.list_properties_of_key_versions(name))) == 2
    client.update_key_properties(name, version=rotated.properties.version, enabled=False)
    disabled = refused(403, lambda: crypto(rotated.id).sign(SignatureAlgorithm.es256, os.urandom(32)))
    assert disabled.error.innererror["code"] == "KeyDisabled"
    rotate = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P90D")
    policy = client.update_key_rotation_policy(name, KeyRotationPolicy(lifetime_actions=[rotate], expires_in="P2Y"))
    # A vault adds a notice of its own.
    assert len(policy.lifetime_actions) == (1 if profile == "managed-hsm" else 2)
    backup = client.backup_key(name)
    client.begin_delete_key(name).wait()
    assert client.get_deleted_key(name).recovery_id
    assert name in [key.name for key in client.list_deleted_keys()]
    client.begin_recover_deleted_key(name).wait()
    client.begin_delete_key(name).wait()
    client.purge_deleted_key(name)
    while True:
        try:
            client.restore_key_backup(backup)
            break
        except HttpResponseError as error:
            assert error.status_code == 409, error
            time.sleep(0.2)
    assert len(list(client.list_properties_of_key_versions(name))) == 2
    try:
        client.get_key("nobody")
        raise AssertionError("found nobody")
    except ResourceNotFoundError as error:
        assert error.error.code == "KeyNotFound"
        assert ("Activity ID" in error.message) == (profile == "managed-hsm")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        ready = json.load(file)
    profile, url = sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    options = {"connection_verify": ready["ca_file"], "verify_challenge_resource": url is not None}
    if url:
        # The check is on: a host outside of the service's domain gets no token.
        try:
            KeyClient(ready["url"], StaticToken(), **options).get_key("nobody")
            raise AssertionError("the challenge was not checked")
        except ValueError as error:
            assert "challenge resource" in str(error), error
    secret = ClientSecretCredential(
        TENANT,
        "app",
        "secret",
        authority=ready["url"],
        disable_instance_discovery=True,
        connection_verify=ready["ca_file"],
    )
    for name, credential in (("token", StaticToken()), ("secret", secret)):
        client = KeyClient(url or ready["url"], credential, **options)
        crypto = lambda key, credential=credential: CryptographyClient(key, credential, **options)
        sign_and_verify(client, crypto, f"py-{name}", profile)
        import_short_keys(client, crypto, f"py-{name}")
        life_of_a_key(client, crypto, f"py-{name}", profile)
        if name == "token":
            many_signatures(client, crypto, f"py-{name}")
        print("Python", profile, name, "checked" if url else "unchecked", "ok")


main()
