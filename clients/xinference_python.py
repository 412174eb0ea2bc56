"""Xinference's Python client against a server: address, recording, key (- for none)."""

import asyncio
import sys

from xinference_client import AsyncRESTfulClient as AsyncClient
from xinference_client import RESTfulClient as Client

from checks import Checks, raises, said, steady

address, recording, key = sys.argv[1:]
key = None if key == "-" else key
client = Client(address, api_key=key)
model = client.get_model("whisper-base")
audio = open(recording, "rb").read()


def handles():
    assert type(model).__name__ == "RESTfulAudioModelHandle"
    assert client.describe_model("whisper-base")["model_type"] == "audio"
    assert "hibari" not in client.list_models(), "only models that run are listed"
    uid = client.launch_model("whisper-base", model_type="audio", model_uid="listed")
    listed = client.list_models()
    assert listed[uid]["model_ability"] == ["audio2text"]
    client.terminate_model(uid)
    assert type(client.get_model("whisper-1")).__name__ == "RESTfulAudioModelHandle"


def transcription_json():
    answer = model.transcriptions(audio)
    assert said(answer["text"])
    with open(recording, "rb") as file:
        assert said(model.transcriptions(file, language="en", prompt="A speech.", temperature=0)["text"])
    for language in ["English", "en-US", "<|en|>"]:
        assert said(model.transcriptions(audio, language=language)["text"])


def transcription_verbose():
    answer = model.transcriptions(audio, response_format="verbose_json")
    assert answer["task"] == "transcribe" and answer["language"] == "english" and abs(answer["duration"] - 11) < 0.1
    assert steady([(segment["start"], segment["end"]) for segment in answer["segments"]])
    assert len(answer["segments"][0]) == 10 and "words" not in answer


def transcription_words():
    answer = model.transcriptions(audio, response_format="verbose_json", timestamp_granularities=["word"])
    assert steady([(word["start"], word["end"]) for word in answer["words"]]) and "segments" not in answer
    both = model.transcriptions(audio, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both["words"] and both["segments"]


def transcription_kwargs():
    assert said(model.transcriptions(audio, hotword="Americans", beam_size=1)["text"])
    error = raises(RuntimeError, lambda: model.transcriptions(audio, batch_size_s=300))
    assert "batch_size_s" in str(error)


def translations():
    assert said(model.translations(audio)["text"])
    answer = model.translations(audio, language="en", response_format="verbose_json", timestamp_granularities=["segment"])
    assert answer["task"] == "translate" and answer["segments"] and said(answer["text"])


def speech():
    voice = client.get_model("hibari")
    assert type(voice).__name__ == "RESTfulAudioModelHandle"
    assert client.describe_model("hibari")["model_ability"] == ["text2audio"]
    text = "And so, my friends, ask not what your country can do for you."
    assert said(model.transcriptions(voice.speech(text))["text"])
    for name in ["mp3", "wav", "flac", "opus", "aac"]:
        sound = voice.speech(text, voice="echo", response_format=name, speed=0.9)
        assert said(model.transcriptions(sound)["text"]), name
    pieces = list(voice.speech(text, voice="heart", response_format="wav", stream=True))
    assert len(pieces) > 1 and said(model.transcriptions(b"".join(pieces))["text"])
    first, second = (voice.speech(text, response_format="pcm", seed=seed) for seed in [1, 2])
    assert first != second and len(first) == len(second)
    for options, reason in [
        ({"voice": "unknown"}, "heart, emma"),
        ({"speed": 9}, "speed"),
        ({"response_format": "m4b"}, "response_format"),
        ({"prompt_speech": audio}, "prompt_speech"),
        ({"prompt_text": "Ask not"}, "prompt_text"),
    ]:
        error = raises(RuntimeError, lambda: voice.speech(text, **options))
        assert reason in str(error), error
    error = raises(RuntimeError, lambda: model.speech(text))
    assert "hibari" in str(error)


def refused_requests():
    for options, text in [
        ({"language": "klingon"}, "klingon"),
        ({"temperature": 3}, "temperature"),
        ({"response_format": "diarized_json"}, "diarized_json"),
        ({"response_format": "verbose_json", "timestamp_granularities": ["x"]}, "timestamp_granularities"),
    ]:
        for call, what in [(model.transcriptions, "transcribe"), (model.translations, "translate")]:
            error = raises(RuntimeError, lambda: call(audio, **options))
            assert str(error).startswith(f"Failed to {what} the audio, detail: ") and text in str(error), error
    for garbage in [b"", b"this is no audio"]:
        error = raises(RuntimeError, lambda: model.transcriptions(garbage))
        assert str(error).startswith("Failed to transcribe the audio, detail: ")


def unknown_models():
    error = raises(RuntimeError, lambda: client.get_model("nope"))
    assert "Model not found in the model list, uid: nope" in str(error)


def english_only_models_do_not_translate():
    error = raises(RuntimeError, lambda: client.get_model("whisper-tiny.en").translations(audio))
    assert "translations" in str(error)


def asynchronous():
    async def calls():
        other = AsyncClient(address, api_key=key)
        try:
            handle = await other.get_model("whisper-base")
            one = await handle.transcriptions(audio, language="en", hotword="Americans")
            two = await handle.translations(audio)
            voice = await other.get_model("hibari")
            sound = await voice.speech("Ask not what your country can do for you.")
            spoken = await handle.transcriptions(sound)
            await voice.close()
            try:
                await handle.transcriptions(audio, temperature=3)
            except RuntimeError as error:
                assert "temperature" in str(error)
            else:
                raise AssertionError("temperature 3 was taken")
            await handle.close()
            return [one["text"], two["text"], spoken["text"]]
        finally:
            await other.close()

    assert all(said(text) for text in asyncio.run(calls()))


checks = Checks()
checks.run(
    handles,
    transcription_json,
    transcription_verbose,
    transcription_words,
    transcription_kwargs,
    translations,
    speech,
    refused_requests,
    unknown_models,
    english_only_models_do_not_translate,
    asynchronous,
)
checks.end()
