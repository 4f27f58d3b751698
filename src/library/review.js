// The review page's script: shows the photos, takes decisions, and saves them as a table.
//
// All there is to know is in the page: a block of JSON (see `_photo` in review.py) and a block of text for each
// thumbnail. What comes from files is only ever set as text, never as markup.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const photos = data.photos;
const part = (id) => document.getElementById(id);
const changes = []; // what undo takes back: lists of [number of a photo, its decision before, whether it was out]
let current = -1; // number of the current photo
let fileHandle = null; // where the browser may write the table

// ---- Decisions: null, or { approve, correct }; the same landmark as `correct` confirms it

const copies = new Map(); // numbers of photos by their content
for (const [i, { content }] of photos.entries()) {
  if (!copies.has(content)) copies.set(content, []);
  copies.get(content).push(i);
}

// Decides on photos, and on their copies alike. What is decided by itself is out of its group of an unnamed place:
// what is said of the group holds for the others.
function decide(numbers, decisionOf, what, out = true) {
  const all = new Map(numbers.flatMap((i) => copies.get(photos[i].content).map((copy) => [copy, i])));
  changes.push([...all.keys()].map((i) => [i, photos[i].decision, photos[i].out]));
  for (const [copy, i] of all) {
    photos[copy].decision = decisionOf(photos[i]);
    photos[copy].out = out && photos[copy].group !== null;
  }
  changed([...all.keys()], what);
}

function undo() {
  const before = changes.pop();
  if (!before) return say("There is nothing to undo.");
  for (const [i, decision, out] of before) Object.assign(photos[i], { decision, out });
  changed(before.map(([i]) => i), "Undone");
  go(before[0][0]);
}

function changed(numbers, what) {
  numbers.forEach(paint);
  part("undo").disabled = changes.length === 0;
  countLeft();
  paintGroups();
  showPanel();
  keepSoon();
  say(`${what}. ${photos.filter(isOpen).length} left.`);
}

function right() {
  const photo = photos[current];
  if (!photo?.landmark) return say("No landmark was recognised here; press E to name one.");
  decide([current], ({ landmark }) => ({ approve: true, correct: landmark }), `${photo.name}: ${photo.landmark} is right`);
  step(1);
}

function wrong() {
  const photo = photos[current];
  if (!photo || photo.error) return;
  decide([current], () => ({ approve: false, correct: "" }), `${photo.name}: not ${photo.landmark || "a landmark"}`);
  step(1);
}

function rename(name) {
  const photo = photos[current];
  decide([current], () => ({ approve: true, correct: name }), `${photo.name}: ${name}`);
  step(1);
}

function restIsRight(landmark) {
  const rest = photos.flatMap((photo, i) => (photo.landmark === landmark && isOpen(photo) ? [i] : []));
  if (!landmark || !rest.length) return say("There is nothing left to decide of this landmark.");
  decide(rest, () => ({ approve: true, correct: landmark }), `${rest.length} photos: ${landmark} is right`);
}

// ---- Groups of photos of places that nobody has named

const membersOf = (group) => photos.flatMap((photo, i) => (photo.group === group && !photo.out ? [i] : []));
const groupName = (group) => photos[membersOf(group)[0]]?.decision?.correct ?? "";
const titleOf = (group) => groupName(group) || `Unnamed place ${group + 1}`;
const isUnnamed = ({ group, decision, out }) => group !== null && !decision && !out;

function nameGroup(group, field) {
  const name = field.value.trim().replace(/\s+/g, " ");
  const members = membersOf(group);
  if (!name) {
    say("Type the name of the place first.");
    return field.focus();
  }
  if (members.length) decide(members, () => ({ approve: true, correct: name }), `${count(members.length, "photo")}: ${name}`, false);
}

function declineGroup(group) {
  const members = membersOf(group);
  if (members.length) decide(members, () => ({ approve: false, correct: "" }), `${count(members.length, "photo")}: not a place`, false);
}

// Takes the current photo out of its group, or puts it back.
function takeOut() {
  const photo = photos[current];
  if (!photo || photo.group === null) return say("This photo is in no group of an unnamed place.");
  decide([current], () => null, `${photo.name}: ${photo.out ? "back in its group" : "taken out of its group"}`, !photo.out);
}

function makeForm(group, title) {
  const form = element("form", "bar");
  const label = element("label", "", "Name ");
  const field = element("input");
  field.setAttribute("list", "known");
  field.setAttribute("aria-describedby", title.id);
  field.autocomplete = "off";
  field.maxLength = 200;
  field.value = groupName(group);
  label.append(field);
  const name = element("button", "strong");
  const none = element("button", "", "Not a place");
  none.type = "button";
  name.dataset.group = group;
  none.setAttribute("aria-describedby", title.id);
  none.addEventListener("click", () => declineGroup(group));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    nameGroup(group, field);
  });
  form.append(label, name, none);
  return form;
}

function paintGroups() {
  for (const button of part("photos").querySelectorAll("[data-group]")) {
    const group = Number(button.dataset.group);
    button.textContent = `Name ${count(membersOf(group).length, "photo")}`;
    button.closest("section").querySelector("h3").textContent = titleOf(group);
  }
  const left = new Set(photos.filter(isUnnamed).map(({ group }) => group)).size;
  part("unnamed").hidden = !left;
  part("unnamed").firstChild.textContent = `${count(left, "group")} of photos may show a place that nobody has named`;
}

const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

// ---- What is decided

const isOpen = (photo) => Boolean(photo.landmark) && !photo.decision;
const nameOf = (photo) => (photo.decision ? photo.decision.correct : photo.landmark);

function stateOf({ landmark, decision, out }) {
  if (!decision) return out ? ["out", "– taken out"] : ["", ""];
  if (!decision.approve) return ["wrong", landmark ? "✗ wrong" : "✗ no landmark"];
  if (decision.correct === landmark) return ["right", "✓ right"];
  return ["other", `→ ${decision.correct}`];
}

// ---- The photos

const cards = photos.map(makeCard);

// Thumbnails are there only near the window, a block at a time: its first card is watched, and the margin is
// as high as a block on the narrowest window.
const BLOCK = 12;
const blocks = new Map(); // numbers of photos by the first card
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    for (const i of blocks.get(target)) {
      const image = cardOf(i).firstChild;
      if (isIntersecting) image.src = thumbnail(i);
      else image.removeAttribute("src");
    }
  }
}, { rootMargin: "1200px" });

function watch(numbers) {
  for (let at = 0; at < numbers.length; at += BLOCK) {
    const first = cardOf(numbers[at]);
    blocks.set(first, numbers.slice(at, at + BLOCK));
    near.observe(first);
  }
}

function thumbnail(i) {
  return photos[i].thumbnail ? `data:image/jpeg;base64,${part(`t${i}`).textContent}` : EMPTY;
}
const EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function picture(i, alt = "") {
  const image = element("img");
  image.src = thumbnail(i);
  image.alt = alt;
  return image;
}

function makeCard(photo, i) {
  const item = element("li");
  const card = element("button", "photo");
  card.type = "button";
  card.tabIndex = -1;
  card.dataset.number = i;
  const image = element("img");
  image.alt = "";
  card.append(image, element("span", "", photo.name), element("span", "soft"), element("span", "state"));
  item.append(card);
  return item;
}

const cardOf = (i) => cards[i].firstChild;

function paint(i) {
  const [kind, words] = stateOf(photos[i]);
  const card = cardOf(i);
  card.className = `photo ${kind}`;
  card.lastChild.textContent = words;
  const { name, landmark, note } = photos[i];
  const short = note.startsWith(`${name} `) ? note.slice(name.length + 1) : note; // an error begins with the name
  card.children[2].textContent = part("order").value === "landmark" ? short : `${short} ${landmark}`;
  card.setAttribute("aria-label", [name, landmark || "no landmark", note, words || "not decided"].join(", "));
}

const NONE = "No landmark that is known"; // heading of the photos where what was missed, if any, comes first

// Sections in the order they are shown in: heading, landmark and group (null where there is none), numbers of photos.
function sections() {
  const open = (photo) => isOpen(photo) || isUnnamed(photo);
  const shows = { all: () => true, open, decided: (photo) => photo.decision }[part("filter").value];
  const found = new Map();
  const byDoubt = part("order").value === "doubt";
  photos.forEach((photo, i) => {
    if (!shows(photo)) return;
    const place = byDoubt ? "Doubtful first" : [photo.landmark, photo.country].filter(Boolean).join(", ");
    const { error, group } = photo;
    const none = group === null ? NONE : titleOf(group);
    const heading = error ? "Could not be read" : photo.landmark ? place : none;
    const landmark = photo.landmark && !byDoubt ? photo.landmark : null;
    const rank = error ? Infinity : photo.landmark ? -1 : group ?? data.groups.length;
    const key = group ?? heading; // two groups may have been given one name
    if (!found.has(key)) found.set(key, { heading, landmark, group, rank, numbers: [] });
    found.get(key).numbers.push(i);
  });
  if (byDoubt) found.get("Doubtful first")?.numbers.sort((a, b) => photos[a].probability - photos[b].probability);
  found.get(NONE)?.numbers.sort((a, b) => photos[b].probability - photos[a].probability);
  return [...found.values()].sort((a, b) => (a.rank === b.rank ? 0 : a.rank - b.rank));
}

function showPhotos() {
  const shown = sections();
  near.disconnect();
  const made = shown.map(makeSection);
  const first = shown.findIndex(({ group }) => group !== null);
  if (first >= 0) made.splice(first, 0, part("about-unnamed").content.cloneNode(true));
  part("photos").replaceChildren(...made);
  paintGroups();
  part("goto").replaceChildren(...shown.map(({ heading, numbers }) => new Option(`${heading} (${numbers.length})`, numbers[0])));
  for (const { numbers } of shown) {
    numbers.forEach(paint);
    watch(numbers);
  }
  const order = shownOrder();
  if (!order.length) part("photos").append(element("p", "", "There is no such photo."));
  setCurrent(order.includes(current) ? current : order[0] ?? -1);
}

function makeSection({ heading, landmark, group, numbers }, number) {
  const section = element("section");
  const title = element(group === null ? "h2" : "h3", "", heading);
  title.id = `group${number}`;
  section.setAttribute("aria-labelledby", title.id);
  const top = element("div");
  top.append(title, element("span", "soft", group === null ? count(numbers.length, "photo") : data.groups[group]));
  if (landmark) {
    const rest = element("button", "", "The rest is right");
    rest.type = "button";
    rest.setAttribute("aria-label", `The rest of ${landmark} is right`);
    rest.addEventListener("click", () => restIsRight(landmark));
    top.append(rest);
  }
  const list = element("ul");
  list.append(...numbers.map((i) => cards[i]));
  section.append(top, ...(group === null ? [] : [makeForm(group, title)]), list);
  return section;
}

const shownOrder = () => [...part("photos").querySelectorAll(".photo")].map((card) => Number(card.dataset.number));

// ---- The current photo

function setCurrent(i) {
  if (current >= 0) {
    cardOf(current).tabIndex = -1;
    cardOf(current).removeAttribute("aria-current");
  }
  current = i;
  if (i >= 0) {
    cardOf(i).tabIndex = 0;
    cardOf(i).setAttribute("aria-current", "true");
  }
  showPanel();
}

function go(i) {
  if (!cards[i]?.isConnected) return;
  setCurrent(i);
  cardOf(i).focus({ preventScroll: true });
  const { top, bottom } = cardOf(i).getBoundingClientRect();
  const end = getComputedStyle(part("panel")).position === "fixed" ? part("panel").getBoundingClientRect().top : innerHeight;
  const begin = part("tools").offsetHeight;
  if (top < begin) scrollBy(0, top - begin - 60);
  else if (bottom > end) scrollBy(0, bottom - end + 60);
}

function step(by) {
  const order = shownOrder();
  go(order[order.indexOf(current) + by] ?? current);
}

// Up and down: the card of the next row whose middle is nearest.
function stepRow(by) {
  const order = shownOrder();
  const boxOf = (i) => cardOf(i).getBoundingClientRect();
  const from = boxOf(current);
  let best;
  let row;
  for (let at = order.indexOf(current) + by; at >= 0 && at < order.length; at += by) {
    const box = boxOf(order[at]);
    if (Math.abs(box.top - from.top) < 2) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) > 2) break;
    const off = Math.abs(box.left - from.left);
    if (!best || off < best.off) best = { i: order[at], off };
  }
  go(best?.i ?? current);
}

function showPanel() {
  part("panel").hidden = current < 0;
  if (current < 0) return;
  const photo = photos[current];
  const [kind, words] = stateOf(photo);
  part("large").src = thumbnail(current);
  part("open").textContent = photo.name;
  part("open").href = photo.address;
  part("open").title = photo.folder;
  part("said").textContent = photo.landmark || (photo.error ? "Could not be read" : NONE);
  part("sure").textContent = photo.note;
  part("yours").textContent = words;
  part("yours").className = kind;
  part("yes").hidden = !photo.landmark;
  part("no").firstChild.textContent = photo.landmark ? "Wrong " : "No landmark ";
  part("change").firstChild.textContent = photo.landmark ? "Correct it " : "Name it ";
  for (const id of ["no", "change"]) part(id).disabled = photo.error;
  part("out").hidden = photo.group === null;
  part("out").firstChild.textContent = photo.out ? "Put back " : "Take out ";
  showGuesses(photo);
  showSimilar(photo);
}

function percent(share) { // as review.py: a model is never quite sure
  return share >= 0.995 && share < 1 ? "> 99 %" : `${Math.round(100 * share)} %`;
}

function showGuesses(photo) {
  const others = photo.guesses.filter(([name, share]) => name !== photo.landmark && share >= 0.01).slice(0, 3);
  const heading = element("h3", "", photo.landmark ? "Or is it one of these?" : "Is it one of these?");
  const buttons = others.map(([name, share]) => {
    const button = element("button", "", `${name} ${percent(share)}`);
    button.type = "button";
    button.addEventListener("click", () => rename(name));
    return button;
  });
  part("guesses").replaceChildren(...(buttons.length ? [heading, ...buttons] : []));
}

// Side by side: other photos of this landmark, and those of what it looks like next.
function showSimilar(photo) {
  const second = photo.guesses.find(([name]) => name !== photo.landmark)?.[0];
  part("similar").replaceChildren(...[photo.landmark, second].filter(Boolean).flatMap((landmark) => {
    const alike = surest(landmark);
    if (!alike.length) return [];
    const list = element("ul");
    for (const i of alike) {
      const item = element("li");
      item.append(picture(i, photos[i].name));
      list.append(item);
    }
    return [element("h3", "", `${landmark === photo.landmark ? "Others of" : "Photos of"} ${landmark}`), list];
  }));
}

// Up to three photos of a landmark, what a person said first, then by probability.
function surest(landmark) {
  const weight = ({ decision, probability }) => (decision ? 2 : probability);
  return photos
    .flatMap((photo, i) => (i !== current && nameOf(photo) === landmark ? [i] : []))
    .sort((a, b) => weight(photos[b]) - weight(photos[a]))
    .slice(0, 3);
}

// ---- Which landmark is it?

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();

// The landmarks that a search may mean: those of the photo first, then names of the person's own.
function candidates(query) {
  const known = new Map(data.names.map((entry) => [entry.name, entry]));
  const own = photos.flatMap(({ decision }) => (decision?.correct && !known.has(decision.correct) ? [decision.correct] : []));
  const guessed = photos[current].guesses.map(([name]) => name);
  const names = new Set([...guessed, ...own.reverse(), ...known.keys()]);
  const entries = [...names].map((name) => known.get(name) ?? { name, local: "", place: "" });
  const wanted = plain(query).split(/\s+/).filter(Boolean);
  const fits = (entry) => wanted.every((word) => plain(Object.values(entry).join(" ")).includes(word));
  const found = entries.filter(fits);
  const exact = [...entries].some(({ name, local }) => [name, local].some((text) => text && plain(text) === plain(query)));
  if (query.trim() && !exact) found.push({ name: query.trim().replace(/\s+/g, " "), local: "", place: "", isNew: true });
  return found.slice(0, 60);
}

function showCandidates() {
  const options = candidates(part("name").value).map(({ name, local, place, isNew }, number) => {
    const option = element("li");
    option.id = `name${number}`;
    option.setAttribute("role", "option");
    option.dataset.name = name;
    const more = [local, place].filter(Boolean).join(" — ");
    option.textContent = isNew ? `New: “${name}”` : more ? `${name} — ${more}` : name;
    return option;
  });
  part("names").replaceChildren(...options);
  select(0);
}

function select(number) {
  const options = [...part("names").children];
  const at = Math.max(0, Math.min(options.length - 1, number));
  options.forEach((option, i) => option.setAttribute("aria-selected", i === at));
  if (!options.length) return part("name").removeAttribute("aria-activedescendant");
  part("name").setAttribute("aria-activedescendant", options[at].id);
  options[at].scrollIntoView({ block: "nearest" });
}

function choose() {
  if (current < 0 || photos[current].error) return;
  part("name").value = "";
  part("choose").showModal();
  showCandidates();
}

function chosen(option) {
  part("choose").close();
  if (option) rename(option.dataset.name);
}

// ---- Keeping and saving

const KEY = `landmark review ${data.run}`;
let unkept = false; // whether this browser could not keep decisions
let unsaved = false;
let soon;

function keepSoon() {
  unsaved = true;
  soon ??= setTimeout(keep, 300); // not put off by the next decision: some people never pause
}

function keep() {
  clearTimeout(soon);
  soon = undefined;
  if (!unsaved) return;
  try {
    localStorage.setItem(KEY, JSON.stringify(photos.map(({ decision, out }) => [decision, out])));
    unkept = false;
  } catch { // full, or forbidden: then the browser asks before the page is left
    unkept = true;
  }
}

// Takes up what was decided before the page was closed or loaded again.
function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (!Array.isArray(kept) || kept.length !== photos.length) return;
    kept.forEach(([decision, out], i) => Object.assign(photos[i], { decision, out }));
    say("Your decisions are as you left them.");
  } catch { /* none, or nothing that can be read */ }
}

// A cell as Python's csv writes it, with the guard of records.py against formulas.
function cell(text) {
  const guarded = /^[=+\-@\t\r\n＝＋－＠']/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

function tableText() {
  const rows = photos.filter(({ landmark, decision }) => landmark || decision).map(({ landmark, decision, ending }) => {
    const approve = decision?.approve ?? true ? "yes" : "no";
    return `${approve},${cell(landmark)},${cell(decision?.correct ?? "")},${ending}`;
  });
  return `\ufeff${data.columns}${rows.join("")}`;
}

// UTF-8, where a lone surrogate stands for a byte of a path that is none (as Python has them).
function bytesOf(text) {
  const parts = text.split(/([\udc80-\udcff])/u);
  return new Blob(parts.map((piece, i) => (i % 2 ? new Uint8Array([piece.charCodeAt(0) - 0xdc00]) : piece)), { type: "text/csv" });
}

async function save() {
  const blob = bytesOf(tableText());
  try {
    if (window.showSaveFilePicker) {
      fileHandle ??= await showSaveFilePicker({ suggestedName: data.table, types: [{ accept: { "text/csv": [".csv"] } }] });
      const file = await fileHandle.createWritable();
      await file.write(blob);
      await file.close();
      return saved(`Saved as ${fileHandle.name}`);
    }
  } catch (error) {
    if (error.name === "AbortError") return say("Not saved.");
    fileHandle = null; // not allowed, or the file is gone: it can still be downloaded
  }
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = data.table;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  saved(`${data.table} was downloaded; put it beside this page, in place of the one there`);
}

function saved(what) {
  keep();
  unsaved = false;
  unkept = false;
  say(`${what}.`);
}

// ---- The page

function say(text) {
  part("status").textContent = text;
}

function countLeft() {
  const recognised = photos.filter(({ landmark }) => landmark).length;
  const left = photos.filter(isOpen).length;
  const shown = (number) => number.toLocaleString("en");
  part("left").textContent = left ? `${shown(left)} of ${shown(recognised)} recognised photos are not decided`
    : recognised ? `All ${shown(recognised)} recognised photos are decided` : "No photo shows a known landmark";
}

const KEYS = {
  y: right, n: wrong, e: choose, o: takeOut, u: undo, r: () => restIsRight(photos[current]?.landmark),
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => stepRow(1), ArrowUp: () => stepRow(-1),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("form")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function onNameKey(event) {
  const options = [...part("names").children];
  const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") select(at + (event.key === "ArrowDown" ? 1 : -1));
  else if (event.key === "Enter" && !event.isComposing) chosen(options[at]);
  else return;
  event.preventDefault();
}

function listen() {
  for (const id of ["photos", "panel"]) part(id).addEventListener("keydown", onKey);
  part("photos").addEventListener("focusin", ({ target }) => {
    const card = target.closest(".photo");
    if (card && Number(card.dataset.number) !== current) setCurrent(Number(card.dataset.number));
  });
  part("photos").addEventListener("click", ({ target }) => target.closest(".photo")?.focus());
  for (const [id, act] of Object.entries({ yes: right, no: wrong, change: choose, out: takeOut, undo, save })) {
    part(id).addEventListener("click", act);
  }
  for (const id of ["filter", "order"]) part(id).addEventListener("change", showPhotos);
  part("goto").addEventListener("change", ({ target }) => go(Number(target.value)));
  part("unnamed").addEventListener("click", () => {
    if (!part("unnamed-places")) {
      part("filter").value = "all";
      showPhotos();
    }
    setCurrent(shownOrder().find((i) => isUnnamed(photos[i])) ?? current); // the panel shows what one sees
  });
  part("where").querySelectorAll("circle").forEach((circle, i) => circle.addEventListener("click", () => {
    go(shownOrder().find((number) => photos[number].landmark === data.places[i]));
  }));
  part("name").addEventListener("input", showCandidates);
  part("name").addEventListener("keydown", onNameKey);
  part("names").addEventListener("click", ({ target }) => chosen(target.closest("li")));
  part("cancel").addEventListener("click", () => chosen(null));
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
    event.preventDefault();
    save();
  });
  addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", keep);
  addEventListener("beforeunload", (event) => {
    keep();
    if (unsaved && unkept) event.preventDefault();
  });
}

restore();
part("table").textContent = data.table;
part("known").append(...data.names.map(({ name }) => new Option("", name)));
countLeft();
listen();
showPhotos();
if (current >= 0) cardOf(current).focus({ preventScroll: true });
