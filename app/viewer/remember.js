// What the tab remembers of the reading viewer through a reload: how the reader looks, and the region chosen.
//
// Analysis and region by their ids, nothing of a patient. No position: it could lead an unaided read to what a
// flag had shown. Map, bands 2–3 and region are Python's too: they are asked for one after the other, each once
// Python has followed, and no more once the reader does something.

const REMEMBERED = "fontanelle.view";
const LASTING = ["view", "rows", "plane", "opacity", "palette", "contours", "smooth"];

function remember(v) {
  const { state, data } = v;
  if (!data.address || data.look) return;
  const { address, map, on, region } = v.recalled ?? { address: data.address, map: state.map, on: state.on, region: data.selected ?? null };
  sessionStorage.setItem(REMEMBERED, JSON.stringify({ ...Object.fromEntries(LASTING.map((name) => [name, state[name]])), address, map, on, region }));
}

// At the first update: what is the viewer's alone.
function recall(v) {
  const { state, data } = v;
  let kept;
  try { kept = JSON.parse(sessionStorage.getItem(REMEMBERED)); } catch { kept = null; }
  if (!kept || data.look) return;
  for (const name of LASTING) if (typeof kept[name] === typeof state[name]) state[name] = kept[name];
  v.ui.opacity.value = state.opacity;
  if (kept.on?.length !== state.on.length) return;
  state.on = kept.on.map((on, i) => (i === 2 || i === 3 ? state.on[i] : on));
  v.recalled = kept;
  for (const type of ["keydown", "pointerdown"]) window.addEventListener(type, () => { v.recalled = undefined; }, { capture: true, once: true, signal: v.end.signal });
}

// After each update that is drawn: the next of what Python has to follow.
function resume(v) {
  const { recalled: kept, data, state } = v;
  if (!kept || data.blind || data.look) return;
  if (kept.map !== state.map && data.maps.some((one) => one.name === kept.map)) { v.do.setMap(kept.map); return; }
  if (data.map !== state.map || data.weak !== v.do.weak()) return; // Python has yet to follow
  if (kept.on.slice(2, 4).join() !== state.on.slice(2, 4).join()) {
    v.do.setOn(kept.on);
    if (data.weak !== v.do.weak()) return;
  }
  v.recalled = undefined;
  const region = data.selected || kept.address !== data.address ? undefined : data.regions.find(({ id }) => id === kept.region);
  if (region) v.do.select(region);
}
