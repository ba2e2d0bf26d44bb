// Mouse and keys of Compare.

function listen(v) {
  const { ui, state, root } = v, act = v.do;
  const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal: v.end.signal, ...options });
  let pressed; // where the button went down, and window and centre at that time

  // ---- mouse
  on(ui.canvas, "mousedown", (event) => {
    const hit = v.base && sliceAt(v, event);
    if (!hit) return;
    event.preventDefault();
    pressed = { ...hit, button: event.button, ctrl: event.ctrlKey || event.button === 1, client: [event.clientX, event.clientY], window: [...state.window], centre: [...state.centre] };
    if (event.button === 0 && !pressed.ctrl) act.moveTo(hit.slice.toVoxel(hit.x, hit.y, state.cross));
  });
  on(window, "mousemove", (event) => {
    if (!pressed) return;
    const dx = event.clientX - pressed.client[0], dy = event.clientY - pressed.client[1], dpr = globalThis.devicePixelRatio || 1;
    pressed.moved ||= Math.hypot(dx, dy) > 3;
    if (pressed.button === 2) {
      const [low, high] = pressed.window, level = (low + high) / 2 - dy * 0.5, width = high - low + dx * 0.8;
      act.setWindow(level - width / 2, level + width / 2);
    } else if (pressed.ctrl) act.pan(pressed.slice, pressed.centre, dx * dpr, dy * dpr);
    else {
      const bounds = ui.canvas.getBoundingClientRect();
      act.moveTo(pressed.slice.toVoxel((event.clientX - bounds.left) * dpr, (event.clientY - bounds.top) * dpr, state.cross));
    }
  });
  on(window, "mouseup", () => {
    if (pressed?.button === 0 && !pressed.ctrl && !pressed.moved) act.pick(pressed);
    pressed = undefined;
  });
  on(ui.stage, "contextmenu", (event) => event.preventDefault());
  on(ui.stage, "wheel", (event) => {
    const hit = v.base && sliceAt(v, event);
    if (!hit) return;
    event.preventDefault();
    if (event.ctrlKey) act.zoom(hit, event.deltaY < 0 ? 1.15 : 1 / 1.15);
    else act.scroll(event.deltaY < 0 ? 1 : -1, hit.slice.plane);
  }, { passive: false });

  // ---- keys
  const near = () => ui.box.matches(":hover") || ui.box.contains(root.activeElement ?? null);
  const flags = (label) => BANDS.flatMap(([name], i) => (name === label ? [i] : []));
  const keys = {
    "+": () => act.toggleSign([3, 4, 5]), "=": () => act.toggleSign([3, 4, 5]), "-": () => act.toggleSign([0, 1, 2]), " ": () => act.hide(true),
    b: () => act.blink(), m: () => act.nextMap(), c: () => act.nextLayout(), v: () => act.nextPlane(),
    l: () => act.setRadiological(), x: () => act.setCrosshair(), 0: () => act.reset(), "?": () => act.help(), Escape: () => act.help(false),
  };
  const scrolls = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  on(window, "keydown", (event) => {
    const target = event.composedPath()[0];
    if (!v.base || event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    // A button of the viewer reached by Tab is pressed by Space, as everywhere.
    if (event.key === " " && target?.tagName === "BUTTON" && ui.box.contains(target)) return;
    if (event.key in scrolls && near()) { event.preventDefault(); act.scroll(scrolls[event.key]); return; }
    if (bandKey(event)) { act.toggle(flags(["2–3", "3–4", "4+"][bandKey(event) - 1])); return; }
    if (!Object.hasOwn(keys, event.key)) return;
    if (event.key === " ") event.preventDefault();
    if (event.repeat && " b".includes(event.key)) return;
    keys[event.key]();
  }, { capture: true });
  on(window, "keyup", (event) => {
    if (!v.base) return;
    if (event.key === " " && state.hidden) { event.preventDefault(); act.hide(false); }
    if (event.key === "b" && !typing(event)) act.blink();
  }, { capture: true });
  on(window, "blur", () => { if (v.base && state.hidden) act.hide(false); });
}
