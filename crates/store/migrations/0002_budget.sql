-- The vault budget: what a limited back end has given out.

-- One row per meter (a vault's authority, a subscription): its state is written and read by the budget's rules alone.
-- The hot row of an installation whose keys are in a vault: every signature locks it.
CREATE TABLE meter (
    id    TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL
);

-- The HTTP status with which a back end answered an attempt, where it answered over HTTP.
ALTER TABLE attempt ADD COLUMN status BIGINT;

-- A transaction's id is unique by itself; the ledger's index is half as large without the tenant.
DROP INDEX event_transaction;
CREATE INDEX event_transaction ON event (transaction_id);
