"""Is the engine at this port ours, and ready? Asked by the process that keeps it."""

import http.client
import json
import socket

HOST = "127.0.0.1"
ASK_S = 2.0
MOST_BYTES = 1 << 20
LOADING = 503


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return taken.getsockname()[1]


def answers(port: int) -> bool:
    """Does anybody listen there?"""
    try:
        socket.create_connection((HOST, port), timeout=ASK_S).close()
    except OSError:
        return False
    return True


def look(port: int, path: str, token: str) -> str:
    """What is missing for it to be healthy; "" if nothing is. A status alone proves nothing: some
    programs say 200 and then nothing else."""
    line = http.client.HTTPConnection(HOST, port, timeout=ASK_S)
    try:
        line.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
        answer = line.getresponse()
        body = answer.read(MOST_BYTES)
    except http.client.HTTPException:
        return "it answers, but not in HTTP"
    except OSError:
        return "nothing answers"
    finally:
        line.close()
    if answer.status == LOADING:
        return "it is loading"
    if answer.status != http.client.OK:
        return f"it answers with status {answer.status}"
    try:
        return "" if isinstance(json.loads(body), dict) else "it answers with other than an object"
    except ValueError:
        return "it answers, but not with JSON"
