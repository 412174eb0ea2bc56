"""The examples of Xinference's page on audio, as people type them: cURL, OpenAI's client and Xinference's client, for
transcriptions, translations and speech. Address, recording, a ChatTTS checkpoint."""

import base64
import json
import subprocess
import sys

import openai
from xinference_client import RESTfulClient as Client

from checks import Checks, said

address, recording, chattts = sys.argv[1:]
audio = open(recording, "rb").read()
TEXT = "Ask not what your country can do for you."


def curl(path, body):
    """The page's command; its bodies end with a comma too many."""
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "-X", "POST", f"{address}/v1/audio/{path}",
               "-H", "accept: application/json", "-H", "Content-Type: application/json", "-d", "@-"]
    return subprocess.run(command, input=body.encode(), check=True, capture_output=True).stdout


def listening_body(uid):
    return '{\n  "model": "%s",\n  "file": "%s",\n}' % (uid, base64.b64encode(audio).decode())


def speaking_body(uid):
    return '{\n  "model": "%s",\n  "text": "%s",\n  "voice": "echo",\n}' % (uid, TEXT)


def launch():
    client = Client(address)
    assert client.launch_model(model_name="whisper-base", model_type="audio") == "whisper-base"
    assert client.launch_model(model_name="hibari", model_type="audio", model_uid="speaker") == "speaker"
    assert client.launch_model(model_name="ChatTTS", model_type="audio", model_path=chattts) == "ChatTTS"
    assert set(client.list_models()) == {"whisper-base", "speaker", "ChatTTS"}


def transcription_curl():
    assert said(json.loads(curl("transcriptions", listening_body("whisper-base")))["text"])


def transcription_curl_form():
    command = ["curl", "--silent", "--fail-with-body", f"{address}/v1/audio/transcriptions",
               "-F", "model=whisper-base", "-F", f"file=@{recording}"]
    assert said(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["text"])


def transcription_openai():
    client = openai.Client(api_key="cannot be empty", base_url=f"{address}/v1")
    with open(recording, "rb") as audio_file:
        assert said(client.audio.transcriptions.create(model="whisper-base", file=audio_file).text)


def transcription_xinference():
    model = Client(address).get_model("whisper-base")
    with open(recording, "rb") as audio_file:
        assert said(model.transcriptions(audio=audio_file.read())["text"])


def translation_curl():
    assert said(json.loads(curl("translations", listening_body("whisper-base")))["text"])


def translation_openai():
    client = openai.Client(api_key="cannot be empty", base_url=f"{address}/v1")
    with open(recording, "rb") as audio_file:
        assert said(client.audio.translations.create(model="whisper-base", file=audio_file).text)


def translation_xinference():
    model = Client(address).get_model("whisper-base")
    with open(recording, "rb") as audio_file:
        assert said(model.translations(audio=audio_file.read())["text"])


def transcribed(sound):
    return Client(address).get_model("whisper-base").transcriptions(audio=sound)["text"]


def is_mp3(sound):
    return len(sound) > 500 and sound[0] == 0xFF and sound[1] & 0xE0 == 0xE0


def speech_curl():
    assert said(transcribed(curl("speech", speaking_body("speaker"))))
    assert is_mp3(curl("speech", speaking_body("ChatTTS")))


def speech_openai():
    client = openai.Client(api_key="cannot be empty", base_url=f"{address}/v1")
    assert said(transcribed(client.audio.speech.create(model="speaker", input=TEXT, voice="echo").content))
    assert is_mp3(client.audio.speech.create(model="ChatTTS", input="hello", voice="echo").content)


def speech_xinference():
    client = Client(address)
    assert said(transcribed(client.get_model("speaker").speech(input=TEXT, voice="echo")))
    assert is_mp3(client.get_model("ChatTTS").speech(input="hello", voice="echo"))


checks = Checks()
checks.run(
    launch,
    transcription_curl,
    transcription_curl_form,
    transcription_openai,
    transcription_xinference,
    translation_curl,
    translation_openai,
    translation_xinference,
    speech_curl,
    speech_openai,
    speech_xinference,
)
checks.end()
