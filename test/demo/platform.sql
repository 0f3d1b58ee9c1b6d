-- The site's own tables: what the platform works with, and what a rollback sets right again. Run by
-- the database's administrator after `rollbackctl db migrate`.

CREATE TABLE users (
        id              int8 PRIMARY KEY,
        name            text NOT NULL,
        version         text NOT NULL           -- of the release that wrote it in its form
);

CREATE TABLE cache (
        key             text PRIMARY KEY,
        value           jsonb NOT NULL,
        writer          text NOT NULL,          -- the version that put it there
        written_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX cache_prefix ON cache (key text_pattern_ops);

CREATE TABLE session (
        id              int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        user_id         int8 NOT NULL,
        version         text NOT NULL,
        created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Where a rollback would go: SELECT version FROM users_version WHERE is_stable = 1 ORDER BY id DESC
-- LIMIT 1.
CREATE VIEW users_version AS
SELECT epoch AS id, version, (stable AND refusal IS NULL)::int AS is_stable
  FROM rollbackd.candidate WHERE service = 'users-api';

-- The platform follows the pointer and does its work. It can lose its last writes in a crash, so
-- it need not wait for the disk.
CREATE ROLE users_app LOGIN IN ROLE rollbackd_reader;
ALTER ROLE users_app SET synchronous_commit = off;
GRANT SELECT ON users TO users_app;
GRANT SELECT, INSERT, UPDATE ON cache TO users_app;
GRANT SELECT, INSERT ON session TO users_app;

-- The pipeline that deploys, and migrates the users' rows when it does.
CREATE ROLE users_pipeline LOGIN IN ROLE rollbackd_deployer;
GRANT SELECT, UPDATE ON users TO users_pipeline;

-- What a rollback may touch, and nothing else. The daemon itself may touch none of it.
CREATE ROLE users_rollback NOLOGIN;
GRANT users_rollback TO rollbackd;
GRANT SELECT, UPDATE (version) ON users TO users_rollback;
GRANT SELECT, DELETE ON cache, session TO users_rollback;
