-- Everything that an issuance needs. One text for both databases: only TEXT and BIGINT columns, `@identity` is the
-- engine's auto-increment, `@by_key` keeps small rows in the tree of their key where the engine can (SQLite). Times are milliseconds since 1970. Migrations are append-only.

CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Keys that protect hints, states and PIN hashes, and the one that signs our own access tokens; sealed.
CREATE TABLE local_secret (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    sealed     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE authority (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    did        TEXT NOT NULL,
    origin     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, did)
);

-- The software back end's keys; sealed. One slot, one key.
CREATE TABLE software_key (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    public     TEXT NOT NULL,
    sealed     TEXT NOT NULL,
    disabled   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE signing_key (
    tenant         TEXT NOT NULL,
    authority      TEXT NOT NULL,
    id             TEXT NOT NULL,
    backend        TEXT NOT NULL,
    key_name       TEXT NOT NULL,
    key_version    TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    public         TEXT NOT NULL,
    state          TEXT NOT NULL,
    prepared_at    BIGINT NOT NULL,
    published_at   BIGINT,
    activated_at   BIGINT,
    retired_at     BIGINT,
    removed_at     BIGINT,
    -- No credential that this key signed is valid after this time; raised in whole days before it signs.
    reserved_until BIGINT NOT NULL,
    PRIMARY KEY (tenant, authority, id),
    UNIQUE (tenant, backend, key_name, key_version)
);

CREATE TABLE contract (
    tenant          TEXT NOT NULL,
    id              TEXT NOT NULL,
    authority       TEXT NOT NULL,
    name            TEXT NOT NULL,
    status          TEXT NOT NULL,
    current_version BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
);

-- Immutable: a change is a new version.
CREATE TABLE contract_version (
    tenant     TEXT NOT NULL,
    contract   TEXT NOT NULL,
    version    BIGINT NOT NULL,
    document   TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, contract, version)
);

-- What wallets fetch: signed once per version, locale and key, never by a GET.
CREATE TABLE signed_contract (
    tenant    TEXT NOT NULL,
    contract  TEXT NOT NULL,
    version   BIGINT NOT NULL,
    locale    TEXT NOT NULL,
    key_id    TEXT NOT NULL,
    token     TEXT NOT NULL,
    signed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, contract, version, locale, key_id)
);

CREATE TABLE domain_linkage (
    tenant    TEXT NOT NULL,
    authority TEXT NOT NULL,
    origin    TEXT NOT NULL,
    key_id    TEXT NOT NULL,
    token     TEXT NOT NULL,
    signed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, authority, origin, key_id)
);

CREATE TABLE request (
    tenant           TEXT NOT NULL,
    id               TEXT NOT NULL,
    transaction_id   TEXT NOT NULL,
    authority        TEXT NOT NULL,
    contract         TEXT NOT NULL,
    contract_version BIGINT NOT NULL,
    client           TEXT NOT NULL,
    customer         TEXT,
    protocol         TEXT NOT NULL,
    state            TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    issued_at        BIGINT,
    ended_at         BIGINT,
    -- Keyed hash of what the wallet has to send.
    pin_hash         TEXT,
    pin_failures     BIGINT NOT NULL,
    wallet_failures  BIGINT NOT NULL,
    -- Thumbprint of the holder key that the first valid proof bound.
    holder           TEXT,
    next_callback    BIGINT NOT NULL,
    -- 1 while an expired request keeps its callback, because its wallet may still report.
    keeps_callback   BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX request_due ON request (expires_at) WHERE state IN ('created', 'retrieved', 'issued');
CREATE INDEX request_callback_due ON request (ended_at) WHERE keeps_callback = 1;

-- The large texts of a request, apart from it because its row changes at every step: `payload`, `callback` and
-- `credential` are sealed, `object` is the signed request object. Erased when the request ends.
CREATE TABLE request_part (
    tenant  TEXT NOT NULL,
    request TEXT NOT NULL,
    part    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (tenant, request, part)
);

-- What is about to be signed. Committed before the back end is asked: no intent, no signature.
CREATE TABLE intent (
    tenant         TEXT NOT NULL,
    id             TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    -- What the signature is for, e.g. `credential/<request>/0`; at most one intent that is not void per subject.
    subject        TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    request        TEXT,
    ordinal        BIGINT NOT NULL,
    state          TEXT NOT NULL,
    authority      TEXT NOT NULL,
    key_id         TEXT NOT NULL,
    backend        TEXT NOT NULL,
    key_name       TEXT NOT NULL,
    key_version    TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    digest         TEXT NOT NULL,
    -- Sealed signing input with what its outcome has to record; erased with the outcome.
    input          TEXT,
    status_list    TEXT,
    status_index   BIGINT,
    attempt        BIGINT NOT NULL,
    deadline       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX intent_subject ON intent (tenant, subject) WHERE state <> 'void';
CREATE INDEX intent_open ON intent (deadline) WHERE state = 'open';

CREATE TABLE attempt (
    tenant              TEXT NOT NULL,
    intent              TEXT NOT NULL,
    n                   BIGINT NOT NULL,
    state               TEXT NOT NULL,
    started_at          BIGINT NOT NULL,
    deadline            BIGINT NOT NULL,
    finished_at         BIGINT,
    outcome             TEXT,
    provider_request_id TEXT,
    latency_us          BIGINT,
    PRIMARY KEY (tenant, intent, n)
) @by_key;
CREATE INDEX attempt_open ON attempt (deadline) WHERE state = 'open';

-- One request, one credential; several per transaction are told apart by ordinal.
CREATE TABLE issuance (
    tenant           TEXT NOT NULL,
    transaction_id   TEXT NOT NULL,
    ordinal          BIGINT NOT NULL,
    request          TEXT NOT NULL,
    credential_id    TEXT NOT NULL,
    authority        TEXT NOT NULL,
    contract         TEXT NOT NULL,
    contract_version BIGINT NOT NULL,
    format           TEXT NOT NULL,
    key_id           TEXT NOT NULL,
    holder           TEXT NOT NULL,
    index_hash       TEXT,
    index_hash_lower TEXT,
    status_list      TEXT NOT NULL,
    status_index     BIGINT NOT NULL,
    issued_at        BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    PRIMARY KEY (tenant, transaction_id, ordinal),
    UNIQUE (tenant, credential_id),
    -- Leases keep places apart; this is the proof of it.
    UNIQUE (tenant, status_list, status_index)
) @by_key;
CREATE INDEX issuance_index ON issuance (tenant, contract, index_hash) WHERE index_hash IS NOT NULL;

CREATE TABLE proof_jti (
    tenant     TEXT NOT NULL,
    jti        TEXT NOT NULL,
    request    TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, jti)
) @by_key;
CREATE INDEX proof_jti_due ON proof_jti (expires_at);

CREATE TABLE status_list (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    authority  TEXT NOT NULL,
    size       BIGINT NOT NULL,
    next_index BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE outbox (
    tenant          TEXT NOT NULL,
    request         TEXT NOT NULL,
    -- Counter of the request row: callbacks of one request leave in this order.
    seq             BIGINT NOT NULL,
    transaction_id  TEXT NOT NULL,
    status          TEXT NOT NULL,
    state           TEXT NOT NULL,
    -- Sealed; erased when the row is final.
    payload         TEXT,
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    claimed_until   BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    finished_at     BIGINT,
    last_error      TEXT,
    PRIMARY KEY (tenant, request, seq)
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE state = 'pending';

-- The ledger: append-only.
CREATE TABLE event (
    seq            @identity,
    tenant         TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    kind           TEXT NOT NULL,
    at             BIGINT NOT NULL,
    schema         BIGINT NOT NULL,
    body           TEXT NOT NULL
);
CREATE INDEX event_transaction ON event (tenant, transaction_id);
