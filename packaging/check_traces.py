"""Try the export of traces with a stand-in collector: a program built with the feature `otel` sends spans of its requests.

    python3 packaging/check_traces.py

Builds the program with the feature into target/otel unless MYNAH_PROGRAM names one. Ends with 1 if no span of a route came, if a
span came without being asked for, or if the server fails while the collector is away.
"""
import http.server
import os
import pathlib
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))
from common import ROOT, run
from serving import Server

ROUTE = "/v1/models"


class Collector(http.server.BaseHTTPRequestHandler):
    posts = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posts.append((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def program():
    given = os.environ.get("MYNAH_PROGRAM")
    if given:
        return given
    run(["cargo", "build", "--release", "--quiet", "--bin", "mynah", "--features", "otel", "--target-dir", ROOT / "target" / "otel"], cwd=ROOT)
    return ROOT / "target" / "otel" / "release" / "mynah"


def serve(built, endpoint):
    """Serves three requests and ends; what was sent to the collector."""
    Collector.posts.clear()
    os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
    if endpoint:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    with Server(built, "traces") as server:
        for _ in range(3):
            connection = server.connect(10)
            connection.request("GET", ROUTE, headers={"x-request-id": "seen-by-the-collector"})
            assert connection.getresponse().read(), "an answer without a body"
            connection.close()
        process = server.process
    assert process.returncode == 0, f"it ended with {process.returncode}: see {server.log}"
    return list(Collector.posts)


def main():
    built = program()
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{collector.server_port}"
    wrong = []
    posts = serve(built, address)
    spans = b"".join(body for _, _, body in posts)
    print(f"asked for: {len(posts)} POSTs, {sum(len(body) for _, _, body in posts)} bytes, to {sorted({path for path, _, _ in posts})} as {sorted({kind for _, kind, _ in posts})}")
    if {(path, kind) for path, kind, _ in posts} != {("/v1/traces", "application/x-protobuf")}:
        wrong.append("the spans did not come as OTLP")
    for part in (b"mynah", b"request", ROUTE.encode(), b"seen-by-the-collector", b"status"):
        if part not in spans:
            wrong.append(f"no span has {part}")
    if spans.count(b"seen-by-the-collector") != 3:
        wrong.append(f"{spans.count(b'seen-by-the-collector')} spans of 3 requests")
    posts = serve(built, None)
    print(f"not asked for: {len(posts)} POSTs")
    if posts:
        wrong.append("spans came without being asked for")
    collector.shutdown()
    collector.server_close()
    serve(built, address)
    print("without a collector: the server answered and ended as ever")
    print("\n".join(wrong) if wrong else "traces arrive")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
