// Where frames come from: the camera, a picture or a video. Each goes to send() of page.js, one at a time.
"use strict";

const MAX_SIDE_PX = 8192;
const MAX_PIXELS = 1 << 25;

let source = null; // the <video> of a camera or a file
let turn = 0; // counts what was opened, so that a slow one does not replace a later one

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
