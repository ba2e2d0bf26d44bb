// Mouse and keys of the reading viewer.

function listen(v) {
  const { ui, state, root } = v, act = v.do;
  const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal: v.end.signal, ...options });
  let blinking = false;
  let pressed; // where the button went down, and the window at that time

  const canvasAt = (event) => {
    const bounds = ui.canvas.getBoundingClientRect(), dpr = v.nv.uiData.dpr || 1;
    return [(event.clientX - bounds.left) * dpr, (event.clientY - bounds.top) * dpr];
  };
  const tileAt = (event) => {
    const [x, y] = canvasAt(event);
    return v.tiles.shown().find(({ leftTopWidthHeight: [left, top, width, height] }) => x >= left && x <= left + width && y >= top && y <= top + height);
  };
  // The position under the pointer; its plane is the one that arrows scroll.
  function fracAt(event) {
    const tile = tileAt(event);
    if (tile) state.plane = tile.axCorSag;
    const frac = v.nv.canvasPos2frac(canvasAt(event));
    return frac[0] >= 0 ? frac : null;
  }
  const swipeShare = (event, tile) => (canvasAt(event)[0] - tile.leftTopWidthHeight[0]) / tile.leftTopWidthHeight[2];
  function nearSwipe(event) {
    const tile = state.swiping && tileAt(event);
    return tile && Math.abs(swipeShare(event, tile) - state.share) * tile.leftTopWidthHeight[2] < 7 * (v.nv.uiData.dpr || 1) ? tile : undefined;
  }

  // ---- mouse
  on(ui.stage, "mousedown", (event) => {
    if (!v.base || event.composedPath()[0] !== ui.canvas) return;
    pressed = { x: event.clientX, y: event.clientY, button: event.button, window: [...state.window] };
    const grip = event.button === 0 && nearSwipe(event), ruled = event.button === 0 && !event.ctrlKey && state.measuring && tileAt(event);
    if (ruled) {
      event.stopPropagation();
      event.preventDefault();
      state.plane = ruled.axCorSag;
      Object.assign(pressed, { ruled, from: fracWithin(v.nv, ruled, canvasAt(event)) });
    } else if (event.button === 0 && event.shiftKey) {
      event.stopPropagation();
      event.preventDefault();
      const frac = !v.data.look && tileAt(event) && fracAt(event);
      if (frac) { v.spot = { mm: toMM(v.nv, frac), radius: state.radius }; drawMarks(v); }
    } else if (grip) {
      pressed.tile = grip;
      event.stopPropagation();
    } else if (event.button === 2) event.stopPropagation();
  }, { capture: true });
  on(window, "mousemove", (event) => {
    if (!pressed) return;
    if (pressed.ruled) {
      const far = pressed.line || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 3; // a click leaves the last line
      const to = far && pressed.from && fracWithin(v.nv, pressed.ruled, canvasAt(event));
      if (!to) return;
      drawLine(v, (pressed.line ??= lineFrom(v, pressed.ruled, pressed.from)), to);
      drawMarks(v);
    } else if (v.spot) {
      const frac = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 4 && fracAt(event);
      if (!frac) return;
      const mm = toMM(v.nv, frac);
      v.spot.radius = Math.min(RADIUS_MM.most, Math.max(RADIUS_MM.least, Math.hypot(...mm.map((value, i) => value - v.spot.mm[i]))));
      drawMarks(v);
    } else if (pressed.tile) act.moveSwipe(swipeShare(event, pressed.tile));
    else if (pressed.button === 2) {
      const [low, high] = pressed.window, level = (low + high) / 2 - (event.clientY - pressed.y) * 0.5;
      const width = high - low + (event.clientX - pressed.x) * 0.8;
      act.setWindow(level - width / 2, level + width / 2);
    }
  });
  on(window, "mouseup", () => {
    if (v.spot) { const { spot } = v; v.spot = undefined; act.missed(spot); drawMarks(v); }
    if (pressed?.button === 2 || pressed?.tile || pressed?.ruled) pressed = undefined;
  });
  on(ui.canvas, "click", (event) => {
    if (!pressed || state.measuring || event.shiftKey || event.ctrlKey || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 3) return;
    const frac = v.base && fracAt(event);
    if (frac) act.selectAt(frac);
  });
  on(ui.canvas, "mousemove", (event) => {
    if (!v.base) return;
    const frac = fracAt(event);
    ui.canvas.style.cursor = nearSwipe(event) ? "ew-resize" : "";
    if (frac) showValues(v, frac);
  });
  on(ui.stage, "wheel", (event) => {
    if (!v.base || event.composedPath()[0] !== ui.canvas) return;
    if (event.ctrlKey || event.shiftKey) { event.stopPropagation(); event.preventDefault(); }
    const up = (event.deltaY || event.deltaX) < 0; // Shift turns a wheel sideways in some browsers
    if (event.ctrlKey) act.zoom(up ? 1.1 : 1 / 1.1);
    else if (event.shiftKey && !v.data.look) act.setRadius(state.radius + (up ? 1 : -1));
  }, { capture: true, passive: false });
  on(ui.stage, "dblclick", (event) => event.stopPropagation(), { capture: true });
  on(ui.canvas, "contextmenu", (event) => event.preventDefault());
  for (const type of ["dragenter", "dragover", "drop"]) on(ui.stage, type, (event) => event.stopPropagation(), { capture: true });
  for (const type of ["keydown", "keyup"]) {
    on(ui.canvas, type, (event) => event.stopImmediatePropagation(), { capture: true });
    on(ui.box, type, (event) => { if (typing(event)) event.stopPropagation(); }); // a letter in a list of ours is no key of the page
  }

  // ---- keys
  const near = () => ui.box.matches(":hover") || ui.box.contains(root.activeElement ?? null);
  const flags = (label) => BANDS.flatMap(([name], i) => (name === label ? [i] : []));
  const keys = {
    n: () => act.step(1), p: () => act.step(-1),
    "+": () => act.toggleSign([3, 4, 5]), "=": () => act.toggleSign([3, 4, 5]), "-": () => act.toggleSign([0, 1, 2]), " ": () => act.hide(true),
    o: () => act.setContours(), b: () => { blinking = true; act.blink(); }, w: () => act.swipe(), "[": () => act.moveSwipe(state.share - 0.05), "]": () => act.moveSwipe(state.share + 0.05),
    m: () => act.nextMap(), v: () => act.nextView(), t: () => act.nextPlane(), l: () => act.setRadiological(), x: () => act.setCrosshair(),
    i: () => act.setSmooth(), 0: () => act.reset(), g: () => act.save(), M: () => act.measure(),
    "?": () => act.help(), Escape: () => { act.help(false); v.spot = undefined; if (state.measuring) act.measure(false); else drawMarks(v); },
  };
  const scrolls = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  const once = " bg";
  // For looking: the page around has keys of its own, these among them, and its buttons their Space.
  const notMine = (event) => v.data.look && ("np0".includes(event.key) || !near() || (event.key === " " && event.composedPath()[0]?.closest?.("button, [role]")));
  on(window, "keydown", (event) => {
    const target = event.composedPath()[0];
    // What the desk beside the viewer claims (app/review/desk.js) it hears itself.
    if (!v.base || event.ctrlKey || event.metaKey || event.altKey || typing(event) || globalThis.fontanelleClaims?.has(event.key) || notMine(event)) return;
    // A button of the viewer reached by Tab is pressed by Space, as everywhere.
    if (event.key === " " && target?.tagName === "BUTTON" && ui.box.contains(target)) return;
    if (event.key in scrolls && near()) { event.preventDefault(); act.scroll(scrolls[event.key]); return; }
    if (bandKey(event)) { act.toggle(flags(["2–3", "3–4", "4+"][bandKey(event) - 1])); return; }
    if (!(event.key in keys)) return;
    if (event.key === " ") event.preventDefault();
    if (event.repeat && once.includes(event.key)) return;
    keys[event.key]();
  }, { capture: true });
  on(window, "keyup", (event) => {
    if (!v.base) return;
    if (event.key === " ") { if (state.hidden) event.preventDefault(); act.hide(false); }
    if (event.key === "b" && blinking) { blinking = false; act.blink(); }
  }, { capture: true });
  on(window, "blur", () => { if (v.base) act.hide(false); });
}
