// What one writes around a graph of torch.onnx.export: planes of floats before it, the largest of the logits behind it.
// Messages as of worker.js; the start has the names of files, mean and std, and the order of channels too.

let ort, session, given, context, planes;

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "start") await start(data);
    else await label(data.bitmap);
  } catch (error) {
    self.postMessage({ kind: "error", text: String(error?.message ?? error) });
  }
};

async function start(data) {
  given = data;
  context = new OffscreenCanvas(data.width, data.height).getContext("2d", { alpha: false, willReadFrequently: true });
  planes = new Float32Array(3 * data.width * data.height);
  const [script, binary] = data.runtime;
  ort = await import(script);
  ort.env.wasm.numThreads = data.threads;
  ort.env.wasm.wasmPaths = { wasm: new URL(binary, location).href };
  session = await ort.InferenceSession.create(data.model, { executionProviders: ["wasm"] });
  self.postMessage({ kind: "ready" });
}

async function label(bitmap) {
  const { width, height, mean, std, order } = given;
  const began = performance.now();
  context.drawImage(bitmap, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const size = width * height;
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < size; i++) planes[c * size + i] = (rgba[4 * i + order[c]] - mean[c]) / std[c];
  }
  const input = new ort.Tensor("float32", planes, [1, 3, height, width]);
  const logits = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
  const labels = new Uint8Array(size);
  const [values, classes] = [logits.data, logits.dims[1]];
  for (let i = 0; i < size; i++) {
    let best = values[i];
    for (let k = 1; k < classes; k++) {
      if (values[k * size + i] > best) {
        best = values[k * size + i];
        labels[i] = k;
      }
    }
  }
  self.postMessage({ kind: "labels", labels, ms: performance.now() - began }, [labels.buffer]);
}
