-- For the upgrade tests alone: the package that they go to has this migration on top of all others. It does what migrations do: a
-- column, an index, a function replaced that daemons of both schemas call, and the next number of the schema.

-- When a step was first claimed: null for those that were claimed before.
ALTER TABLE rollbackd.step ADD COLUMN first_claimed_at timestamptz;
CREATE INDEX step_first_claimed ON rollbackd.step (first_claimed_at) WHERE first_claimed_at IS NOT NULL;

-- Made from the definition that is there, so that this file stays right when a later migration replaces the function.
DO $$
DECLARE
        before text := pg_get_functiondef('rollbackd.claim_steps(uuid, text, interval)'::regprocedure);
        after text := replace(before, 'SET attempt = s.attempt + 1,', 'SET attempt = s.attempt + 1, '
                'first_claimed_at = coalesce(s.first_claimed_at, moment),');
BEGIN
        IF after = before THEN
                RAISE EXCEPTION 'claim_steps() no longer says what this migration changes';
        END IF;
        EXECUTE after;
END
$$;

-- A daemon built for the schema before goes on.
DO $$
BEGIN
        EXECUTE (SELECT format('CREATE OR REPLACE VIEW rollbackd.schema AS SELECT %s AS version, %s AS oldest_daemon',
                               version + 1, version) FROM rollbackd.schema);
END
$$;
