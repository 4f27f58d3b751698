// The page's own script, run by the widget `src.app.uploads.UploadArea`: photos go to Python and files come
// back in binary messages, in parts, as a Jupyter server cuts the connection at a message over 10 MB.
// It also moves the maps, copies hashtags, and says when the server has ended the session.

const PART = 2 * 2 ** 20; // bytes in one message
const TIMEOUT = 60_000; // milliseconds for one part to be sent and dealt with
const CHECK = 60_000; // milliseconds between two questions whether the session still runs

function render({ model, el }) {
  const leave = new AbortController();
  const page = {
    model,
    el,
    signal: leave.signal,
    app: () => el.closest(".lt-app"),
    part: (selector) => el.querySelector(selector),
  };
  el.classList.add("lt-upload");
  el.innerHTML = model.get("markup");
  const attached = new ResizeObserver(() => {
    if (!page.app()) return;
    attached.disconnect();
    if (document.body.dataset.voila) page.app().setAttribute("role", "main");
    page.app().querySelector(".lt-status").setAttribute("role", "status");
  });
  attached.observe(el);
  sendPhotos(page, watchSession(page));
  receiveFiles(page);
  moveMaps(page);
  pickPlaces(page);
  keepFocus(page);
  copyHashtags(page);
  return () => { attached.disconnect(); leave.abort(); };
}

// The label opens the file chooser, for mouse, keyboard and screen reader; the area around it takes drops.
// An input elsewhere on the page that is marked for it sends its files the same way.
function sendPhotos({ model, signal, part, app }, sessionEnded) {
  const [drop, input, sending] = [".lt-drop", "input", ".lt-sending"].map(part);
  let queue = [];
  let working = false;

  // Resolves when Python has dealt with a message.
  function received() {
    return new Promise((resolve, reject) => {
      const stop = () => { model.off("msg:custom", onMessage); clearTimeout(timer); };
      const onMessage = ({ kind }) => { if (kind === "received") { stop(); resolve(); } };
      const timer = setTimeout(() => { stop(); reject(new Error("no answer")); }, TIMEOUT);
      model.on("msg:custom", onMessage);
    });
  }

  async function send(file, photo) {
    const tooLarge = file.size > model.get("limit"); // only its name and size go, for the answer that says so
    const parts = tooLarge ? 1 : Math.max(1, Math.ceil(file.size / PART));
    for (let part = 1; part <= parts; part++) {
      const data = tooLarge ? new ArrayBuffer(0) : await bytesOf(file.slice((part - 1) * PART, part * PART));
      const percent = Math.round((100 * (part - 1)) / parts);
      sending.textContent = parts > 1 ? `Sending photo ${photo} of ${queue.length}: ${percent} %` : "";
      const answered = received();
      const { name, size } = file;
      model.send({ name, size, photo, of: queue.length, part, parts }, undefined, [data]);
      await answered;
    }
    sending.textContent = "";
  }

  async function add(files) {
    queue.push(...files);
    if (working) return;
    working = true;
    try {
      const ended = await sessionEnded();
      for (let i = 0; i < queue.length && !ended; i++) await send(queue[i], i + 1);
    } catch {
      sending.textContent = "The server does not answer; please reload the page and send the photos again.";
    }
    queue = [];
    working = false;
  }

  document.addEventListener("change", ({ target }) => {
    if (!app()?.contains(target) || !(target === input || target.matches("[data-send]"))) return;
    const files = Array.from(target.files);
    target.value = ""; // so that the same file may come again
    add(files);
  }, { signal });
  drop.addEventListener("click", (event) => {
    if (!event.target.closest("label")) input.click();
  }, { signal });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("lt-over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") add(Array.from(event.dataTransfer.files));
    }, { signal });
  }
}

// A file that cannot be read, as a folder that was dropped, sends nothing: the answer says so, and others go on.
function bytesOf(blob) {
  return blob.arrayBuffer().catch(() => new ArrayBuffer(0));
}

function receiveFiles({ model }) {
  let parts = [];
  model.on("msg:custom", ({ kind, name, type, part, last }, [data]) => {
    if (kind !== "file") return;
    if (part === 1) parts = []; // what there is of an earlier file was broken off
    parts.push(data);
    if (!last) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    parts = [];
  });
}

// Maps: drag to move, wheel or buttons to zoom; pins keep their size.
const WIDTHS = [500, 36_000]; // units of world.svg: its coasts are not drawn finer than for that; and the whole of it
const NEAR = 6_000; // what is shown around a position that is written, as of a country and those around it
const boxOf = (svg) => svg.getAttribute("viewBox").split(" ").map(Number);

// Where coasts and borders bend, two numbers each: what there is on a map to find one's way by.
let bends;
function readBends() {
  const found = [];
  for (const path of document.querySelectorAll("#lt-world path")) {
    for (const line of path.getAttribute("d").split("M").slice(1)) {
      const steps = line.match(/-?\d+/g).map(Number);
      for (let i = 0, x = 0, y = 0; i < steps.length; i += 2) found.push((x += steps[i]), (y += steps[i + 1]));
    }
  }
  return Float32Array.from(found);
}

// Whether a map shows too little of them to tell where it is.
const ENOUGH = 20;
function isBlank([x, y, width, height]) {
  if (!bends?.length) bends = readBends();
  const [middleX, middleY, reachX, reachY] = [x + width / 2, y + height / 2, 0.45 * width, 0.45 * height];
  let count = 0;
  for (let i = 0; i < bends.length && count < ENOUGH; i += 2) {
    if (Math.abs(bends[i] - middleX) < reachX && Math.abs(bends[i + 1] - middleY) < reachY) count++;
  }
  return count < ENOUGH;
}

function setBox(svg, [x, y, width, height]) {
  svg.setAttribute("viewBox", [x, y, width, height].join(" "));
  const scale = width / (svg.clientWidth || 420);
  for (const { dataset, transform } of svg.querySelectorAll(".lt-mark")) {
    transform.baseVal.getItem(0).setTranslate(dataset.x, dataset.y);
    transform.baseVal.getItem(1).setScale(scale, scale);
  }
}

function zoom(svg, factor, atX = 0.5, atY = 0.5) {
  const [x, y, width, height] = boxOf(svg);
  const wider = Math.min(WIDTHS[1], Math.max(WIDTHS[0], width * factor));
  const higher = (height * wider) / width;
  const box = [x + (width - wider) * atX, y + (height - higher) * atY, wider, higher];
  if (wider >= width || !isBlank(box)) setBox(svg, box);
  sayWhatIsLeft(svg);
}

// A map that was moved to where hardly anything is drawn shows more, until there is something.
function showSomething(svg) {
  while (isBlank(boxOf(svg)) && boxOf(svg)[2] < WIDTHS[1]) zoom(svg, 2);
  sayWhatIsLeft(svg);
}

// Buttons that would do nothing say so; they keep the focus.
function sayWhatIsLeft(svg) {
  const [x, y, width, height] = boxOf(svg);
  const half = [x + width / 4, y + height / 4, width / 2, height / 2];
  const [nearer, farther] = svg.parentElement.querySelectorAll("[data-zoom]");
  nearer.setAttribute("aria-disabled", width <= WIDTHS[0] || isBlank(half));
  farther.setAttribute("aria-disabled", width >= WIDTHS[1]);
}

// Cards come and go, so the document listens for all of them.
function moveMaps({ app, signal }) {
  const mapAt = ({ target }) => (app()?.contains(target) ? target.closest(".lt-map svg") : null);
  document.addEventListener("click", ({ target }) => {
    const factor = app()?.contains(target) && target.dataset?.zoom;
    if (factor) zoom(target.closest(".lt-map").querySelector("svg"), Number(factor));
  }, { signal });
  document.addEventListener("wheel", (event) => {
    const svg = mapAt(event);
    if (!svg || !(event.ctrlKey || event.metaKey)) return; // the wheel alone scrolls the page
    event.preventDefault();
    const { left, top, width, height } = svg.getBoundingClientRect();
    zoom(svg, 2 ** (event.deltaY / 200), (event.clientX - left) / width, (event.clientY - top) / height);
  }, { passive: false, signal });
  document.addEventListener("pointerdown", (event) => {
    const svg = mapAt(event);
    if (!svg) return;
    event.preventDefault();
    const [x, y, width, height] = boxOf(svg);
    const scale = width / svg.clientWidth;
    const end = new AbortController();
    document.addEventListener("pointermove", ({ clientX, clientY }) => {
      setBox(svg, [x - (clientX - event.clientX) * scale, y - (clientY - event.clientY) * scale, width, height]);
    }, { signal: end.signal });
    for (const kind of ["pointerup", "pointercancel"]) {
      document.addEventListener(kind, () => { end.abort(); showSomething(svg); }, { signal: end.signal });
    }
  }, { signal });
}

// A map in a form is there to pick a place on, by a click or by keys; the place is written into the form.
function pickPlaces({ app, signal }) {
  const mapAt = (target) => (app()?.contains(target) ? target.closest("svg[data-pick]") : null);
  const position = (form) => form.querySelector(".lt-position input");
  const pinOf = (svg) => svg.querySelector(".lt-mark:not(.lt-cross)");
  const crossOf = (svg) => svg.querySelector(".lt-cross");

  function put(mark, x, y) {
    Object.assign(mark.dataset, { x, y });
    mark.style.display = "";
  }

  function pick(svg, x, y) {
    const latitude = Math.atan(Math.sinh((-y / 100) * (Math.PI / 180))) * (180 / Math.PI);
    const longitude = ((((x / 100 + 180) % 360) + 360) % 360) - 180;
    const form = svg.closest(".lt-form");
    const digits = Math.max(0, Math.round(-Math.log10(boxOf(svg)[2] / svg.clientWidth / 100))); // of a pixel
    position(form).value = `${latitude.toFixed(digits)}, ${longitude.toFixed(digits)}`;
    position(form).dispatchEvent(new Event("input", { bubbles: true })); // which ipywidgets listens to
    form.querySelector(".lt-heard").textContent = `Picked ${position(form).value}`;
  }

  document.addEventListener("input", ({ target, isTrusted }) => { // what is written is shown on the map
    const form = app()?.contains(target) && target.closest(".lt-position") && target.closest(".lt-form");
    const [, latitude, longitude] = (form && /^\s*(-?[\d.]+)\s*[,;\s]\s*(-?[\d.]+)\s*$/.exec(target.value)) || [];
    if (!latitude || Math.abs(latitude) > 85) return;
    const svg = form.querySelector("svg[data-pick]");
    const y = -100 * Math.log(Math.tan(Math.PI / 4 + (latitude * Math.PI) / 360)) * (180 / Math.PI);
    put(pinOf(svg), 100 * longitude, y);
    const [, , width, height] = boxOf(svg);
    const wide = Math.min(width, NEAR);
    const high = (height * wide) / width;
    // A click on the map comes here too, and moves nothing.
    setBox(svg, isTrusted ? [100 * longitude - wide / 2, y - high / 2, wide, high] : boxOf(svg));
    showSomething(svg);
  }, { signal });

  let from = null; // where the pointer went down: moving the map is no click
  document.addEventListener("pointerdown", ({ clientX, clientY }) => { from = [clientX, clientY]; }, { signal });
  document.addEventListener("click", ({ target, clientX, clientY }) => {
    const svg = mapAt(target);
    if (!svg || (from && Math.hypot(clientX - from[0], clientY - from[1]) > 5)) return;
    const [x, y, width] = boxOf(svg);
    const { left, top } = svg.getBoundingClientRect();
    const scale = width / svg.clientWidth;
    pick(svg, x + (clientX - left) * scale, y + (clientY - top) * scale);
  }, { signal });

  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    const svg = mapAt(event.target);
    if (!svg || event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y, width, height] = boxOf(svg);
    const step = STEPS[event.key];
    if (step) setBox(svg, [x + (step[0] * width) / 16, y + (step[1] * width) / 16, width, height]);
    else if (event.key === "+" || event.key === "-") zoom(svg, event.key === "+" ? 0.5 : 2);
    else if (event.key === "Enter" || event.key === " ") pick(svg, x + width / 2, y + height / 2);
    else return;
    event.preventDefault();
    showSomething(svg);
    const [left, top, wide, high] = boxOf(svg);
    put(crossOf(svg), left + wide / 2, top + high / 2);
    setBox(svg, boxOf(svg));
  }, { signal });
  document.addEventListener("focusin", ({ target }) => {
    const svg = mapAt(target);
    if (!svg) return;
    const [x, y, width, height] = boxOf(svg);
    put(crossOf(svg), x + width / 2, y + height / 2);
    setBox(svg, boxOf(svg));
  }, { signal });
}

// What was pressed may be gone with what it opens or ends: the focus goes to what comes in its place.
function keepFocus({ app, signal }) {
  function watch({ target, key }) {
    const box = app()?.contains(target) && target.matches("button, input") && target.closest(".lt-correcting");
    if (!box || (key && key !== "Enter")) return;
    const changes = new MutationObserver(() => {
      const next = box.querySelector("input, button");
      if (!next || document.activeElement !== document.body) return;
      changes.disconnect();
      next.focus();
    });
    changes.observe(box, { childList: true, subtree: true });
    setTimeout(() => changes.disconnect(), 10_000);
  }
  for (const kind of ["click", "keydown"]) document.addEventListener(kind, watch, { signal });
}

function copyHashtags({ app, signal }) {
  document.addEventListener("click", async ({ target: button }) => {
    if (!app()?.contains(button) || !button.matches("[data-copy]")) return;
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch { // no clipboard outside of https and localhost
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }, { signal });
}

// Under Voila each page has a session (a kernel) of its own. Gives a function that asks whether it has ended.
function watchSession({ signal, part }) {
  const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}");
  if (!config.kernelId) return async () => false;

  // A page that is left gives its place to the next visitor at once, and its photos are forgotten.
  addEventListener("pagehide", (event) => {
    if (event.persisted) return; // the browser may show it again as it is
    const form = new FormData();
    form.append("_xsrf", crossSiteToken());
    navigator.sendBeacon(`${config.baseUrl}voila/api/shutdown/${config.kernelId}`, form);
  }, { signal });

  // The server ends a session that nobody uses, and tells the page nothing of it.
  async function ended() {
    const { status } = await fetch(`${config.baseUrl}api/kernels/${config.kernelId}`).catch(() => ({}));
    if (status === 404) part(".lt-ended").hidden = false;
    return status === 404;
  }
  const check = () => { if (!document.hidden) ended(); };
  const timer = setInterval(check, CHECK);
  signal.addEventListener("abort", () => clearInterval(timer));
  document.addEventListener("visibilitychange", check, { signal });
  part(".lt-ended button").addEventListener("click", () => location.reload(), { signal });
  return ended;
}

// What shows the server that a request comes from a page of its own: the same in cookie and form.
function crossSiteToken() {
  const cookie = /(?:^|; )_xsrf=([^;]*)/;
  if (!cookie.test(document.cookie)) {
    document.cookie = `_xsrf=${crypto.getRandomValues(new Uint32Array(4)).join("")}; path=/; SameSite=Strict`;
  }
  return document.cookie.match(cookie)?.[1] ?? "";
}

export default { render };
