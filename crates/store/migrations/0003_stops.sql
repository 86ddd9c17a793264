-- What an operator has stopped: a client, a customer or a contract whose requests are refused until the row is removed.

CREATE TABLE stopped (
    tenant     TEXT NOT NULL,
    -- `client`, `customer` or `contract`.
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    reason     TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, name)
);
