// Elements of the page, and words in them. Text is put in as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
export function percent(probability) {
  if (probability < 0.005) return "< 1\u00a0%";
  if (probability >= 0.995 && probability < 1) return "> 99\u00a0%";
  return `${Math.round(100 * probability)}\u00a0%`;
}

export function tell(text, details = "") {
  byId("status-text").textContent = text;
  byId("status-details").textContent = details; // for screen readers: the cards show the same
}

export function icon(name, title, onclick) {
  const button = el("button", { type: "button", className: "plain icon", title, onclick }, byId(`icon-${name}`).content.cloneNode(true));
  button.setAttribute("aria-label", title);
  return button;
}

export function complain(text) {
  byId("alert").textContent = text;
  byId("alert").hidden = !text;
}
