// OpenAI's Node client against a server: address, recording, key.

import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import OpenAI, { toFile } from "openai";

const [address, recording, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: key, maxRetries: 0 });
const audio = readFileSync(recording);
const model = "whisper-base";

const voice = {
  model: "gpt-4o-mini-tts",
  voice: "alloy",
  input: "And so, my friends, ask not what your country can do for you.",
};

const file = () => toFile(audio, "speech.wav");
const transcribe = async (options = {}) =>
  client.audio.transcriptions.create({ model, language: "en", file: await file(), ...options });
const translate = async (options = {}) => client.audio.translations.create({ model, file: await file(), ...options });

const said = (text) =>
  text.toLowerCase().replace(/[^\p{L} \n]/gu, "").replace(/\s+/g, " ").includes("ask not what your country can do for you");

async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.constructor, kind, String(error));
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

const checks = {
  async models() {
    const ids = [];
    for await (const listed of client.models.list()) ids.push(listed.id);
    assert.ok(ids.includes(model));
    for (const name of [model, "whisper-1", "openai/whisper-base"]) {
      assert.equal((await client.models.retrieve(name)).id, name);
    }
    await refused(OpenAI.NotFoundError, () => client.models.retrieve("nope"));
  },

  async json() {
    const answer = await transcribe({ language: undefined });
    assert.ok(said(answer.text));
    assert.deepEqual(answer.usage, { type: "duration", seconds: 11 });
    assert.ok(said((await transcribe({ file: createReadStream(recording) })).text));
  },

  async text_and_subtitles() {
    assert.ok(said(await transcribe({ response_format: "text" })));
    assert.match(await transcribe({ response_format: "srt" }), /^1\n00:00:0\d,\d{3} --> 00:00:/);
    assert.match(await transcribe({ response_format: "vtt" }), /^WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:/);
  },

  async verbose_json() {
    const plain = await transcribe({ response_format: "verbose_json" });
    assert.equal(plain.language, "english");
    assert.ok(Math.abs(plain.duration - 11) < 0.1);
    assert.equal(Object.keys(plain.segments[0]).length, 10);
    assert.equal(plain.words, undefined);
    const both = await transcribe({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
    assert.ok(both.words.length > 15 && both.segments.length > 0);
    for (const { start, end } of both.words) assert.ok(start <= end);
  },

  async options() {
    assert.ok(said((await transcribe({ prompt: "A speech.", temperature: 0 })).text));
    assert.ok(said((await transcribe({ chunking_strategy: "auto" })).text));
    const strategy = { type: "server_vad", threshold: 0.4, prefix_padding_ms: 200, silence_duration_ms: 400 };
    assert.ok(said((await transcribe({ chunking_strategy: strategy })).text));
    const { logprobs } = await transcribe({ include: ["logprobs"] });
    assert.ok(logprobs.length > 10 && logprobs.every((token) => token.logprob <= 0));
  },

  async stream() {
    const deltas = [];
    let done;
    for await (const event of await transcribe({ stream: true })) {
      if (event.type === "transcript.text.delta") deltas.push(event.delta);
      else done = event;
    }
    assert.equal(done.type, "transcript.text.done");
    assert.equal(deltas.join(""), done.text);
    assert.ok(said(done.text));
  },

  async translations() {
    assert.ok(said((await translate()).text));
    assert.ok(said(await translate({ response_format: "text" })));
    const verbose = await translate({ response_format: "verbose_json" });
    assert.equal(verbose.language, "english");
    assert.ok(verbose.segments.length > 0);
  },

  async speech() {
    for (const response_format of ["mp3", "opus", "aac", "flac", "wav"]) {
      const answer = await client.audio.speech.create({ ...voice, response_format });
      const sound = Buffer.from(await answer.arrayBuffer());
      assert.ok(said((await transcribe({ file: await toFile(sound, "sound") })).text), response_format);
    }
    const plain = Buffer.from(await (await client.audio.speech.create({ ...voice, response_format: "pcm" })).arrayBuffer());
    const fast = await client.audio.speech.create({ ...voice, response_format: "pcm", speed: 2 });
    const ratio = (await fast.arrayBuffer()).byteLength / plain.length;
    assert.ok(ratio > 0.4 && ratio < 0.7, String(ratio));
    const streamed = [];
    for await (const piece of (await client.audio.speech.create({ ...voice, response_format: "pcm" })).body) {
      streamed.push(piece);
    }
    assert.ok(Buffer.concat(streamed).equals(plain));
  },

  async speech_events() {
    const answer = await client.audio.speech.create({ ...voice, response_format: "wav", stream_format: "sse" });
    assert.equal(answer.headers.get("content-type"), "text/event-stream");
    const lines = (await answer.text()).split("\n").filter((line) => line.startsWith("data: "));
    const events = lines.map((line) => JSON.parse(line.slice("data: ".length)));
    const done = events.pop();
    assert.equal(done.type, "speech.audio.done");
    assert.equal(done.usage.total_tokens, done.usage.input_tokens + done.usage.output_tokens);
    const sound = Buffer.concat(events.map((event) => Buffer.from(event.audio, "base64")));
    assert.ok(said((await transcribe({ file: await toFile(sound, "sound") })).text));
  },

  async refused_speech() {
    for (const [options, param] of [
      [{ voice: "unknown" }, "voice"],
      [{ speed: 0.1 }, "speed"],
      [{ input: "你好" }, "input"],
      [{ instructions: "Sadly." }, "instructions"],
    ]) {
      const error = await refused(OpenAI.BadRequestError, () => client.audio.speech.create({ ...voice, ...options }));
      assert.equal(error.param, param);
    }
  },

  async refused_requests() {
    for (const [options, param] of [
      [{ response_format: "diarized_json" }, "response_format"],
      [{ temperature: 3 }, "temperature"],
      [{ language: "klingon" }, "language"],
      [{ stream: true, response_format: "vtt" }, "stream"],
      [{ file: await toFile(Buffer.from("no audio"), "speech.wav") }, "file"],
      [{ file: await toFile(Buffer.alloc(0), "speech.wav") }, "file"],
    ]) {
      const error = await refused(OpenAI.BadRequestError, () => transcribe(options));
      assert.equal(error.param, param);
      assert.equal(error.type, "invalid_request_error");
      assert.ok(error.requestID);
    }
    const unknown = await refused(OpenAI.NotFoundError, () => transcribe({ model: "nope" }));
    assert.equal(unknown.code, "model_not_found");
    await refused(OpenAI.BadRequestError, () => translate({ model: "whisper-tiny.en" }));
    const large = await toFile(Buffer.concat([audio, Buffer.alloc(8_000_000)]), "speech.wav");
    assert.equal((await refused(OpenAI.APIError, () => transcribe({ file: large }))).status, 413);
  },

  async keys() {
    const stranger = client.withOptions({ apiKey: "wrong" });
    const error = await refused(OpenAI.AuthenticationError, () => stranger.models.list());
    assert.equal(error.code, "invalid_api_key");
  },

  async clients_that_leave() {
    const controller = new AbortController();
    const call = client.audio.transcriptions.create({ model, file: await file() }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await refused(OpenAI.APIUserAbortError, () => call);
    assert.ok(said((await transcribe()).text));
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}`);
    console.error(error);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
