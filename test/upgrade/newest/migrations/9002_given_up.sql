-- For the upgrade tests alone: the schema after the next one, which has given up what the daemon before the next one knows.
DO $$
BEGIN
        EXECUTE (SELECT format('CREATE OR REPLACE VIEW rollbackd.schema AS SELECT %s AS version, %s AS oldest_daemon',
                               version + 1, version) FROM rollbackd.schema);
END
$$;
