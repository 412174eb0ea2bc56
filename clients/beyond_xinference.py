"""What fails with Xinference's own server and works here, or is refused plainly: address, recording, a ChatTTS checkpoint."""

import io
import sys
import wave

import requests
from xinference_client import RESTfulClient as Client

from checks import Checks, raises, said

address, recording, chattts = sys.argv[1:]
audio = open(recording, "rb").read()
client = Client(address)
client.launch_model("whisper-base", model_type="audio")
client.launch_model("ChatTTS", model_type="audio", model_path=chattts)


def listen(sound=audio, route="transcriptions", **fields):
    fields = {"model": "whisper-base", **fields}
    answer = requests.post(f"{address}/v1/audio/{route}", data=fields, files={"file": ("file", sound)})
    return answer


def speak(**members):
    return requests.post(f"{address}/v1/audio/speech", json={"model": "ChatTTS", "input": "hello", **members})


def english_only_models_transcribe():
    client.launch_model("whisper-tiny.en", model_type="audio", model_uid="english")
    model = client.get_model("english")
    assert said(model.transcriptions(audio)["text"]) and said(model.transcriptions(audio, language="en")["text"])
    error = raises(RuntimeError, lambda: model.translations(audio))
    assert "does not support translations" in str(error)


def pcm_is_written():
    answer = speak(response_format="pcm")
    assert answer.status_code == 200 and len(answer.content) > 1000 and len(answer.content) % 2 == 0
    assert answer.headers["content-type"] == "audio/pcm"


def subtitles_and_text_are_written():
    for form, start in [("text", "And so"), ("srt", "1\n00:00:"), ("vtt", "WEBVTT\n\n00:00:")]:
        answer = listen(response_format=form)
        assert answer.status_code == 200 and answer.text.startswith(start), (form, answer.text)
        assert listen(response_format=form, route="translations").status_code == 200


def nothing_is_transcribed_in_silence():
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
        file.writeframes(bytes(2 * 16000))
    answer = listen(silence.getvalue(), response_format="verbose_json", language="en").json()
    assert answer["duration"] == 1.0 and len(answer["text"]) < 20, answer


def both_granularities_are_given():
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    answer = listen(**fields).json()
    assert answer["words"] and answer["segments"] and answer["duration"] == 11.0 and answer["language"] == "english"


def a_uid_may_hold_slashes():
    assert client.launch_model("whisper-base", model_type="audio", model_uid="a/b") == "a/b"
    assert client.describe_model("a/b")["model_name"] == "whisper-base"
    assert said(client.get_model("a/b").transcriptions(audio)["text"])
    client.terminate_model("a/b")
    assert "a/b" not in client.list_models()


def failed_launches_do_not_stay():
    uids = lambda: {one["model_uid"] for one in client.get_instance_info("", "")}
    before = uids()
    for options, part in [({"n_gpu": 9}, "n_gpu"), ({"model_path": "/no/such/folder"}, "does not exist"),
                          ({"download_hub": "nowhere"}, "download_hub"), ({"request_limits": -1}, "request_limits")]:
        error = raises(RuntimeError, lambda: client.launch_model("whisper-base", "audio", model_uid="failed", **options))
        assert part in str(error), error
    assert uids() == before


def unknown_engines_and_formats_are_reported():
    answer = speak(response_format="xyz", stream=True)
    assert answer.status_code == 400 and "response_format" in answer.json()["detail"]
    answer = requests.post(f"{address}/v1/audio/speech", json={"model": "ChatTTS"})
    assert answer.status_code == 400 and "input" in answer.json()["detail"]
    assert answer.json()["error"]["param"] == "input"


def the_wrong_kind_of_model_is_reported():
    assert "is a text-to-speech model" in listen(model="ChatTTS").json()["detail"]
    assert "is a speech-to-text model" in speak(model="whisper-base").json()["detail"]


def a_model_that_is_terminated_while_it_loads_gets_the_reason():
    client.launch_model("whisper-base", "audio", model_uid="later", quantization="f32", wait_ready=False)
    answer = requests.delete(f"{address}/v1/models/later")
    if answer.status_code == 400:
        assert "cancel" in answer.json()["detail"]
        client.cancel_launch_model("later")
    assert "later" not in client.list_models()


checks = Checks()
checks.run(
    english_only_models_transcribe,
    pcm_is_written,
    subtitles_and_text_are_written,
    nothing_is_transcribed_in_silence,
    both_granularities_are_given,
    a_uid_may_hold_slashes,
    failed_launches_do_not_stay,
    unknown_engines_and_formats_are_reported,
    the_wrong_kind_of_model_is_reported,
    a_model_that_is_terminated_while_it_loads_gets_the_reason,
)
checks.end()
