"""A program that serves the OpenAI API on loopback, as well or badly as it is told to.

`python fake_engine.py PORT [HOW …]`: `bad-health` answers every question with words, `sick` with
503, `garbage` not even in HTTP; `deaf` listens nowhere; `dies` and `taken` end at once with a
complaint, `taken` only the first time; `slow` becomes healthy when the file GO in its working
directory is there. Asked for the model `crash` it ends in the middle of an answer; asked for `wait`
it writes half of one and goes on when the file GO is there.
"""

import http.server
import json
import os
import socket
import sys
import time
from pathlib import Path

GO = Path("GO")
WORDS = ("Steam ", "is up.")


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if "sick" in sys.argv or ("slow" in sys.argv and not GO.exists()):
            self.say(503, b'{"error": "loading"}')
        elif "bad-health" in sys.argv:
            self.say(200, b"All is well")
        else:
            self.say(200, b'{"object": "list", "data": [{"id": "m"}]}')

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = said["messages"][-1]["content"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.tell({"content": WORDS[0]})
        if asked == "crash":
            os.kill(os.getpid(), 9)
        while asked == "wait" and not GO.exists():
            time.sleep(0.01)
        self.tell({"content": WORDS[1]}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def tell(self, delta: dict[str, str], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.wfile.write(f"data: {json.dumps({'model': 'm', 'choices': [choice]})}\n\n".encode())
        self.wfile.flush()

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def babble(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as line:
        while True:
            heard, _ = line.accept()
            heard.sendall(b"\x00\xff burble\n")
            heard.close()


def serve(port: int) -> None:
    if "taken" in sys.argv and not Path("TRIED").exists():
        Path("TRIED").touch()
        if os.fork() == 0:  # another program is there before us
            os.closerange(0, 3)
            babble(port)
        time.sleep(0.1)
        sys.exit("OSError: address already in use")
    if "dies" in sys.argv:
        sys.exit("fatal: the model file is cut short, with key sk-notarealkey12345678")
    if "deaf" in sys.argv:
        time.sleep(60)
    if "garbage" in sys.argv:
        babble(port)
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
