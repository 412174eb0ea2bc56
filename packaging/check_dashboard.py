"""Try the dashboard with a real Prometheus: every panel's expressions give figures of a server under a little load.

    python3 packaging/check_dashboard.py [--seconds 25]

Needs `prometheus` (Debian: apt-get install --no-install-recommends prometheus) and the built program. Starts a server with a
model that transcribes nothing and the voice, and Prometheus with packaging/prometheus.yml pointed at it, both on free loopback
ports; sends requests, good and bad; then asks Prometheus for each expression of grafana-dashboard.json, its variables put in.
Ends with 1 if the scrape failed, or if an expression is refused or gives nothing.
"""
import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))
from common import WORK, mynah
from serving import Server, form, program, silent_whisper, wav

SCRAPE_S = 1
VARIABLES = {"$__rate_interval": "15s", "$instance": ".*"}


def free_port():
    with socket.socket() as stream:
        stream.bind(("127.0.0.1", 0))
        return stream.getsockname()[1]


def ask(address, path, **parameters):
    with urllib.request.urlopen(f"http://{address}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
        return json.load(answer)["data"]


def load(server, seconds):
    """Requests of every task, some of them bad, and one whose client leaves."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        for method, path, (body, kind) in [
            ("POST", "/v1/audio/transcriptions", form([("model", "silent")], wav(1))),
            ("POST", "/v1/audio/transcriptions", form([("model", "nothing")], wav(1))),
            ("POST", "/v1/audio/speech", (json.dumps({"model": "tts-1", "input": f"Number {number}."}), "application/json")),
            ("GET", "/v1/models", (None, "")),
        ]:
            connection = server.connect(60)
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            connection.getresponse().read()
            connection.close()
        body, kind = form([("model", "silent")], wav(5))
        with socket.create_connection(server.address.split(":"), 10) as stream:
            stream.sendall(f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:1000])
        time.sleep(0.3)


def check(address, dashboard):
    wrong, expressions = [], 0
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression, expressions = target["expr"], expressions + 1
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            if "$" in expression:
                wrong.append(f"{panel['title']}: an unknown variable in {expression}")
                continue
            try:
                result = ask(address, "/api/v1/query", query=expression)["result"]
            except urllib.error.HTTPError as error:
                wrong.append(f"{panel['title']}: {expression}: {error.read().decode()}")
                continue
            figures = [float(series["value"][1]) for series in result]
            labels = sorted({name for series in result for name in series["metric"]} - {"__name__", "job", "instance"})
            print(f"{panel['title']:34} {len(figures)} series by {','.join(labels) or '-'}: {', '.join(f'{figure:.4g}' for figure in figures[:6])}")
            # A quantile of nothing is not a number.
            if not any(figure == figure for figure in figures):
                wrong.append(f"{panel['title']}: {expression} gives nothing")
            missing = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - set(labels) - {"instance"}
            if figures and missing:
                wrong.append(f"{panel['title']}: the legend names {missing}, which {expression} has not")
    print(f"{expressions} expressions")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=25, help="of load before the figures are looked at")
    arguments = parser.parse_args()
    mynah("hibari")
    dashboard = json.loads((HERE / "grafana-dashboard.json").read_text())
    address = f"127.0.0.1:{free_port()}"
    options = ["--model-path", f"silent={silent_whisper()}", "--log-level", "warn"]
    with Server(program(), "dashboard", *options, home=os.environ.get("MYNAH_HOME", WORK / "home")) as server, tempfile.TemporaryDirectory() as data:
        written = (HERE / "prometheus.yml").read_text()
        assert "127.0.0.1:9997" in written and "scrape_interval: 15s" in written
        config = pathlib.Path(data) / "prometheus.yml"
        config.write_text(written.replace("127.0.0.1:9997", server.address).replace("scrape_interval: 15s", f"scrape_interval: {SCRAPE_S}s"))
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}/tsdb", f"--web.listen-address={address}", "--log.level=error"]
        prometheus = subprocess.Popen(command)
        try:
            load(server, arguments.seconds)
            targets = ask(address, "/api/v1/targets")["activeTargets"]
            wrong = [f"the scrape failed: {target['lastError']}" for target in targets if target["health"] != "up"]
            if not targets:
                wrong.append("Prometheus has no target")
            wrong += check(address, dashboard)
            version = ask(address, "/api/v1/status/buildinfo")["version"]
        finally:
            prometheus.terminate()
            prometheus.wait()
    print(f"Prometheus {version}: " + ("every expression gives figures" if not wrong else "wrong:\n" + "\n".join(wrong)))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
