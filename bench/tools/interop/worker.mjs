// One file in one consumer, by Node: node worker.mjs SNIPPET MODEL FOLDER
// FOLDER/batches.json: [{name, type, dims}]; NAME.in holds the bytes of each input, NAME.out gets those of the output.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [snippet, model, folder] = process.argv.slice(2);
const { load, Tensor } = await import(pathToFileURL(snippet));
const run = await load(model);
const results = [];
for (const { name, type, dims } of JSON.parse(fs.readFileSync(`${folder}/batches.json`))) {
  const bytes = new Uint8Array(fs.readFileSync(`${folder}/${name}.in`)).buffer;
  const y = await run(new Tensor(type, type === "uint8" ? new Uint8Array(bytes) : new Float32Array(bytes), dims));
  fs.writeFileSync(`${folder}/${name}.out`, Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
  results.push({ name, type: y.type, dims: y.dims });
}
fs.writeFileSync(`${folder}/results.json`, JSON.stringify(results));
