// Drag and drop and photos sent in parts, for the ipywidgets FileUpload of the app; downloads; maps.
(() => {
  if (window.landmarkTagger) return; // the notebook cell was run again
  window.landmarkTagger = true;

  const PART = 2 * 2 ** 20; // bytes in one message; Jupyter servers take 10 MB unless told otherwise
  const PATIENCE = 60_000; // milliseconds for one part to be sent and dealt with

  // FileUpload keeps its <input> outside the document and opens it by click(): caught here, once.
  function inputOf(button) {
    const open = HTMLInputElement.prototype.click;
    let input = null;
    HTMLInputElement.prototype.click = function () { input = this; };
    try { button.click(); } finally { HTMLInputElement.prototype.click = open; }
    return input;
  }

  // Resolves when the app has dealt with a message.
  function receipt(app) {
    return new Promise((resolve, reject) => {
      const seen = new MutationObserver(() => { stop(); resolve(); });
      const timer = setTimeout(() => { stop(); reject(new Error("no receipt")); }, PATIENCE);
      const stop = () => { seen.disconnect(); clearTimeout(timer); };
      seen.observe(app.querySelector(".lt-receipt"), { childList: true, subtree: true });
    });
  }

  function improve(app) {
    const drop = app.querySelector(".lt-drop");
    const button = app.querySelector("button.widget-upload");
    const input = inputOf(button);
    if (!input) return;
    const limit = Number(app.querySelector("[data-limit]").dataset.limit);
    const sending = document.createElement("p");
    sending.className = "lt-sending";
    drop.after(sending);
    for (const live of [sending, app.querySelector(".lt-status")]) live.setAttribute("role", "status");
    button.setAttribute("aria-label", "Choose photos");

    let queue = [];
    let working = false;
    let passing = false; // the change event is ours and meant for FileUpload

    async function send(file, number) {
      const tooLarge = file.size > limit; // only its name and size go, for the answer that says so
      const parts = tooLarge ? 1 : Math.max(1, Math.ceil(file.size / PART));
      for (let part = 1; part <= parts; part++) {
        const content = tooLarge ? [] : [file.slice((part - 1) * PART, part * PART)];
        const of = `photo=${number}/${queue.length}; part=${part}/${parts}; size=${file.size}`;
        const list = new DataTransfer();
        list.items.add(new File(content, file.name, { type: `application/x-photo-part; ${of}` }));
        const percent = Math.round((100 * (part - 1)) / parts);
        sending.textContent =
          parts > 1 ? `Sending photo ${number} of ${queue.length}: ${percent} %` : "";
        const answered = receipt(app);
        passing = true;
        input.files = list.files;
        input.dispatchEvent(new Event("change"));
        passing = false;
        await answered;
      }
      sending.textContent = "";
    }

    async function add(files) {
      queue.push(...files);
      if (working) return;
      working = true;
      try {
        for (let i = 0; i < queue.length; i++) await send(queue[i], i + 1);
      } catch {
        sending.textContent = "The server does not answer; please reload the page and send the photos again.";
      }
      queue = [];
      working = false;
    }

    input.addEventListener("change", (event) => {
      if (passing) return;
      event.stopImmediatePropagation();
      add(Array.from(input.files));
    }, true);
    drop.addEventListener("click", (event) => {
      if (!button.contains(event.target)) button.click();
    });
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("lt-over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop") add(Array.from(event.dataTransfer.files));
      });
    }
  }

  // Downloads come in parts, each of which replaces the one before in the page.
  function receiveParcels(app) {
    let parts = [];
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) {
        for (const node of addedNodes) {
          if (!node.dataset?.name) continue;
          parts.push(Uint8Array.from(atob(node.textContent), (c) => c.charCodeAt(0)));
          if (node.dataset.last !== "1") continue;
          const link = document.createElement("a");
          link.href = URL.createObjectURL(new Blob(parts, { type: node.dataset.kind }));
          link.download = node.dataset.name;
          link.click();
          setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
          parts = [];
        }
      }
    }).observe(app.querySelector(".lt-parcel"), { childList: true, subtree: true });
  }

  // Maps: drag to move, wheel or buttons to zoom; pins keep their size.
  const WIDTHS = [20, 36_000]; // units of world.svg: a fifth of a degree, and the whole of it
  const boxOf = (svg) => svg.getAttribute("viewBox").split(" ").map(Number);

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
    setBox(svg, [x + (width - wider) * atX, y + (height - higher) * atY, wider, higher]);
  }

  document.addEventListener("click", (event) => {
    const { zoom: factor } = event.target.dataset ?? {};
    if (factor) zoom(event.target.closest(".lt-map").querySelector("svg"), Number(factor));
    if (event.target.matches?.("[data-copy]")) copy(event.target);
  });
  document.addEventListener("wheel", (event) => {
    const svg = event.target.closest?.(".lt-map svg");
    if (!svg || !(event.ctrlKey || event.metaKey)) return; // the wheel alone scrolls the page
    event.preventDefault();
    const { left, top, width, height } = svg.getBoundingClientRect();
    zoom(svg, 2 ** (event.deltaY / 200), (event.clientX - left) / width, (event.clientY - top) / height);
  }, { passive: false });
  document.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest?.(".lt-map svg");
    if (!svg) return;
    event.preventDefault();
    const [x, y, width, height] = boxOf(svg);
    const scale = width / svg.clientWidth;
    const move = ({ clientX, clientY }) =>
      setBox(svg, [x - (clientX - event.clientX) * scale, y - (clientY - event.clientY) * scale, width, height]);
    const stop = () => {
      document.removeEventListener("pointermove", move);
      for (const kind of ["pointerup", "pointercancel"]) document.removeEventListener(kind, stop);
    };
    document.addEventListener("pointermove", move);
    for (const kind of ["pointerup", "pointercancel"]) document.addEventListener(kind, stop);
  });

  async function copy(button) {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch { // no clipboard outside of https and localhost
      getSelection().selectAllChildren(text);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  // What shows the server that a request comes from a page of its own: the same in cookie and form.
  function crossSiteToken() {
    const cookie = /(?:^|; )_xsrf=([^;]*)/;
    if (!cookie.test(document.cookie)) {
      document.cookie = `_xsrf=${crypto.getRandomValues(new Uint32Array(4)).join("")}; path=/; SameSite=Strict`;
    }
    return document.cookie.match(cookie)?.[1] ?? "";
  }

  // Under Voila a page that is left gives its place to the next visitor at once, and forgets its photos.
  const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}");
  if (config.kernelId) {
    addEventListener("pagehide", (event) => {
      if (event.persisted) return; // the browser may show it again as it is
      const form = new FormData();
      form.append("_xsrf", crossSiteToken());
      navigator.sendBeacon(`${config.baseUrl}voila/api/shutdown/${config.kernelId}`, form);
    });
  }

  // The widgets appear some time after this script, and again when the cell is run again.
  const needed = [".lt-drop", ".lt-parcel", "[data-limit]", "button.widget-upload", ".lt-receipt", ".lt-status"];
  const improved = new WeakSet();
  function look() {
    for (const app of document.querySelectorAll(".lt-app")) {
      if (improved.has(app) || !needed.every((part) => app.querySelector(part))) continue;
      improved.add(app);
      improve(app);
      receiveParcels(app);
    }
  }
  const watched = { childList: true, subtree: true, attributeFilter: ["class"] }; // classes come later still
  new MutationObserver(look).observe(document.body, watched);
  look();
})();
