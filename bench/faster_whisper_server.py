"""A server around faster-whisper's batched pipeline that takes the transcription requests of OpenAI's API (file, language)
and answers {"text": ...}. Prints one line when it is ready."""
import argparse
import email.parser
import email.policy
import io
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from faster_whisper import BatchedInferencePipeline, WhisperModel

args = argparse.ArgumentParser(description=__doc__)
args.add_argument("--model-path", required=True)
args.add_argument("--compute", default="int8")
args.add_argument("--threads", type=int, default=0)
args.add_argument("--beam-size", type=int, default=5)
args = args.parse_args()

pipeline = BatchedInferencePipeline(WhisperModel(args.model_path, compute_type=args.compute, cpu_threads=args.threads))


def fields(handler):
    """Parts of a multipart form by name."""
    body = handler.rfile.read(int(handler.headers["content-length"]))
    head = f"content-type: {handler.headers['content-type']}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in form.iter_parts()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        form = fields(self)
        language = form.get("language", b"").decode() or None
        # The segments are made while they are read.
        segments, _ = pipeline.transcribe(io.BytesIO(form["file"]), beam_size=args.beam_size, language=language)
        answer = json.dumps({"text": "".join(segment.text for segment in segments).strip()}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    # As many clients as are measured may call at once.
    request_queue_size = 256


server = Server(("127.0.0.1", 0), Handler)
print(f"faster-whisper listens on http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
