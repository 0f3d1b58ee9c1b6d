"""A TCP proxy in front of PostgreSQL that reads the protocol.

It sees each request of the client (everything up to a Sync or simple query) with its SQL, and each
answer. A hook decides what becomes of a request: pass it on, hold it for ever, pass it on and
swallow the answer, or pass it on and gather all that the server sends from then on, until release().
The connections can be cut and stalled.
"""
import selectors
import socket
import struct
import threading

PASS, HOLD, SWALLOW, GATHER = "pass", "hold", "swallow", "gather"


class Side:
    """The bytes of one direction that are not a whole message yet."""

    def __init__(self, untyped):
        self.data = b""
        self.untyped = untyped  # the first message has no type byte

    def messages(self, data):
        self.data += data
        found = []
        while True:
            head = 0 if self.untyped else 1
            if len(self.data) < head + 4:
                return found
            size = head + struct.unpack_from(">I", self.data, head)[0]
            if len(self.data) < size:
                return found
            found.append((self.data[:head].decode("latin-1"), self.data[:size]))
            self.data = self.data[size:]
            self.untyped = False


def text_at(message, start):
    end = message.index(b"\0", start)
    return message[start:end].decode(), end + 1


class Connection:
    """One client with its server."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(proxy.server)
        self.from_client = Side(untyped=True)
        self.request = b""
        self.sql = []
        self.prepared = {}
        self.held = self.swallowing = False
        self.gathered = None

    def run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.client, selectors.EVENT_READ, self.take_request)
            selector.register(self.server, selectors.EVENT_READ, self.take_answer)
            try:
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        self.proxy.flowing.wait()
                        key.data(data)
            except OSError:
                return
            finally:
                self.close()

    def take_request(self, data):
        if self.held:
            return
        for kind, message in self.from_client.messages(data):
            if kind == "":
                self.server.sendall(message)
                continue
            self.request += message
            if kind == "Q":
                self.sql.append(text_at(message, 5)[0])
            elif kind == "P":
                name, start = text_at(message, 5)
                self.prepared[name] = text_at(message, start)[0]
                if name:
                    self.sql.append("PREPARE " + self.prepared[name])
                else:
                    self.sql.append(self.prepared[""])
            elif kind == "B":
                name = text_at(message, text_at(message, 5)[1])[0]
                if name:
                    self.sql.append(self.prepared[name])
            if kind in "QSX":
                self.pass_on()
                if self.held:
                    return

    def pass_on(self):
        request, sql = self.request, "; ".join(self.sql)
        self.request, self.sql = b"", []
        verdict = self.proxy.judge(self, sql)
        if verdict == HOLD:
            self.held = True
            self.proxy.caught.set()
            return
        self.swallowing = verdict == SWALLOW
        if verdict == GATHER:
            self.gathered = b""
        self.server.sendall(request)

    def take_answer(self, data):
        if self.swallowing:
            # The last message of an answer is ReadyForQuery: 'Z', length 5, a state.
            if data[-6:-1] == b"Z\0\0\0\5":
                self.held = True
                self.proxy.caught.set()
            return
        if self.gathered is not None:
            self.gathered += data
            return
        self.client.sendall(data)

    def release(self):
        """Sends what was gathered, in one piece."""
        gathered, self.gathered = self.gathered, None
        self.client.sendall(gathered)

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Proxy:
    def __init__(self, server):
        self.server = server
        self.lock = threading.Lock()
        self.connections = []
        self.hook = None        # (connection, sql) -> one of the verdicts
        self.seen = []          # the SQL of every request since the last clear
        self.caught = threading.Event()
        self.flowing = threading.Event()
        self.flowing.set()
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                connection = Connection(self, client)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def judge(self, connection, sql):
        with self.lock:
            self.seen.append(sql)
            hook = self.hook
            return hook(connection, sql) if hook else PASS

    def drop(self):
        """Ends every connection."""
        with self.lock:
            connections, self.connections = self.connections, []
        for connection in connections:
            connection.close()

    def cut(self):
        """Ends every connection and refuses new ones, until open()."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()

    def stall(self):
        """Nothing flows any more, and nobody is told, until flow()."""
        self.flowing.clear()

    def flow(self):
        self.flowing.set()

    def catch(self, matches, verdict=HOLD):
        """Does something to the first request that matches, once; `caught` says when."""
        self.caught.clear()
        done = []

        def hook(_, sql):
            if done or not matches(sql):
                return PASS
            done.append(sql)
            return verdict
        self.hook = hook

    def stop(self):
        self.hook = None
        self.flow()
        self.cut()
