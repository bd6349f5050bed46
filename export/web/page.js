// The page: gives the frames of frames.js to worker.js, and draws and saves what comes back.
// Whatever a file says (names of classes and of files) becomes text, never markup.
"use strict";

const VIEW_PX = 1280; // the longer side of what is drawn, at most
const RATE_MS = 2000; // what frames per second are counted over
const BACKENDS = { webgpu: "WebGPU", wasm: "WebAssembly" };

const $ = (id) => document.getElementById(id);
const view = $("view").getContext("2d");
const overlay = $("overlay").getContext("2d");

let facts, worker, paint, rows; // paint: label -> RGBA as a u32
let busy = false; // a frame is in the worker: others are dropped
let last = null; // the frame and labels that are shown
let probe = null; // where the pointer or the cross is, 0 to 1
let times = [];

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

// --- start -----------------------------------------------------------------------------------------------------------

start().catch((error) => {
  $("backend").textContent = "The network is not running.";
  say(error.message);
});

async function start() {
  if (location.protocol === "file:") {
    throw new Error("Browsers load no network from a file: run python -m http.server in this folder, and open http://localhost:8000");
  }
  if (!hasSimd()) {
    throw new Error("This browser has no WebAssembly SIMD, which the network needs: update it, or take another one.");
  }
  facts = await (await fetch("page.json")).json();
  const { network, classes } = facts;
  $("overlay").width = network.width;
  $("overlay").height = network.height;
  paint = new Uint32Array(256).fill(new Uint32Array(new Uint8Array([0, 0, 0, 255]).buffer)[0]);
  classes.forEach(({ color }, k) => (paint[k] = new Uint32Array(new Uint8Array([...color, 255]).buffer)[0]));
  rows = classes.map(legendRow);
  document.title = `${classes.length} classes, CGNet ${network.name}`;
  document.querySelector("h1").textContent = document.title;
  const equal = await chooseBackend();
  if (equal < facts.check.least_equal) {
    say(`The labels differ from ONNX Runtime's on ${percent(1 - equal)} of the check frame: don't trust them here.`);
  }
  worker.onmessage = ({ data }) => (data.kind === "labels" ? shown(data) : failed(data.text));
  worker.onerror = (event) => failed(event.message || "the worker stopped: reload the page");
  for (const id of ["camera", "open"]) $(id).disabled = false;
}

// ?backend=wasm or ?backend=webgpu takes that one.
async function chooseBackend() {
  const asked = new URLSearchParams(location.search).get("backend");
  const order = asked in BACKENDS ? [asked] : (await hasGpu()) ? ["webgpu", "wasm"] : ["wasm"];
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  for (const backend of order) {
    $("backend").textContent = `Loading for ${BACKENDS[backend]}.`;
    const isLast = backend === order.at(-1);
    worker = new Worker("worker.js", { type: "module" });
    try {
      const equal = await new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => (data.kind === "ready" ? resolve(data.equal) : reject(new Error(data.text)));
        worker.onerror = (event) => reject(new Error(event.message || "worker.js can't be loaded"));
        worker.postMessage({ kind: "start", facts, backend, threads });
      });
      if (isLast || equal >= facts.check.least_equal) {
        const { network } = facts;
        const used = backend === "wasm" && threads > 1 ? `${BACKENDS[backend]}, ${threads} threads` : BACKENDS[backend];
        $("backend").textContent =
          `${used}; ${network.precision}, ${network.width} x ${network.height} pixels; on a check frame ` +
          `${percent(equal)} of the labels are ONNX Runtime's.`;
        return equal;
      }
    } catch (error) {
      if (isLast) throw error;
    }
    worker.terminate();
  }
}

function hasSimd() {
  // A module of one function: v128.const 0, drop.
  const code = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 23, 1, 21, 0, 253, 12, ...Array(16).fill(0), 26, 11];
  return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(code));
}

async function hasGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

function legendRow({ name, color }) {
  const row = document.createElement("li");
  const [swatch, text, share] = ["swatch", "name", "share"].map((kind) => {
    const part = document.createElement("span");
    part.className = kind;
    row.append(part);
    return part;
  });
  swatch.style.backgroundColor = `rgb(${color.join(",")})`;
  text.textContent = name;
  $("classes").append(row);
  return { row, share };
}

const percent = (share) => `${(100 * share).toFixed(share > 0.99 && share < 1 ? 3 : 0)} %`;

// --- frames to the worker, labels back -------------------------------------------------------------------------------

function send(bitmap) {
  busy = true;
  worker.postMessage({ kind: "frame", bitmap }, [bitmap]);
}

function failed(text) {
  busy = false;
  say(`A frame was left out: ${text}`);
}

function shown(result) {
  const began = performance.now();
  busy = false;
  const { bitmap, labels, counts, ms } = result;
  const scale = Math.min(1, VIEW_PX / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  if ($("view").width !== width || $("view").height !== height) {
    $("view").width = width;
    $("view").height = height;
    $("stage").style.aspectRatio = `${width} / ${height}`;
    $("stage").style.maxWidth = `calc(78vh * ${width / height})`;
  }
  view.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const colours = new Uint32Array(labels.length);
  for (let i = 0; i < labels.length; i++) colours[i] = paint[labels[i]];
  overlay.putImageData(imageData(colours.buffer), 0, 0);
  last = result;
  $("hint").hidden = true;
  rows.forEach(({ share }, k) => (share.textContent = `${((100 * counts[k]) / labels.length).toFixed(1)} %`));
  for (const button of document.querySelectorAll("[data-save]")) button.disabled = false;
  nameUnderProbe();
  const now = performance.now();
  times = [...times, now].filter((time) => now - time < RATE_MS);
  const rate = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0;
  const figures = { fps: rate, copy: ms.copy, inference: ms.inference, drawing: now - began };
  for (const [id, value] of Object.entries(figures)) $(id).textContent = value ? value.toFixed(1) : "-";
}

const imageData = (buffer) => new ImageData(new Uint8ClampedArray(buffer), facts.network.width, facts.network.height);

function nameUnderProbe() {
  rows?.forEach(({ row }) => row.classList.remove("here"));
  $("under").textContent = "\u00a0";
  if (!last || !probe) return;
  const { width, height } = facts.network;
  const x = Math.min(width - 1, Math.floor(probe.x * width));
  const y = Math.min(height - 1, Math.floor(probe.y * height));
  const label = last.labels[y * width + x];
  rows[label]?.row.classList.add("here");
  $("under").textContent = `${facts.classes[label]?.name ?? `label ${label}`} at ${x}, ${y}`;
}

// Frame and overlay at the network's size; labels as a palette picture whose indices are the classes.
async function save(what) {
  const still = last; // the one shown now, whatever comes while it is written
  const { width, height } = facts.network;
  let blob;
  if (what === "labels") blob = await indexedPng(still.labels, width, height, facts.classes.map(({ color }) => color));
  else {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.putImageData(imageData(still.rgba.buffer), 0, 0);
    if (what === "overlay") {
      context.globalAlpha = $("opacity").value / 100;
      context.drawImage($("overlay"), 0, 0);
    }
    blob = await canvas.convertToBlob({ type: "image/png" });
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${what}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// --- controls --------------------------------------------------------------------------------------------------------

function setPaused(paused) {
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
}

$("camera").onclick = openCamera;
$("open").onclick = () => $("file").click();
$("file").onchange = ({ target }) => {
  if (target.files.length) openFile(target.files[0]);
  target.value = ""; // so that the same file may be chosen again
};
$("pause").onclick = () => {
  if (!source) return;
  if (source.paused) source.play();
  else source.pause();
  setPaused(source.paused);
};
$("opacity").oninput = ({ target }) => ($("overlay").style.opacity = target.value / 100);
for (const button of document.querySelectorAll("[data-save]")) button.onclick = () => save(button.dataset.save);

document.ondragover = (event) => {
  event.preventDefault();
  $("stage").classList.add("over");
};
document.ondragleave = () => $("stage").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file && !$("open").disabled) openFile(file);
};

$("stage").onpointermove = (event) => {
  const box = $("stage").getBoundingClientRect();
  point((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, false);
};
$("stage").onpointerleave = () => {
  probe = null;
  nameUnderProbe();
};
$("stage").onkeydown = (event) => {
  const step = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, -0.02], ArrowDown: [0, 0.02] }[event.key];
  if (!step) return;
  event.preventDefault();
  const from = probe ?? { x: 0.5, y: 0.5 };
  point(from.x + step[0], from.y + step[1], true);
};
$("stage").onblur = () => ($("cross").hidden = true);

function point(x, y, byKeys) {
  probe = { x: Math.min(0.999, Math.max(0, x)), y: Math.min(0.999, Math.max(0, y)) };
  $("cross").hidden = !byKeys;
  $("cross").style.left = `${100 * probe.x}%`;
  $("cross").style.top = `${100 * probe.y}%`;
  nameUnderProbe();
}
