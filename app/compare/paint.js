// Painting the panes: the scan in greys, what a pane lays over it, crosshair, letters, captions.

const TITLE_FONT = "system-ui, sans-serif";
const offsetIn = ({ dims }, [x, y, z]) => x + dims[0] * (y + dims[1] * z);

// Colour of a voxel's overlay in one pane; undefined where the pane has none.
function overlayColor(v, pane, tables) {
  const { z, state } = v;
  if (pane.kind === "model" && z[pane.model]) { const { img } = z[pane.model]; return (at) => tables.bands[img[at] + 128]; }
  if (pane.kind === "count") { const all = mapsOf(v), steps = state.threshold / Z_STEP; const colors = tables.counts[countSide(pane)]; return (at) => colors[countAt(all, at, steps, pane.sign)]; }
  if (pane.kind === "difference" && z[state.pair[0]] && z[state.pair[1]]) {
    const [a, b] = state.pair.map((name) => z[name].img);
    return (at) => tables.difference[a[at] - b[at] + 254];
  }
  return undefined;
}

const scratch = document.createElement("canvas");
function blit(ctx, pixels, box, smooth, alpha) {
  if (scratch.width !== pixels.width || scratch.height !== pixels.height) Object.assign(scratch, { width: pixels.width, height: pixels.height });
  scratch.getContext("2d").putImageData(pixels, 0, 0);
  ctx.imageSmoothingEnabled = smooth;
  ctx.globalAlpha = alpha;
  ctx.drawImage(scratch, ...box);
  ctx.globalAlpha = 1;
}

function greys([low, high]) {
  return Uint32Array.from({ length: 256 }, (_, raw) => {
    const grey = Math.round(255 * Math.max(0, Math.min(1, (raw - low) / (high - low))));
    return ((255 << 24) | (grey << 16) | (grey << 8) | grey) >>> 0;
  });
}

function paint(v, ctx, tiles) {
  const { state, data, base } = v;
  const tables = {
    grey: greys(state.window), bands: zColors(state.on, data.palettes[state.palette]),
    counts: Object.fromEntries(COUNT_SIDES.map((side) => [side, countColors(modelsOf(v).length, data.counts[side], state.least)])), difference: differenceColors(data.difference, data.differenceLimit),
  };
  const kept = new Map(); // the same slice of the scan lies under all panes
  for (const tile of tiles) {
    const under = tile.kind === "model" && state.showing === "reconstruction" && v.expected[tile.model] ? v.expected[tile.model] : base;
    for (const slice of tile.slices) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(slice.x, slice.y, slice.w, slice.h);
      ctx.clip();
      const index = state.cross[slice.through], flip = mirrored(slice.plane, state.radiological);
      let grey = under === base ? kept.get(slice.plane) : undefined;
      if (!grey) grey = slicePixels(base.dims, slice.plane, index, flip, (at) => tables.grey[under.img[at]]);
      if (under === base) kept.set(slice.plane, grey);
      blit(ctx, grey, slice.box, true, 1);
      const color = state.hidden ? undefined : overlayColor(v, tile, tables);
      if (color) blit(ctx, slicePixels(base.dims, slice.plane, index, flip, color), slice.box, false, state.opacity);
      paintRing(v, ctx, slice);
      paintHair(v, ctx, tile, slice);
      paintLetters(v, ctx, slice);
      ctx.restore();
    }
    paintCaption(v, ctx, tile);
  }
}

// Around the chosen region, on the slices that come near it.
function paintRing({ data, state, base }, ctx, slice) {
  if (!data.region || state.hidden) return;
  const at = mmToVoxel(base, data.region.centre), radius = Math.max(4, 1.6 * data.region.radius);
  if (Math.abs(at[slice.through] - state.cross[slice.through]) * base.spacing[slice.through] > radius) return;
  const [x, y] = slice.toScreen(at);
  ctx.setLineDash([5 * slice.unit, 4 * slice.unit]);
  ctx.lineWidth = 1.5 * slice.unit;
  ctx.strokeStyle = LETTER;
  ctx.beginPath();
  ctx.arc(x, y, radius * slice.scale, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.setLineDash([]);
}

// Open in the middle: what lies under it stays visible.
function paintHair({ state }, ctx, tile, slice) {
  const [x, y] = slice.toScreen(state.cross).map((at) => Math.floor(at) + 0.5), { unit } = slice; // one sharp pixel
  const line = (x1, y1, x2, y2) => { ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); };
  tile.at = [...(tile.at ?? []), [x, y]];
  if (!state.crosshair) return;
  const gap = 9 * unit;
  ctx.lineWidth = unit;
  ctx.strokeStyle = "rgb(94 242 194 / 60%)";
  ctx.beginPath();
  line(slice.x, y, x - gap, y); line(x + gap, y, slice.x + slice.w, y);
  line(x, slice.y, x, y - gap); line(x, y + gap, x, slice.y + slice.h);
  ctx.stroke();
}

function paintLetters({ state }, ctx, slice) {
  const [left, right, top, bottom] = sideLetters(slice.plane, state.radiological), size = 12 * slice.unit;
  ctx.font = `600 ${size}px ${TITLE_FONT}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.lineWidth = 3 * slice.unit;
  ctx.strokeStyle = "#000";
  ctx.fillStyle = LETTER;
  const middle = [slice.x + slice.w / 2, slice.y + slice.h / 2];
  for (const [letter, x, y] of [[left, slice.x + size, middle[1]], [right, slice.x + slice.w - size, middle[1]], [top, middle[0], slice.y + size], [bottom, middle[0], slice.y + slice.h - size]]) {
    ctx.strokeText(letter, x, y);
    ctx.fillText(letter, x, y);
  }
}

// Title at the left, what the pane says of the voxel under the crosshair at the right; a note in the lower corner.
function paintCaption(v, ctx, tile) {
  const { z, state, data, base } = v, unit = tile.slices[0].unit, at = offsetIn(base, state.cross), y = tile.y + (CAPTION / 2) * unit;
  const value = {
    scan: () => "", model: () => (z[tile.model] ? `z ${formatZ(z[tile.model].img[at])}` : ""),
    count: () => `${countAt(mapsOf(v), at, state.threshold / Z_STEP, tile.sign)} of ${modelsOf(v).length} models`,
    difference: () => (z[state.pair[0]] && z[state.pair[1]] ? zText((z[state.pair[0]].img[at] - z[state.pair[1]].img[at]) * Z_STEP) : ""),
  }[tile.kind]();
  ctx.font = `600 ${11.5 * unit}px ${TITLE_FONT}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  ctx.fillStyle = "#f2f6f7";
  ctx.fillText(value, tile.x + tile.w - 4 * unit, y);
  const room = tile.w - ctx.measureText(value).width - 14 * unit;
  ctx.textAlign = "left";
  ctx.fillStyle = tile.kind === "model" && tile.model === data.region_model ? LETTER : "#b9c5ca";
  ctx.fillText(tile.title, tile.x + 4 * unit, y, Math.max(10, room));
  if (!tile.note) return;
  ctx.font = `${11 * unit}px ${TITLE_FONT}`;
  ctx.fillStyle = "#b9c5ca";
  tile.note.forEach((line, n) => ctx.fillText(line, tile.x + 4 * unit, tile.y + tile.h - (8 + 14 * (tile.note.length - 1 - n)) * unit));
}

function draw(v) {
  v.frame = undefined;
  if (!v.base || v.ui.box.dataset.state !== "ready") return;
  const { canvas, stage } = v.ui, dpr = globalThis.devicePixelRatio || 1;
  const width = Math.round(stage.clientWidth * dpr), height = Math.round(stage.clientHeight * dpr);
  if (width === 0 || height === 0) return;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = "#000";
  ctx.fillRect(0, 0, width, height);
  v.views = arrange(v, width, height, dpr);
  paint(v, ctx, v.views);
  describe(v, dpr);
}

function redraw(v) { v.frame ??= requestAnimationFrame(() => draw(v)); }

// The line of values; for tests and for readers of the page's structure, what lies where in CSS pixels.
function describe(v, dpr) {
  const { state, data, base, ui } = v, at = offsetIn(base, state.cross), steps = state.threshold / Z_STEP, all = mapsOf(v);
  const [brighter, darker] = [1, -1].map((sign) => countAt(all, at, steps, sign)), mm = voxelToMM(base, state.cross);
  const cells = {
    T2: (base.inter + base.slope * base.img[at]).toFixed(base.slope < 0.05 ? 2 : 0), mm: mm.map((one) => one.toFixed(1)).join(", ").replaceAll("-", "−"),
    voxel: storedVoxel({ dimsRAS: [3, ...base.dims] }, state.cross, data.stored).join(", "),
    agree: `brighter ${brighter} of ${all.length} · darker ${darker} of ${all.length}`, slice: `${state.cross[2] + 1}/${base.dims[2]}`,
  };
  for (const [name, words] of Object.entries(cells)) ui.values[name].textContent = words;
  const css = (slice, at) => ({ plane: slice.plane, x: slice.x / dpr, y: slice.y / dpr, w: slice.w / dpr, h: slice.h / dpr, scale: slice.scale / dpr, at: at.map((one) => one / dpr) });
  Object.assign(ui.box.dataset, {
    mm: mm.map((one) => one.toFixed(2)).join(","), consensus: `${brighter},${darker}`, layout: state.layout, map: data.map,
    panes: JSON.stringify(v.views.map((tile) => ({ title: tile.title, note: tile.note?.join(" "), slices: tile.slices.map((slice, n) => css(slice, tile.at[n])) }))),
  });
  ui.canvas.setAttribute("aria-label", `${v.views.map((tile) => tile.title).join(", ")}; slice ${cells.slice}; ${cells.agree}`);
}
