// Runs the network beside the page, which so never stalls. Messages in: {kind: "start", facts, backend, threads}, then
// {kind: "frame", bitmap}, one at a time. Out: {kind: "ready", equal}, {kind: "labels", ...} or {kind: "error", text}.

let ort, session, facts, width, height, context, frames;

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "start") await start(data);
    else await label(data.bitmap);
  } catch (error) {
    data.bitmap?.close();
    self.postMessage({ kind: "error", text: String(error?.message ?? error) });
  }
};

// The browser refuses a file whose hash is not the one given.
async function load(url, integrity) {
  let response;
  try {
    response = await fetch(url, integrity ? { integrity } : {});
  } catch {
    throw new Error(`${url} can't be reached, or is not the file that this page was made with`);
  }
  if (!response.ok) throw new Error(`${url} can't be loaded: HTTP ${response.status}`);
  return response.blob();
}

async function start({ facts: given, backend, threads }) {
  facts = given;
  ({ width, height } = facts.network);
  // Opaque, so that transparent pixels are black, and in memory, where pixels are read back from.
  context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
  frames = new Uint8Array(width * height * 3);
  const [script, binary, network] = await Promise.all(
    [...facts.runtime[backend], { url: facts.network.file, integrity: facts.network.integrity }].map((file) =>
      load(file.url, file.integrity),
    ),
  );
  // Its own threads start from this address too, so it is not revoked.
  ort = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = await binary.arrayBuffer();
  session = await ort.InferenceSession.create(new Uint8Array(await network.arrayBuffer()), {
    executionProviders: [backend],
    logSeverityLevel: 3,
  });
  self.postMessage({ kind: "ready", equal: await check() });
}

// The share of the check frame's pixels whose label is ONNX Runtime's in Python.
async function check() {
  const bitmaps = [facts.check.frame, facts.check.labels].map(async (url) =>
    createImageBitmap(await load(url), { colorSpaceConversion: "none", premultiplyAlpha: "none" }),
  );
  const wanted = pixels(await bitmaps[1]);
  const { labels } = await infer(pixels(await bitmaps[0]));
  let equal = 0;
  for (let i = 0; i < labels.length; i++) equal += labels[i] === wanted[4 * i];
  return equal / labels.length;
}

// (H, W, 4) u8 RGBA of the network's size.
function pixels(bitmap) {
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

async function infer(rgba) {
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
    frames[j] = rgba[i + 2];
    frames[j + 1] = rgba[i + 1];
    frames[j + 2] = rgba[i];
  }
  const fed = performance.now();
  const input = new ort.Tensor("uint8", frames, [1, height, width, 3]);
  const labels = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
  return { labels: Uint8Array.from(await labels.getData(true)), fed, done: performance.now() };
}

async function label(bitmap) {
  const started = performance.now();
  const rgba = pixels(bitmap);
  const { labels, fed, done } = await infer(rgba);
  const counts = new Uint32Array(256);
  for (const k of labels) counts[k]++;
  const ms = { copy: fed - started, inference: done - fed };
  self.postMessage({ kind: "labels", bitmap, rgba, labels, counts, ms }, [bitmap, rgba.buffer, labels.buffer]);
}
