-- Roles of the rollbackd ledger. Run by an administrator, in the database that shall hold the
-- ledger: `rollbackctl db init` does it, before the migrations. By hand:
--
--     psql -d DATABASE -v ON_ERROR_STOP=1 -f roles.sql
--
-- It can be run again at any time: it changes nothing that is already right, nor how many
-- connections the site has given a role meanwhile. It sets no password and no pg_hba.conf line: how
-- these roles may log in is the site's own decision.
--
--   rollbackd_owner     owns the schema; migrations run as it; nobody logs in as it
--   rollbackd           the daemon: executes the daemon's functions, reads the views, no table
--   rollbackd_deployer  group for CI: register, deploy, deploy_done, active, version_for
--   rollbackd_operator  group for people on duty: every verb for people, and the views
--   rollbackd_reader    group for applications and dashboards: the views, active, version_for
--   rollbackd_follow    what `rollbackctl follow` logs in as: a member of rollbackd_reader

DO $$
BEGIN
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rollbackd_owner') THEN
                CREATE ROLE rollbackd_owner;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rollbackd') THEN
                CREATE ROLE rollbackd CONNECTION LIMIT 16;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rollbackd_deployer') THEN
                CREATE ROLE rollbackd_deployer;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rollbackd_operator') THEN
                CREATE ROLE rollbackd_operator;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rollbackd_reader') THEN
                CREATE ROLE rollbackd_reader;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rollbackd_follow') THEN
                CREATE ROLE rollbackd_follow IN ROLE rollbackd_reader CONNECTION LIMIT 64;
        END IF;
        IF NOT pg_catalog.pg_has_role('rollbackd_follow', 'rollbackd_reader', 'USAGE') THEN
                GRANT rollbackd_reader TO rollbackd_follow;
        END IF;
END
$$;

ALTER ROLE rollbackd_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
-- NOINHERIT: the site grants the daemon the roles that policies name; their rights are used only
-- by an explicit SET LOCAL ROLE, never by the way.
ALTER ROLE rollbackd LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE rollbackd_deployer NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE rollbackd_operator NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE rollbackd_reader NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE rollbackd_follow LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
        NOBYPASSRLS;

-- CREATE is needed for CREATE SCHEMA IF NOT EXISTS, even when the schema is there.
DO $$
BEGIN
        EXECUTE pg_catalog.format('GRANT CREATE, CONNECT ON DATABASE %I TO rollbackd_owner',
                pg_catalog.current_database());
        EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO rollbackd, rollbackd_deployer, '
                'rollbackd_operator, rollbackd_reader', pg_catalog.current_database());
END
$$;

CREATE SCHEMA IF NOT EXISTS rollbackd AUTHORIZATION rollbackd_owner;
