"""A ledger as the first schema's migrations made it."""
import shutil

from ledger_support import SQL
from promises import watch_pointer
from world import USERS, run_ctl

LAST = 13   # its last migration


def administrator(world):
    return f"host={world.cluster.root} dbname={world.database} user=postgres"


def put_schema_one(world):
    """In the place of the world's own."""
    folder = world.root / "sql-1"
    (folder / "migrations").mkdir(parents=True)
    shutil.copy(SQL / "roles.sql", folder)
    for file in sorted((SQL / "migrations").glob("*.sql"))[:LAST]:
        shutil.copy(file, folder / "migrations")
    with world.cluster.connect() as connection:
        connection.execute(f"DROP DATABASE {world.database} WITH (FORCE)")
    done = run_ctl("db", "init", "--directory", folder, "--conninfo", administrator(world))
    assert done.returncode == 0, done.stderr
    with world.cluster.connect(world.database) as connection:
        connection.execute(USERS)
        watch_pointer(connection)
