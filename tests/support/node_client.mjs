// What the openai package for Node gets from a server, as JSON: node node_client.mjs BASE CLIP PACKAGE
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [base, clip, installed] = process.argv.slice(2);
const { OpenAI, toFile } = await import(pathToFileURL(`${installed}/index.mjs`));
const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const { transcriptions, translations } = client.audio;
const found = {};

async function tell(name, ask) {
  try {
    found[name] = await ask();
  } catch (error) {
    const { status, code, param, type, message } = error;
    found[name] = { error: error.constructor.name, status, code, param, type, message };
  }
}

const asked = (more) => ({ file: fs.createReadStream(clip), model: "whisper-1", language: "en", ...more });
const timed = { response_format: "verbose_json", timestamp_granularities: ["word", "segment"] };

async function all(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

await tell("models", async () => (await all(client.models.list())).map((one) => one.id));
await tell("model", () => client.models.retrieve("Systran/faster-whisper-base"));
await tell("plain", () => transcriptions.create(asked()));
await tell("text", () => transcriptions.create(asked({ response_format: "text" })));
await tell("timed", () => transcriptions.create(asked(timed)));
await tell("diarized", () => transcriptions.create(asked({ response_format: "diarized_json", chunking_strategy: "auto" })));
await tell("detection", () => transcriptions.create(asked({ chunking_strategy: { type: "server_vad" } })));
await tell("hints", () => transcriptions.create(asked({ prompt: "A test.", temperature: 0 })));
await tell("stream", () => all(transcriptions.create(asked({ stream: true }))));
await tell("english", () => translations.create({ file: fs.createReadStream(clip), model: "whisper-1" }));
await tell("name", async () => transcriptions.create(asked({ file: await toFile(fs.readFileSync(clip), "통화 녹음.wav") })));
await tell("no_model", () => transcriptions.create(asked({ model: "nova" })));
await tell("no_audio", async () => transcriptions.create(asked({ file: await toFile(Buffer.from("no audio"), "a.wav") })));
await tell("include", () => transcriptions.create(asked({ include: ["logprobs"] })));
await tell("head", async () => {
  const answer = await transcriptions.create(asked()).asResponse();
  return [answer.status, answer.headers.get("x-stt-coverage"), answer.headers.get("x-request-id")];
});
console.log(JSON.stringify(found));
