// Both workers by turns on the check frame: the milliseconds of each frame, and the share of labels that are equal.
async ({ rounds, frames, threads, plain }) => {
  worker.terminate(); // the page's own
  const image = await createImageBitmap(await (await fetch("check.png")).blob());
  const start = (script, type, message) =>
    new Promise((resolve, reject) => {
      const started = new Worker(script, { type });
      started.onmessage = ({ data }) => (data.kind === "ready" ? resolve(started) : reject(new Error(data.text)));
      started.postMessage({ kind: "start", threads, ...message });
    });
  const one = async (of) => {
    const bitmap = await createImageBitmap(image);
    const began = performance.now();
    const { kind, text, labels } = await new Promise((resolve) => {
      of.onmessage = ({ data }) => resolve(data);
      of.postMessage({ kind: "frame", bitmap }, [bitmap]);
    });
    if (kind !== "labels") throw new Error(text);
    return { ms: performance.now() - began, labels };
  };
  const ours = await start("worker.js", "module", { facts, backend: "wasm" });
  const theirs = await start("plain.js", "module", plain);
  const [mine, usual] = [await one(ours), await one(theirs)]; // the first plans memory, and is not counted
  const equal = mine.labels.reduce((sum, label, i) => sum + (label === usual.labels[i]), 0) / mine.labels.length;
  const ms = { page: [], plain: [] };
  for (let round = 0; round < rounds; round++) {
    for (const [name, of] of [["page", ours], ["plain", theirs]]) {
      for (let i = 0; i < frames; i++) ms[name].push((await one(of)).ms);
    }
  }
  return { equal, ms };
}
