"""Inside the container: one instance of the service on port 8080, which follows the pointer. Version and share of what fails come from
/srv/site/failing, a JSON object that the test writes."""
import json
import pathlib
import sys
import time

import psycopg
from application import Application

SERVICE, PORT = "users-api", 8080


class Followed:
    """The version last read from the ledger: a database that is away changes nothing."""

    def __init__(self):
        self.version = "unknown"
        self.connection = None

    def look(self):
        try:
            self.connection = self.connection or psycopg.connect("dbname=site", autocommit=True)
            found = self.connection.execute("SELECT rollbackd.active(%s)", (SERVICE,)).fetchone()
            self.version = found[0] or self.version
        except psycopg.Error as error:
            self.connection = None
            print(error, file=sys.stderr, flush=True)


def main():
    followed, failing = Followed(), pathlib.Path("/srv/site/failing")
    application = Application(lambda: followed.version)
    application.refuse()
    application.port = PORT
    application.listen()
    while True:
        followed.look()
        application.failing = json.loads(failing.read_text())
        time.sleep(0.05)


main()
