"""Inside the container: receives webhooks on port 8081, one JSON line to the standard output for each."""
import json
import time

from application import Receiver

PORT = 8081


def main():
    receiver, told = Receiver(PORT), 0
    while True:
        for notice in receiver.notices[told:]:
            print(json.dumps({"id": notice.id, "type": notice.type, "data": notice.data}), flush=True)
            told += 1
        time.sleep(0.05)


main()
