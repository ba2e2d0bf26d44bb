// Controls that the viewers' bars are made of. Each has a name for screen readers.

// A button that the mouse pressed gives the keys back; one that the keyboard pressed keeps its place.
function press(text, title, action, more = {}) {
  return el("button", {
    type: "button", title, "aria-label": text ? undefined : title,
    onclick: (event) => { action(); if (event.detail > 0) event.currentTarget.blur(); }, ...more,
  }, text);
}

// `done` hears the value that the reader left it at.
function slider(title, min, max, value, action, { step = "any", done = () => {} } = {}) {
  return el("input", {
    type: "range", title, "aria-label": title, min, max, step, value, // the step first, else the value snaps to 1
    oninput: (event) => action(Number(event.target.value)), onchange: done, onpointerup: (event) => event.target.blur(),
  });
}

const option = ([value, label]) => el("option", { value }, label);
function select(title, action, ...options) {
  return el("select", { title, "aria-label": title, onchange: (event) => { action(event.target.value); event.target.blur(); } }, ...options);
}

const text = (cls) => el("span", { class: cls });
const grow = () => text("grow");
const group = (label, ...children) => el("div", { class: "group", role: "group", "aria-label": label }, ...children);
const toolbar = (label, cls, ...children) => el("div", { class: `bar ${cls}`, role: "toolbar", "aria-label": label }, ...children);
const keyRows = (keys) => keys.flatMap(([key, what, cls]) => [el("dt", { class: cls }, key), el("dd", { class: cls }, what)]);
const keySheet = (keys) => el("dl", { class: "help", role: "dialog", "aria-label": "Keys", hidden: "" }, ...keyRows(keys));

// Window, level and their presets: `now()` is the present window, `set(low, high)` changes it; `show()` follows it.
function windowControls(now, set) {
  const level = slider("Level", 0, 255, 127, (at) => { const [low, high] = now(), half = (high - low) / 2; set(at - half, at + half); });
  const width = slider("Window", 4, 400, 255, (wide) => { const [low, high] = now(), middle = (low + high) / 2; set(middle - wide / 2, middle + wide / 2); });
  const preset = select("Window preset", (name) => { if (WINDOWS[name]) set(...WINDOWS[name]); }, ...Object.keys(WINDOWS).map((name) => option([name, name])), option(["", "Manual"]));
  const show = () => {
    const [low, high] = now();
    width.value = high - low;
    level.value = (low + high) / 2;
    preset.value = Object.keys(WINDOWS).find((name) => Math.abs(WINDOWS[name][0] - low) < 1 && Math.abs(WINDOWS[name][1] - high) < 1) ?? "";
  };
  return { nodes: [el("label", {}, "W", width), el("label", {}, "L", level), preset], show };
}

// What both viewers make of a window that was asked for: wide enough, around a grey that exists.
function windowOf(low, high) {
  const width = Math.max(4, high - low), middle = Math.min(255, Math.max(0, (low + high) / 2));
  return [middle - width / 2, middle + width / 2];
}

// One chip a band, each with its place in `BANDS`.
function bandChips(action) {
  return BANDS.map(([label, sign], i) => press(label, `${sign > 0 ? "Brighter" : "Darker"} than expected by ${label} SD`, () => action(i),
    { class: "chip", "data-band": `${sign > 0 ? "+" : "-"}${label}` }));
}

const setPressed = (node, on) => node.setAttribute("aria-pressed", !!on);
const pressOne = (nodes, active) => { for (const [name, node] of Object.entries(nodes)) setPressed(node, name === active); };
