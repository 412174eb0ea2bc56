"""Turns recorded exchanges of a Xinference server into the shapes that the server's tests replay.

    python3 tools/make_xinference_shapes.py RECORDINGS > crates/server/tests/data/xinference-4.1.jsonl

RECORDINGS is a folder with one JSON file an exchange: `request` (method, path, headers, then json, or text with content_type,
or fields and files) and `response` (status, headers, json or other). A line of the output is one exchange: the request, and of
the answer its status, its content type and the shape of its JSON:

    "string"            a type: null, bool, number, string; several with | between
    [shape]             a list of such; [] a list that was empty when it was recorded
    {"name": shape}     an object; "name?" is not in all of a list's objects; "*" stands for names that are values
    {"|": [shape, ...]} one of these
"""

import json
import pathlib
import sys


def shape(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        return [merged(shapes)] if shapes else []
    return {"*" if "<port>" in name else name: shape(item) for name, item in value.items()}


def merged(shapes):
    words, lists, objects = set(), [], []
    for one in shapes:
        if isinstance(one, str):
            words |= set(one.split("|"))
        elif isinstance(one, list):
            lists.append(one)
        else:
            objects.append(one)
    alternatives = ["|".join(sorted(words))] if words else []
    if lists:
        items = [item for one in lists for item in one]
        alternatives.append([merged(items)] if items else [])
    if objects:
        names = {name.rstrip("?"): None for one in objects for name in one}
        alternatives.append({
            name if all(name in one for one in objects) else name + "?":
                merged([one[key] for one in objects for key in (name, name + "?") if key in one])
            for name in names
        })
    return alternatives[0] if len(alternatives) == 1 else {"|": alternatives}


def line(path):
    recorded = json.loads(path.read_text())
    request, response = recorded["request"], recorded["response"]
    kept = {"id": path.stem, "method": request["method"], "path": request["path"]}
    for name in ("headers", "json", "text", "content_type", "fields", "files"):
        if request.get(name) and not (name == "content_type" and "text" not in request):
            kept[name] = request[name]
    kept["status"] = response["status"]
    kind = response.get("headers", {}).get("content-type", "").split(";")[0]
    if kind:
        kept["kind"] = kind
    if "json" in response:
        kept["shape"] = shape(response["json"])
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    # h needs accounts, which are another part of the server; the schema of a44 and the metrics of g28 are documents.
    left_out = ("h", "a44", "g28")
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        if not path.stem.startswith(left_out):
            print(line(path))
