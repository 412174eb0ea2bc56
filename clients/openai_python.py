"""OpenAI's Python client against a server: address, recording, key."""

import asyncio
import base64
import io
import json
import sys
import wave

import openai
from openai import AsyncOpenAI, OpenAI

from checks import Checks, raises, said, steady

address, recording, key = sys.argv[1:]
client = OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
audio = open(recording, "rb").read()
MODEL = "whisper-base"


def transcribe(file=None, **options):
    options.setdefault("model", MODEL)
    options.setdefault("language", "en")
    return client.audio.transcriptions.create(file=audio if file is None else file, **options)


def translate(**options):
    return client.audio.translations.create(model=MODEL, file=audio, **options)


def models():
    listed = {model.id: model for model in client.models.list()}
    assert MODEL in listed and "whisper-large-v3" in listed
    assert listed[MODEL].object == "model" and isinstance(listed[MODEL].created, int)
    for name in [MODEL, "whisper-1", "openai/whisper-base"]:
        assert client.models.retrieve(name).id == name
    raises(openai.NotFoundError, lambda: client.models.retrieve("nope"))


def transcription_json():
    answer = transcribe(language=openai.omit)
    assert said(answer.text) and answer.text == answer.text.strip()
    assert answer.usage.type == "duration" and answer.usage.seconds == 11
    assert answer.to_dict()["languages"] == [{"code": "en"}]
    assert answer._request_id


def transcription_of_named_file_and_of_stream():
    with open(recording, "rb") as file:
        assert said(transcribe(file).text)
    assert said(transcribe(("speech.mp3", io.BytesIO(audio))).text), "a wrong name does no harm"


def transcription_text():
    answer = transcribe(response_format="text")
    assert isinstance(answer, str) and said(answer) and answer.endswith("\n")


def transcription_subtitles():
    srt = transcribe(response_format="srt")
    assert srt.startswith("1\n00:00:0") and " --> " in srt and said(srt.replace("\n", " ")), srt
    vtt = transcribe(response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:0") and said(vtt.replace("\n", " ")), vtt


def transcription_verbose():
    answer = transcribe(response_format="verbose_json", language=openai.omit)
    assert answer.language == "english" and abs(answer.duration - 11) < 0.1 and said(answer.text)
    assert answer.to_dict()["task"] == "transcribe" and answer.words is None
    for segment in answer.segments:
        assert set(segment.to_dict()) == {
            "id", "seek", "start", "end", "text", "tokens",
            "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
        }
        assert segment.tokens and segment.avg_logprob < 0 < segment.compression_ratio
    assert steady([(segment.start, segment.end) for segment in answer.segments])


def transcription_words():
    answer = transcribe(response_format="verbose_json", timestamp_granularities=["word"])
    assert answer.segments is None
    words = [word.word for word in answer.words]
    assert {"ask", "country", "you"} <= {word.lower() for word in words} and len(words) > 15
    assert not any(word != word.strip(" ,.") for word in words)
    assert steady([(word.start, word.end) for word in answer.words])
    both = transcribe(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words and both.segments


def transcription_options():
    assert said(transcribe(prompt="A speech by a president.", temperature=0).text)
    assert transcribe(temperature=0.4).text
    assert said(transcribe(chunking_strategy="auto").text)
    strategy = {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 400}
    assert said(transcribe(chunking_strategy=strategy).text)
    assert said(transcribe(extra_body={"hotwords": "Americans", "beam_size": 1, "unknown": "x"}).text)
    assert said(transcribe(language="english").text)
    assert said(transcribe(language=openai.omit, languages=["en", "de"]).text)
    assert said(transcribe(keywords=["fellow Americans", "country"]).text)


def transcription_log_probabilities():
    answer = transcribe(include=["logprobs"])
    assert all(token.logprob <= 0 for token in answer.logprobs)
    assert said(bytes(int(b) for token in answer.logprobs for b in token.bytes).decode())


def transcription_stream():
    with client.audio.transcriptions.create(model=MODEL, file=audio, stream=True, include=["logprobs"]) as stream:
        events = list(stream)
    deltas, done = events[:-1], events[-1]
    assert deltas and all(event.type == "transcript.text.delta" for event in deltas)
    assert done.type == "transcript.text.done" and said(done.text)
    assert "".join(event.delta for event in deltas) == done.text
    assert deltas[0].logprobs and len(done.logprobs) >= len(deltas[0].logprobs)


def transcription_raw():
    raw = client.audio.transcriptions.with_raw_response.create(
        model=MODEL, file=audio, language="en", extra_headers={"X-Request-ID": "my-own-id"}
    )
    assert raw.headers["x-request-id"] == "my-own-id" and said(raw.parse().text)
    with client.audio.transcriptions.with_streaming_response.create(model=MODEL, file=audio, language="en") as answer:
        assert answer.headers["content-type"] == "application/json" and b"country" in answer.read()


def translations():
    assert said(translate().text)
    assert said(translate(response_format="text"))
    assert translate(response_format="srt").startswith("1\n00:")
    assert translate(response_format="vtt").startswith("WEBVTT\n")
    verbose = translate(response_format="verbose_json", prompt="A speech.", temperature=0)
    assert verbose.language == "english" and isinstance(verbose.duration, float) and verbose.segments
    assert verbose.to_dict()["task"] == "translate"


def asynchronous():
    async def calls():
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as other:
            one = other.audio.transcriptions.create(model=MODEL, file=audio, language="en")
            two = other.audio.translations.create(model=MODEL, file=audio)
            stream = await other.audio.transcriptions.create(model=MODEL, file=audio, language="en", stream=True)
            texts = [event.delta async for event in stream if event.type == "transcript.text.delta"]
            return [answer.text for answer in await asyncio.gather(one, two)] + ["".join(texts)]

    assert all(said(text) for text in asyncio.run(calls()))


VOICE = {"model": "tts-1", "voice": "alloy", "input": "And so, my friends, ask not what your country can do for you."}


def transcribed(sound, **options):
    """Whether the server's own ears understand the sound."""
    return said(transcribe(sound, **options).text)


def wav(samples, rate=24_000):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples)
    return file.getvalue()


def speech_in_every_format():
    for name in ["mp3", "opus", "aac", "flac", "wav", "pcm"]:
        answer = client.audio.speech.create(**VOICE, response_format=name)
        assert answer.response.headers["content-type"] == {"mp3": "audio/mpeg"}.get(name, f"audio/{name}")
        sound = answer.read()
        assert transcribed(wav(sound) if name == "pcm" else sound), name
    answer = client.audio.speech.create(**VOICE)
    assert answer.response.headers["content-type"] == "audio/mpeg" and transcribed(answer.read())


def speech_while_it_is_made():
    with client.audio.speech.with_streaming_response.create(**VOICE, response_format="pcm") as answer:
        pieces = [piece for piece in answer.iter_bytes(4096)]
    whole = client.audio.speech.create(**VOICE, response_format="pcm").read()
    assert len(pieces) > 4 and b"".join(pieces) == whole


def speech_as_events():
    options = {"stream_format": "sse", "response_format": "wav", "extra_body": {"timestamp_granularities": ["word"]}}
    with client.audio.speech.with_streaming_response.create(**VOICE, **options) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert all(event["type"] == "speech.audio.delta" for event in events[:-1]) and transcribed(sound)
    done = events[-1]
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 100
    assert steady([(word["start"], word["end"]) for word in done["words"]]) and len(done["words"]) == 13


def speech_options():
    plain = client.audio.speech.create(**VOICE, response_format="pcm").read()
    fast = client.audio.speech.create(**VOICE, response_format="pcm", speed=2.0).read()
    assert 0.4 < len(fast) / len(plain) < 0.7
    for voice in ["heart", "nova", {"id": "heart"}]:
        assert client.audio.speech.create(**(VOICE | {"voice": voice}), response_format="pcm").read() == plain
    other = client.audio.speech.create(**VOICE, response_format="pcm", extra_body={"seed": 7}).read()
    assert len(other) == len(plain) and other != plain
    small = client.audio.speech.create(**VOICE, response_format="pcm", extra_body={"sample_rate": 16000}).read()
    assert abs(len(small) * 1.5 - len(plain)) < 4000 and transcribed(wav(small, 16_000))


def refused_speech():
    for options, param in [
        ({"voice": "unknown"}, "voice"),
        ({"speed": 5}, "speed"),
        ({"response_format": "m4b"}, "response_format"),
        ({"stream_format": "other"}, "stream_format"),
        ({"instructions": "Whisper."}, "instructions"),
        ({"input": "Спроси, что ты можешь сделать"}, "input"),
        ({"input": "..."}, "input"),
        ({"model": MODEL}, "model"),
    ]:
        error = raises(openai.BadRequestError, lambda: client.audio.speech.create(**(VOICE | options)))
        assert error.param == param and error.request_id, (options, error.body)
    error = raises(openai.BadRequestError, lambda: client.audio.speech.create(**(VOICE | {"voice": "unknown"})))
    assert "heart, emma, fenrir, fable, kore" in error.message


def speech_asynchronous():
    async def calls():
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as other:
            whole = await other.audio.speech.create(**VOICE, response_format="pcm")
            async with other.audio.speech.with_streaming_response.create(**VOICE, response_format="pcm") as answer:
                pieces = [piece async for piece in answer.iter_bytes()]
            return whole.content, b"".join(pieces)

    whole, pieces = asyncio.run(calls())
    assert whole == pieces and transcribed(wav(whole))


def refused_requests():
    for options, param in [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": 3}, "temperature"),
        ({"language": "klingon"}, "language"),
        ({"known_speaker_names": ["Ann"]}, "known_speaker_names"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"response_format": "text", "include": ["logprobs"]}, "include"),
        ({"response_format": "verbose_json", "timestamp_granularities": ["sentence"]}, "timestamp_granularities"),
        ({"chunking_strategy": {"type": "semantic_vad"}}, "chunking_strategy"),
        ({"file": b""}, "file"),
        ({"file": b"this is no audio, whatever its name says"}, "file"),
        ({"file": audio[:44]}, "file"),
    ]:
        error = raises(openai.BadRequestError, lambda: transcribe(**options))
        assert error.status_code == 400 and error.param == param, (options, error.body)
        assert error.type == "invalid_request_error" and error.code and error.request_id
        assert error.message.startswith("Error code: 400 - "), error.message


def unknown_models():
    for call in [transcribe, translate]:
        error = raises(openai.NotFoundError, lambda: call(extra_body={"model": "nope"}))
        assert error.code == "model_not_found" and "nope" in str(error)


def english_only_models_do_not_translate():
    error = raises(openai.BadRequestError, lambda: translate(extra_body={"model": "whisper-tiny.en"}))
    assert "translations" in str(error)


def too_large_uploads():
    error = raises(openai.APIStatusError, lambda: transcribe(audio + bytes(8_000_000)))
    assert error.status_code == 413 and "max_upload_bytes" in str(error)


def keys():
    error = raises(openai.AuthenticationError, lambda: client.with_options(api_key="wrong").models.list())
    assert error.code == "invalid_api_key"
    wrong = client.with_options(api_key="wrong")
    raises(openai.AuthenticationError, lambda: wrong.audio.transcriptions.create(model=MODEL, file=audio))


def missing_routes():
    raises(openai.NotFoundError, lambda: client.chat.completions.create(model=MODEL, messages=[]))


def clients_that_leave():
    impatient = client.with_options(timeout=0.05)
    raises(openai.APITimeoutError, lambda: impatient.audio.transcriptions.create(model=MODEL, file=audio))
    assert said(transcribe().text)


checks = Checks()
checks.run(
    models,
    transcription_json,
    transcription_of_named_file_and_of_stream,
    transcription_text,
    transcription_subtitles,
    transcription_verbose,
    transcription_words,
    transcription_options,
    transcription_log_probabilities,
    transcription_stream,
    transcription_raw,
    translations,
    asynchronous,
    speech_in_every_format,
    speech_while_it_is_made,
    speech_as_events,
    speech_options,
    refused_speech,
    speech_asynchronous,
    refused_requests,
    unknown_models,
    english_only_models_do_not_translate,
    too_large_uploads,
    keys,
    missing_routes,
    clients_that_leave,
)
checks.end()
