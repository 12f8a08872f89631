"""A server of the user's own, on loopback, speaking OpenAI's chat completions: well, badly, or only when it is told to."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer:
    """What it was asked, and what it is to answer: a function of the request, or bytes. A context manager."""

    def __init__(self):
        self.seen = []
        self.status = 200
        self.offered = [{"id": "llama"}, {"id": "qwen"}, {"no": 1}]
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.say = lambda asked: {
            "choices": [{"message": {"role": "assistant", "content": f" answer {asked['seed']} "}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": 3},
        }
        talker = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.reply({"data": talker.offered})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                talker.seen.append((self.path, self.headers.get("Authorization"), asked))
                talker.may_answer.wait(30)
                self.reply(talker.say(asked) if callable(talker.say) else talker.say)

            def reply(self, value):
                raw = value if isinstance(value, bytes) else json.dumps(value).encode()
                with contextlib.suppress(ConnectionError):  # whoever asked has gone
                    self.send_response(talker.status)
                    if talker.status == 302:
                        self.send_header("Location", "http://192.0.2.1/steal")
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
