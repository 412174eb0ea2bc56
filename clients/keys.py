"""Keys, scopes and logins as both clients see them: address, key with all scopes, name and password of a user."""

import json
import sys
import urllib.request

import openai
from openai import OpenAI
from xinference_client import RESTfulClient as Client

from checks import Checks, raises

address, admin, name, password = sys.argv[1:]


def make_key(**body):
    request = urllib.request.Request(
        f"{address}/v1/admin/keys",
        json.dumps({"name": "test", **body}).encode(),
        {"Authorization": f"Bearer {admin}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201
        return json.load(answer)["key"]


def openai_client(key):
    return OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)


def speak(client):
    return client.audio.speech.create(model="no-such-model", voice="alloy", input="Hello.")


def openai_maps_401():
    error = raises(openai.AuthenticationError, lambda: openai_client("sk-wrong").models.list())
    assert error.code == "invalid_api_key" and error.status_code == 401
    expired = openai_client(make_key(expires_at="2020-01-01"))
    assert "expired" in str(raises(openai.AuthenticationError, lambda: expired.models.list()))


def openai_maps_403():
    client = openai_client(make_key(scopes=["list"]))
    client.models.list()
    error = raises(openai.PermissionDeniedError, lambda: speak(client))
    assert "use" in error.message and error.type == "permission_error"


def openai_maps_429():
    client = openai_client(make_key(requests_per_minute=1))
    client.models.list()
    error = raises(openai.RateLimitError, lambda: client.models.list())
    assert 1 <= int(error.response.headers["retry-after"]) <= 60


def openai_gets_past_the_key():
    raises(openai.NotFoundError, lambda: speak(openai_client(make_key())))


def xinference_keys():
    assert isinstance(Client(address, api_key=make_key()).list_models(), dict)
    for key in [None, "sk-wrong"]:
        error = raises(RuntimeError, lambda: Client(address, api_key=key).list_models())
        assert "Could not validate credentials" in str(error)
    with_key = Client(address, api_key=make_key())
    error = raises(RuntimeError, lambda: with_key.terminate_model("nope"))
    assert "Not enough permissions" in str(error)


def xinference_login():
    client = Client(address)
    error = raises(RuntimeError, lambda: client.login(name, "wrong-password"))
    assert "Incorrect username or password" in str(error)
    client.login(name, password)
    assert isinstance(client.list_models(), dict)
    error = raises(RuntimeError, lambda: client.terminate_model("nope"))
    assert "Model not found in the model list, uid: nope" in str(error)


checks = Checks()
checks.run(
    openai_maps_401,
    openai_maps_403,
    openai_maps_429,
    openai_gets_past_the_key,
    xinference_keys,
    xinference_login,
)
checks.end()
