"""All that Xinference's Python client can do with audio models, sync and async, call by call: address, recording, a ChatTTS
checkpoint. Prints a table and fails where an outcome is not the expected one. The last call stops the server."""

import asyncio
import inspect
import json
import sys
import traceback

from xinference_client import AsyncRESTfulClient, RESTfulClient

from checks import said

address, recording, chattts = sys.argv[1:]
audio = open(recording, "rb").read()
TEXT = "Ask not what your country can do for you."
rows = []


async def settled(value):
    """What a call gives, from either client; streams as one piece."""
    if inspect.isawaitable(value):
        value = await value
    if inspect.isasyncgen(value):
        return b"".join([piece async for piece in value])
    if inspect.isgenerator(value):
        return b"".join(value)
    return value


async def call(kind, target, method, *arguments, expect=None, fails=None, **options):
    """Calls and checks: `expect` is a test of the result, `fails` a part of the error's text."""
    case = ", ".join([*(short(a) for a in arguments), *(f"{name}={short(v)}" for name, v in options.items())])
    result = None
    try:
        result = await settled(getattr(target, method)(*arguments, **options))
        if fails:
            outcome = f"FAILED: no error but {short(result)}"
        elif expect and not expect(result):
            outcome = f"FAILED: {short(result)}"
        else:
            outcome = "ok"
    except RuntimeError as error:
        known = fails and fails in str(error)
        outcome = f"ok, refused: {str(error)[:90]}" if known else f"FAILED: {error}"
    except Exception:
        outcome = f"FAILED: {traceback.format_exc()}"
    rows.append((kind, method, case, outcome))
    return result


def short(value):
    text = f"{len(value)} bytes" if isinstance(value, bytes) else str(value).replace(chattts, "CHATTTS")
    return text if len(text) <= 60 else text[:57] + "..."


async def surface(kind, client, last):
    async def on(method, *arguments, **options):
        return await call(kind, client, method, *arguments, **options)

    uid = f"{kind}/whisper"
    # Launch.
    await on("launch_model", "whisper-base", model_type="audio", model_uid=uid, model_engine="transformers", replica=2,
             trust_remote_code=True, expect=lambda got: got == uid)
    await on("launch_model", "ChatTTS", model_type="audio", model_uid="ChatTTS", model_path=chattts, compile=False,
             expect=lambda got: got == "ChatTTS")
    await on("launch_model", "whisper-base", model_type="audio", model_uid="f16", quantization="f16", wait_ready=False,
             expect=lambda got: got == "f16")
    await on("launch_model", "whisper-base", model_type="audio", model_uid=uid, fails="already in the model list")
    await on("launch_model", "whisper-bse", model_type="audio", fails="not found")
    await on("launch_model", "whisper-base", fails="model_type")
    await on("launch_model", "whisper-base", model_type="audio", quantization="4-bit", fails="quantization")
    await on("launch_model", "whisper-base", model_type="audio", n_gpu=1, fails="n_gpu")
    await on("launch_model", "whisper-base", model_type="audio", model_path="/no/such/folder", fails="does not exist")
    # What runs.
    await on("get_launch_model_progress", uid, expect=lambda got: got["progress"] == 1.0)
    await on("get_launch_model_progress", "unknown", expect=lambda got: got["progress"] == 0.0)
    await on("list_models", expect=lambda got: {uid, "ChatTTS"} <= set(got) and got[uid]["model_ability"] == ["audio2text"])
    await on("describe_model", uid, expect=lambda got: got["model_type"] == "audio" and got["replica"] == 2)
    await on("describe_model", "unknown", fails="Model not found in the model list, uid: unknown")
    await on("get_instance_info", "", uid, expect=lambda got: [one["status"] for one in got] == ["READY"])
    await on("get_instance_info", "whisper-base", "", expect=lambda got: {uid, "f16"} <= {one["model_uid"] for one in got})
    await on("add_model_replica", uid, expect=lambda got: got["replica_id"] == 2)
    await on("add_model_replica", uid, replica=2, expect=lambda got: got["replica"] == 2 and len(got["replicas"]) == 2)
    await on("terminate_model_replica", uid, 4, expect=lambda got: got == 4)
    await on("terminate_model_replica", uid, 9, fails="no replica 9")
    await on("get_workers_info", expect=lambda got: f"{uid}-rep0" in got[0]["models"])
    await on("get_supervisor_info", expect=lambda got: got["supervisor_ip"] in address)
    await on("_get_supervisor_internal_address", expect=lambda got: got in address)
    await on("abort_request", uid, "some-id", expect=lambda got: got == {"msg": "NO_OP"})
    await on("get_progress", "some-id", fails="some-id")
    await on("cancel_launch_model", "unknown", fails="has not been launched yet")
    # Listening.
    model = await settled(client.get_model(uid))
    await call(kind, client, "get_model", "unknown", fails="uid: unknown")

    async def listen(method, *arguments, **options):
        return await call(kind, model, method, *arguments, **options)

    await listen("transcriptions", audio, expect=lambda got: said(got["text"]))
    await listen("transcriptions", audio, language="en", prompt="A speech.", temperature=0, expect=lambda got: said(got["text"]))
    await listen("transcriptions", audio, response_format="verbose_json", expect=lambda got: got["segments"] and got["duration"])
    await listen("transcriptions", audio, response_format="verbose_json", timestamp_granularities=["word"],
               expect=lambda got: got["words"])
    await listen("transcriptions", audio, hotword="Americans", expect=lambda got: said(got["text"]))
    await listen("transcriptions", audio, batch_size_s=300, fails="batch_size_s")
    await listen("transcriptions", audio, language="klingon", fails="klingon")
    await listen("transcriptions", audio, temperature=3, fails="temperature")
    await listen("transcriptions", b"no audio", fails="Failed to transcribe the audio, detail: ")
    await listen("translations", audio, language="en", expect=lambda got: said(got["text"]))
    await listen("translations", audio, response_format="verbose_json", expect=lambda got: got["task"] == "translate")
    await listen("translations", b"no audio", fails="Failed to translate the audio, detail: ")
    await listen("speech", TEXT, fails="Failed to speech the text, detail: ")
    await listen("create_embedding", audio, fails="embeddings")
    # Speaking.
    voice = await settled(client.get_model("hibari"))
    dialogue = await settled(client.get_model("ChatTTS"))

    async def say(handle, *arguments, **options):
        return await call(kind, handle, "speech", *arguments, **options)

    sound = await say(voice, TEXT, voice="alloy", response_format="wav", expect=lambda got: got[:4] == b"RIFF")
    await listen("transcriptions", sound, expect=lambda got: said(got["text"]))
    await say(voice, TEXT, stream=True, expect=lambda got: len(got) > 1000)
    await say(dialogue, "hello", expect=lambda got: len(got) > 500)
    await say(dialogue, "hello", voice="echo", response_format="wav", stream=True, expect=lambda got: got[:4] == b"RIFF")
    await say(dialogue, "hello", response_format="pcm", seed=7, expect=lambda got: len(got) > 500)
    await say(dialogue, "hello", voice="x" * 401, fails="not a saved tensor")
    await say(dialogue, "hello", response_format="m4b", fails="response_format")
    await say(voice, TEXT, voice="unknown", fails="heart, emma")
    await say(voice, TEXT, prompt_speech=audio, fails="prompt_speech")
    await call(kind, dialogue, "transcriptions", audio, fails="Failed to transcribe the audio, detail: ")
    # The catalogue.
    name = f"{kind}-whisper"
    definition = {"model_name": name, "model_family": "whisper", "multilingual": True, "model_id": "someone/whisper"}
    await on("list_model_registrations", "audio", expect=lambda got: {"model_name": "ChatTTS", "is_builtin": True} in got)
    # The async client cannot ask for details.
    if kind == "sync":
        await on("list_model_registrations", "audio", detailed=True, expect=lambda got: all(one["model_specs"] for one in got))
    await on("list_model_registrations", "nothing", fails="Unsupported model type: nothing")
    await on("get_model_registration", "audio", "whisper-base", expect=lambda got: got["model_family"] == "whisper")
    await on("get_model_registration", "audio", "unknown", fails="Model unknown not found")
    await on("register_model", "audio", json.dumps(definition), True)
    await on("register_model", "audio", json.dumps(definition), True, fails="already registered")
    await on("register_model", "audio", json.dumps({**definition, "model_name": "a b"}), True, fails="Invalid model name")
    await on("register_model", "audio", "{bad", True, fails="not valid JSON")
    await on("get_model_registration", "audio", name, expect=lambda got: got["is_builtin"] is False)
    await on("unregister_model", "audio", name)
    await on("get_model_registration", "audio", name, fails="not found")
    await on("query_engine_by_model_name", "whisper-base", model_type="audio", expect=lambda got: "transformers" in got)
    await on("query_engine_by_model_name", "ChatTTS", model_type="audio", expect=lambda got: got is None)
    await on("vllm_models", expect=lambda got: got == {"chat": [], "generate": []})
    # The disk.
    await on("list_cached_models", expect=lambda got: {"whisper-base", "hibari"} <= {one["model_name"] for one in got})
    await on("list_deletable_models", "whisper-base", expect=lambda got: len(got["paths"]) == 1)
    await on("list_deletable_models", "unknown", expect=lambda got: got["paths"] == [])
    await on("confirm_and_remove_model", "unknown", expect=lambda got: got is True)
    await on("confirm_and_remove_model", "whisper-base", fails="terminate it first")
    # What other engines do and this server does not.
    await on("reload_model", uid, {}, fails="Reload with retained weights")
    await on("get_model_reload_status", uid, fails="Reload with retained weights")
    await on("get_model_reload_config", uid, fails="Reload with retained weights")
    for method in ["get_autostart_config", "get_autostart_model_summary", "list_worker_relaunches"]:
        await on(method, fails="Not Found")
    # The end.
    await on("login", "someone", "secret")
    for one in [uid, "ChatTTS", "f16"]:
        await on("terminate_model", one)
    await on("terminate_model", uid, fails="Model not found in the model list")
    for handle in [model, voice, dialogue]:
        await settled(handle.close())
    if last:
        await on("abort_cluster", expect=lambda got: got == {"result": True})
    await settled(client.close())


async def main():
    await surface("sync", RESTfulClient(address), last=False)
    await surface("async", AsyncRESTfulClient(address), last=True)


asyncio.run(main())
for row in rows:
    print("| " + " | ".join(part.replace("\n", " ").replace("|", "/") for part in row) + " |")
failed = sum(outcome.startswith("FAILED") for *_, outcome in rows)
print(f"{len(rows) - failed} passed, {failed} failed")
sys.exit(1 if failed or not rows else 0)
