// The page of `s2m2 serve`: photos on the left, classes on the right.

import { byId, complain, count, el, icon, percent, tell } from "./elements.js";
import { ask, form, send } from "./requests.js";

const BATCH = 8, TOP = 5, SHOWN = 3, RENAMED = 48, FILTER_FROM = 13, MAX_OTHERS = 3;
const state = { classes: [], limits: { megabytes: 32, files: 64 }, version: -1, cards: [] };

const fileName = (card) => card.file.name || "photo";

// Photos

function addFiles(files) {
  complain("");
  const limit = state.limits.megabytes * 1e6;
  const added = [...files].map((file) => {
    const card = { file, url: URL.createObjectURL(file), prediction: null, error: "", learned: null, node: null, editing: false };
    if (file.size > 0.99 * limit) card.error = `larger than ${state.limits.megabytes} MB`;
    return card;
  });
  if (!added.length) return;
  state.cards.unshift(...added);
  for (const card of [...added].reverse()) {
    card.node = el("li");
    byId("results").prepend(card.node);
    drawCard(card);
  }
  tell(`Naming ${count(added.length, "photo")} …`);
  nameCards(added).then(() => tell(...summary(added)));
}

function summary(cards) {
  const failed = cards.filter((card) => card.error).length;
  const named = `${count(cards.length - failed, "photo")} named`;
  const details = cards.slice(0, 5).map((card) => {
    if (card.error) return `${fileName(card)} could not be read`;
    return `${fileName(card)}: ${card.prediction.unknown ? "none of these" : card.prediction.label}, ${percent(card.prediction.probability)}`;
  });
  return [failed ? `${named}, ${failed} not.` : `${named}.`, ` ${details.join("; ")}.`];
}

function groups(cards) {
  const every = [[]];
  let size = 0;
  for (const card of cards.filter((one) => !one.error)) {
    const last = every[every.length - 1];
    if (last.length && (last.length >= Math.min(BATCH, state.limits.files) || size + card.file.size > 0.9e6 * state.limits.megabytes)) {
      every.push([card]);
      size = card.file.size;
    } else {
      last.push(card);
      size += card.file.size;
    }
  }
  return every.filter((group) => group.length);
}

async function nameCards(cards) {
  for (const group of groups(cards)) {
    try {
      const answer = await ask(`predict?top=${TOP}`, form(group.map((card) => card.file)));
      group.forEach((card, index) => {
        const prediction = answer.predictions[index];
        card.error = prediction.error || "";
        card.prediction = prediction.error ? null : prediction;
      });
      if (answer.version !== state.version) await loadClasses();
    } catch (error) {
      for (const card of group) {
        card.error = error.message;
        card.prediction = null;
      }
    }
    for (const card of group) if (!card.editing) drawCard(card);
  }
}

async function changed(answer, says, card = null) {
  showClasses(answer);
  complain("");
  tell(says);
  await nameCards(state.cards.filter((one) => one === card || (one.prediction && !one.error)).slice(0, RENAMED));
}

function drawCard(card) {
  const prediction = card.prediction;
  const close = icon("close", `Take ${fileName(card)} off the list`, () => dropCard(card));
  const top = el("div", { className: "top" }, el("div", {}, el("p", { className: "file", title: fileName(card) }, fileName(card)), answerLine(card)), close);
  const rest = el("div", { className: "rest" });
  if (prediction) rest.append(bars(prediction), ...setLine(prediction), actions(card));
  const article = el("article", { className: "card" }, imageOf(card), el("div", { className: "body" }, top, rest));
  article.classList.toggle("unknown", Boolean(prediction?.unknown));
  article.classList.toggle("waiting", !prediction && !card.error);
  article.setAttribute("aria-label", fileName(card));
  card.node.replaceChildren(article);
}

function imageOf(card) {
  const image = el("img", { src: card.url, alt: "", decoding: "async" });
  const frame = el("div", { className: "image" }, image);
  image.onerror = () => frame.replaceChildren("no preview");
  return frame;
}

function answerLine(card) {
  const line = el("p", { className: "answer" });
  if (card.error) return el("p", { className: "reason" }, `Not named: ${card.error}`);
  if (!card.prediction) return el("p", { className: "quiet" }, "Naming …");
  const { unknown, label, probability } = card.prediction;
  line.append(unknown ? "None of these" : String(label), " ");
  if (!unknown) line.append(el("small", {}, percent(probability)));
  if (card.learned !== null) line.append(el("span", { className: "tag" }, card.learned === String(label) ? "learned" : `learned as ${card.learned}`));
  return line;
}

function bars(prediction) {
  const list = el("ol", { className: "bars" });
  list.setAttribute("aria-label", prediction.unknown ? "If it were one of the classes" : "Most probable classes");
  for (const { label, probability } of prediction.probabilities.slice(0, SHOWN)) {
    const fill = el("div", { className: "fill" });
    fill.style.width = `${100 * probability}%`;
    const track = el("span", { className: "track" }, fill);
    track.setAttribute("aria-hidden", "true");
    list.append(el("li", {}, el("span", { className: "label", title: String(label) }, String(label)), track, el("span", { className: "number" }, percent(probability))));
  }
  return list;
}

function setLine(prediction) {
  if (prediction.unknown) return [el("p", { className: "quiet" }, "Not like the labeled photos. If it had to be one of the classes, it would be as above.")];
  const others = prediction.set.map(String).filter((label) => label !== String(prediction.label));
  if (!others.length) return [];
  const text = others.length > MAX_OTHERS ? `Unsure: ${others.length + 1} classes are possible.` : `May also be ${others.join(" or ")}.`;
  return [el("p", { className: "quiet" }, text)];
}

function actions(card) {
  const box = el("div", { className: "actions" });
  const correct = el("button", { type: "button", onclick: () => openForm(card, box) }, card.prediction.unknown ? "Give it a name" : "Correct");
  box.append(correct);
  if (!card.prediction.unknown && card.learned === null) {
    const label = String(card.prediction.label);
    const keep = el("button", { type: "button" }, "Right: learn from it");
    keep.onclick = () => learn(card, label, [correct, keep]);
    box.append(keep);
  }
  return box;
}

function openForm(card, box) {
  card.editing = true;
  const id = `label-${state.cards.indexOf(card)}-${Date.now()}`;
  const input = el("input", { id, type: "text", autocomplete: "off", required: true, enterKeyHint: "done" });
  input.setAttribute("list", "labels");
  const hint = el("p", { className: "hint", id: `${id}-hint` }, "Choose a class, or type a new one.");
  hint.setAttribute("aria-live", "polite");
  input.setAttribute("aria-describedby", hint.id);
  input.oninput = () => { hint.textContent = hintFor(input.value); };
  const save = el("button", { type: "submit", className: "main" }, "Save");
  const cancel = el("button", { type: "button", onclick: () => closeForm(card) }, "Cancel");
  const edit = el("form", {}, el("label", { htmlFor: id }, "What is it?"), el("div", { className: "row" }, input, save, cancel), hint);
  edit.onsubmit = (event) => {
    event.preventDefault();
    const label = labelIn(input.value);
    if (label) learn(card, label, [input, save, cancel]);
  };
  edit.onkeydown = (event) => { if (event.key === "Escape") closeForm(card); };
  box.replaceChildren(edit);
  input.focus();
}

// A class as it is written, or a new name.
function labelIn(text) {
  const clean = (words) => words.trim().replace(/\s+/g, " ").normalize("NFC");
  const labels = state.classes.map((one) => String(one.label));
  return labels.find((label) => label === text) ?? labels.find((label) => clean(label) === clean(text)) ?? clean(text);
}

function hintFor(text) {
  const name = labelIn(text);
  if (!name) return "Choose a class, or type a new one.";
  const same = state.classes.find((one) => String(one.label) === name);
  if (same) return `A class with ${count(same.images, "image")}.`;
  const similar = state.classes.find((one) => String(one.label).toLowerCase() === name.toLowerCase());
  return similar ? `A new class; there is one called ${similar.label}.` : "A new class: one photo is enough to begin with.";
}

function closeForm(card) {
  card.editing = false;
  drawCard(card);
  card.node.querySelector(".actions button")?.focus();
}

async function learn(card, label, controls) {
  for (const control of controls) control.disabled = true;
  tell(`Learning ${label} …`);
  try {
    const answer = await ask("corrections", form([card.file], { label }));
    card.learned = label;
    card.editing = false;
    await changed(answer, `Learned: ${fileName(card)} is ${label}.`, card);
    card.node.querySelector(".actions button")?.focus();
  } catch (error) {
    tell("");
    complain(error.message);
    for (const control of controls) control.disabled = false;
  }
}

function dropCard(card) {
  const index = state.cards.indexOf(card);
  state.cards.splice(index, 1);
  card.node.remove();
  URL.revokeObjectURL(card.url);
  const next = state.cards[Math.min(index, state.cards.length - 1)];
  (next ? next.node.querySelector(".top .icon") : byId("files")).focus();
}

// Classes

async function loadClasses() {
  showClasses(await ask("classes"));
}

function showClasses(answer) {
  state.classes = answer.classes;
  state.limits = answer.limits;
  state.version = answer.version;
  const images = answer.classes.reduce((sum, one) => sum + one.images, 0);
  document.title = `${answer.name} – s2m2`;
  byId("name").textContent = answer.name;
  byId("counts").textContent = `${count(answer.classes.length, "class", "classes")}, ${count(images, "image")}`;
  byId("calibration").textContent = answer.calibration;
  byId("change").hidden = answer.last_change === null;
  byId("change-text").textContent = answer.last_change ?? "";
  byId("labels").replaceChildren(...answer.classes.map((one) => el("option", { value: String(one.label) })));
  byId("filter-line").hidden = answer.classes.length < FILTER_FROM;
  drawClasses();
}

function drawClasses() {
  const words = byId("filter-line").hidden ? "" : byId("filter").value.trim().toLowerCase();
  const shown = state.classes.filter((one) => String(one.label).toLowerCase().includes(words));
  byId("classes").replaceChildren(...shown.map(drawClass));
}

function drawClass(one) {
  const name = String(one.label);
  const thumbnails = one.thumbnails.slice(0, 6).map((id) => el("img", { src: `thumbnails/${id}`, alt: "", loading: "lazy", width: 48, height: 48 }));
  const line = el("div", { className: "class-line" }, el("strong", {}, name), el("span", { className: "quiet" }, count(one.images, "image")));
  const row = el("div", { className: "class-row" }, el("div", { className: "thumbnails" }, ...thumbnails));
  const rename = icon("rename", `Rename ${name}`, () => openRename(one, row));
  const remove = icon("remove", `Remove ${name}`, () =>
    change([remove], () => send("classes/remove", { label: one.label, version: state.version }), `Removed ${name}. Undo brings it back.`));
  row.append(rename, remove);
  return el("li", {}, line, row);
}

function openRename(one, box) {
  const name = String(one.label);
  const input = el("input", { type: "text", value: name, autocomplete: "off", required: true });
  input.setAttribute("aria-label", `New name of ${name}`);
  const hint = el("p", { className: "hint" });
  hint.setAttribute("aria-live", "polite");
  const save = el("button", { type: "submit", className: "main" }, "Save");
  const cancel = el("button", { type: "button" }, "Cancel");
  const edit = el("form", {}, el("div", { className: "row" }, input, save, cancel), hint);
  const close = () => {
    edit.replaceWith(box);
    box.querySelector("button").focus();
  };
  input.oninput = () => {
    const other = state.classes.find((another) => another !== one && String(another.label) === labelIn(input.value));
    hint.textContent = other ? `Both classes become one, ${other.label}.` : "";
  };
  cancel.onclick = close;
  edit.onkeydown = (event) => { if (event.key === "Escape") close(); };
  edit.onsubmit = (event) => {
    event.preventDefault();
    const text = labelIn(input.value);
    if (!text || text === name) close();
    else change([input, save, cancel], () => send("classes/rename", { label: one.label, name: text, version: state.version }), `Renamed ${name} to ${text}.`);
  };
  box.replaceWith(edit);
  input.select();
}

async function change(controls, request, says) {
  for (const control of controls) control.disabled = true;
  tell("Learning ...");
  try {
    const answer = await request();
    byId("classes-title").focus();
    await changed(answer, says);
  } catch (error) {
    if (error.status === 409) await loadClasses().catch(() => {});
    tell("");
    complain(error.message);
    byId("alert").scrollIntoView({ block: "nearest" });
  }
  for (const control of controls) control.disabled = false;
}

// Events

byId("files").onchange = (event) => {
  addFiles(event.target.files);
  event.target.value = ""; // the same photo may be chosen again
};
byId("undo").onclick = () => {
  const text = byId("change-text").textContent, version = state.version; // what is shown is what is taken back
  const undo = async () => {
    const answer = await send("undo", { version });
    for (const card of state.cards) card.learned = null;
    return answer;
  };
  change([byId("undo")], undo, `Taken back: ${text}.`);
};
byId("filter").oninput = drawClasses;
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) addFiles(event.clipboardData.files);
});
let depth = 0;
document.addEventListener("dragenter", (event) => {
  event.preventDefault();
  depth += 1;
  byId("drop").classList.add("over");
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("dragleave", () => {
  depth = Math.max(depth - 1, 0);
  if (!depth) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  byId("drop").classList.remove("over");
  addFiles(event.dataTransfer.files);
});
loadClasses().catch((error) => complain(error.message));
