// The page: takes frames from the camera, a picture or a video, gives them to worker.js, and draws what comes back.
// Whatever a file says (names of classes and of files) becomes text, never markup.
"use strict";

const MAX_SIDE_PX = 8192;
const MAX_PIXELS = 1 << 25;
const VIEW_PX = 1280; // the longer side of what is drawn, at most
const RATE_MS = 2000; // what frames per second are counted over
const BACKENDS = { webgpu: "WebGPU", wasm: "WebAssembly" };

const $ = (id) => document.getElementById(id);
const view = $("view").getContext("2d");
const overlay = $("overlay").getContext("2d");

let facts, worker, paint, rows; // paint: label -> RGBA as a u32
let busy = false; // a frame is in the worker: others are dropped
let source = null; // the <video> of a camera or a file
let last = null; // the frame and labels that are shown
let probe = null; // where the pointer or the cross is, 0 to 1
let turn = 0; // counts what was opened, so that a slow one does not replace a later one
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

// --- frames in -------------------------------------------------------------------------------------------------------

const IN_WORDS = {
  NotAllowedError: "The camera was refused: allow it for this page in the browser's settings, then press Camera again.",
  NotFoundError: "No camera was found: connect one, or open a picture or a video.",
  NotReadableError: "The camera can't be read: another program may be using it.",
};

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return say("Browsers give the camera to https:// and localhost only: open this page from one of them.");
  }
  const mine = ++turn;
  const { width, height } = facts.network;
  let stream;
  try {
    const wanted = { facingMode: { ideal: "environment" }, aspectRatio: { ideal: width / height }, width: { ideal: Math.max(width, 640) } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  } catch (error) {
    return say(IN_WORDS[error.name] ?? `The camera can't be used: ${error.message}`);
  }
  const [track] = stream.getVideoTracks();
  const video = newVideo();
  video.srcObject = stream;
  track.onended = () => {
    if (source !== video) return;
    stop();
    say("The camera was unplugged or taken away: connect it and press Camera again.");
  };
  await play(video, mine, "the camera");
}

async function openFile(file) {
  const mine = ++turn;
  const url = URL.createObjectURL(file);
  const kind = file.type.split("/")[0];
  const opened = kind === "video" || kind === "audio" ? await openVideo(url, file.name, mine) : await openPicture(url, file.name, mine);
  if (!opened) URL.revokeObjectURL(url);
}

async function openPicture(url, name, mine) {
  const image = new Image();
  image.src = url;
  const loaded = await new Promise((resolve) => {
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
  });
  if (!loaded) return say(`${name} is neither a picture nor a video that this browser reads.`);
  const { naturalWidth: width, naturalHeight: height } = image;
  if (!fits(width, height)) return say(tooLarge(name, width, height));
  let bitmap;
  try {
    bitmap = await createImageBitmap(image);
  } catch (error) {
    return say(`${name} can't be decoded: ${error.message}`);
  }
  while (busy) await new Promise((resolve) => setTimeout(resolve, 5)); // a video's frame; at most one
  if (mine !== turn) return bitmap.close();
  stop();
  say("");
  times = [];
  send(bitmap);
  return false; // its address is not needed any more
}

async function openVideo(url, name, mine) {
  const video = newVideo();
  video.loop = true;
  video.src = url;
  return play(video, mine, name);
}

function newVideo() {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  return video;
}

// Whether it became the source. What was shown goes on where it did not.
async function play(video, mine, name) {
  const known = await new Promise((resolve) => {
    video.onloadedmetadata = () => resolve(true);
    video.onerror = () => resolve(false);
  });
  const { videoWidth: width, videoHeight: height } = video;
  let problem = "";
  if (!known) problem = `${name} is no video that this browser plays.`;
  else if (!fits(width, height)) problem = width && height ? tooLarge(name, width, height) : `${name} has no picture: its frames are ${width} x ${height} pixels.`;
  if (problem || mine !== turn) {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.removeAttribute("src");
    if (problem) say(problem);
    return false;
  }
  stop();
  say("");
  source = video;
  times = [];
  $("pause").disabled = false;
  video.onerror = () => source === video && say(`${name} can't be played to its end: it is damaged.`);
  watch(video);
  await video.play().catch(() => {}); // another source came first
  return true;
}

const fits = (width, height) => width > 0 && height > 0 && Math.max(width, height) <= MAX_SIDE_PX && width * height <= MAX_PIXELS;
const tooLarge = (name, width, height) => `${name} is ${width} x ${height} pixels: a side may have ${MAX_SIDE_PX}, and all ${MAX_PIXELS}.`;

function stop() {
  if (source) {
    source.pause();
    source.srcObject?.getTracks().forEach((track) => track.stop());
    if (source.src) URL.revokeObjectURL(source.src);
  }
  source = null;
  $("pause").disabled = true;
  setPaused(false);
}

function watch(video) {
  const next = () => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(frame) : requestAnimationFrame(frame));
  const frame = async () => {
    if (source !== video) return;
    next();
    if (busy || video.paused) return;
    busy = true;
    try {
      send(await createImageBitmap(video));
    } catch {
      busy = false; // no frame yet
    }
  };
  next();
}

function send(bitmap) {
  busy = true;
  worker.postMessage({ kind: "frame", bitmap }, [bitmap]);
}

// --- labels out ------------------------------------------------------------------------------------------------------

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

// --- PNG -------------------------------------------------------------------------------------------------------------

// Frame and overlay at the network's size; labels as a palette picture whose indices are the classes.
async function save(what) {
  const still = last; // the one shown now, whatever comes while it is written
  const { width, height } = facts.network;
  let blob;
  if (what === "labels") blob = await indexedPng(still.labels, width, height);
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

async function indexedPng(labels, width, height) {
  const lines = new Uint8Array((width + 1) * height); // each line begins with its filter, 0: none
  for (let y = 0; y < height; y++) lines.set(labels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, 3], 8); // 8 bits, palette
  const palette = new Uint8Array(768);
  facts.classes.forEach(({ color }, k) => palette.set(color, 3 * k));
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  const parts = [chunk("IHDR", header), chunk("PLTE", palette), chunk("IDAT", data), chunk("IEND", new Uint8Array())];
  return new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), ...parts], { type: "image/png" });
}

function chunk(kind, data) {
  const bytes = new Uint8Array(data.length + 12);
  bytes.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  const numbers = new DataView(bytes.buffer);
  numbers.setUint32(0, data.length);
  numbers.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
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
