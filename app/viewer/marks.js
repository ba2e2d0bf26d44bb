// What is drawn over the slices: letters, titles, crosshair, the selected region, marks of the reader.

function outlined(ctx, text, x, y, color, dpr) {
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * dpr;
  ctx.strokeStyle = "rgb(0 0 0 / 85%)";
  ctx.strokeText(text, x, y);
  ctx.fillStyle = color;
  ctx.fillText(text, x, y);
}

// Side letters of one tile: all four, or left and right only where it is small.
function drawLetters(ctx, tile, radiological, dpr) {
  const [left, top, width, height] = tile.leftTopWidthHeight, small = Math.min(width, height) < 190 * dpr;
  const size = (small ? 13 : 17) * dpr, pad = 5 * dpr;
  const [l, r, t, b] = sideLetters(tile.axCorSag, radiological);
  ctx.font = `700 ${size}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  outlined(ctx, l, left + pad, top + height / 2, LETTER, dpr);
  ctx.textAlign = "right";
  outlined(ctx, r, left + width - pad, top + height / 2, LETTER, dpr);
  if (small) return;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  outlined(ctx, t, left + width / 2, top + pad, LETTER, dpr);
  ctx.textBaseline = "bottom";
  outlined(ctx, b, left + width / 2, top + height - pad, LETTER, dpr);
}

// The tile's title above left, and its slice number below left.
function drawTitle(ctx, tile, text, number, dpr) {
  const [left, top, , height] = tile.leftTopWidthHeight;
  ctx.textAlign = "left";
  ctx.font = `600 ${12 * dpr}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textBaseline = "top";
  if (text) outlined(ctx, text, left + 6 * dpr, top + 6 * dpr, "#d9e1e4", dpr);
  ctx.font = `${11 * dpr}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textBaseline = "bottom";
  if (number) outlined(ctx, number, left + 6 * dpr, top + height - 6 * dpr, "#a9b6bc", dpr);
}

function drawRing(ctx, nv, tile, mm, radius, dpr) {
  const at = project(nv, tile, mm);
  if (!at || at.off > radius) return;
  ctx.lineWidth = 1.5 * dpr;
  ctx.setLineDash([5 * dpr, 4 * dpr]);
  ctx.strokeStyle = LETTER;
  ctx.beginPath();
  ctx.arc(at.x, at.y, radius * at.scale, 0, 2 * Math.PI);
  ctx.stroke();
  ctx.setLineDash([]);
}

// Open in the middle: what lies under the crosshair stays visible.
function drawHair(ctx, nv, tile, mm, dpr) {
  const at = project(nv, tile, mm), [left, top, width, height] = tile.leftTopWidthHeight;
  const gap = Math.min(12 * dpr, width / 14), edge = Math.min(26 * dpr, width / 8);
  if (!at) return;
  ctx.lineWidth = dpr;
  ctx.strokeStyle = "rgb(94 242 194 / 55%)";
  ctx.beginPath();
  for (const [x1, y1, x2, y2] of [
    [left + edge, at.y, at.x - gap, at.y], [at.x + gap, at.y, left + width - edge, at.y],
    [at.x, top + edge, at.x, at.y - gap], [at.x, at.y + gap, at.x, top + height - edge],
  ]) if (x2 > x1 || y2 > y1) { ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); }
  ctx.stroke();
}

// A marked finding: its sphere where this slice cuts it, a cross near its middle, and whose it is, if that is said.
function drawSpot(ctx, nv, tile, { mm, radius, label }, dpr) {
  const at = project(nv, tile, mm);
  if (!at || at.off > Math.max(radius, 2.5)) return;
  const r = 5 * dpr, cut = Math.sqrt(Math.max(0, radius * radius - at.off * at.off)) * at.scale;
  for (const [color, width] of [["#000", 4], ["#5ef2c2", 2]]) {
    ctx.strokeStyle = color;
    ctx.lineWidth = width * dpr;
    ctx.beginPath();
    if (cut > r + 2 * dpr) ctx.arc(at.x, at.y, cut, 0, 2 * Math.PI);
    if (at.off <= 2.5) {
      ctx.moveTo(at.x - r, at.y); ctx.lineTo(at.x + r, at.y);
      ctx.moveTo(at.x, at.y - r); ctx.lineTo(at.x, at.y + r);
    }
    ctx.stroke();
  }
  if (!label) return;
  ctx.font = `600 ${12 * dpr}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  outlined(ctx, label, at.x + Math.max(r, cut) * 0.75, at.y - Math.max(r, cut) * 0.75, "#5ef2c2", dpr);
}

// Where a swipe parts the two images of a tile.
function drawSwipe(ctx, tile, share, names, dpr) {
  const [left, top, width, height] = tile.leftTopWidthHeight, x = left + Math.round(width * share);
  ctx.strokeStyle = "#d9e1e4";
  ctx.lineWidth = dpr;
  ctx.beginPath();
  ctx.moveTo(x, top); ctx.lineTo(x, top + height);
  ctx.stroke();
  ctx.fillStyle = "#d9e1e4";
  ctx.beginPath();
  ctx.arc(x, top + height * 0.86, 5 * dpr, 0, 2 * Math.PI);
  ctx.fill();
  ctx.font = `600 ${11 * dpr}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  outlined(ctx, names[0], x - 9 * dpr, top + height * 0.86, "#d9e1e4", dpr);
  ctx.textAlign = "left";
  outlined(ctx, names[1], x + 9 * dpr, top + height * 0.86, "#d9e1e4", dpr);
}

// Over all tiles of the reading viewer `v`.
function drawMarks(v) {
  const { nv, ui, state, data } = v, canvas = ui.marks, ctx = canvas.getContext("2d");
  if (canvas.width !== ui.canvas.width) canvas.width = ui.canvas.width;
  if (canvas.height !== ui.canvas.height) canvas.height = ui.canvas.height;
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  if (!v.base || state.view === "render") return;
  const dpr = nv.uiData.dpr || 1, cross = toMM(nv, nv.scene.crosshairPos), colors = data.palettes?.[state.palette];
  const selected = (data.regions ?? []).find((region) => region.id === data.selected);
  const spots = [...(data.missed ?? []), ...(v.spot ? [v.spot] : [])];
  for (const tile of v.tiles.shown()) {
    const { spec = {}, axCorSag: plane } = tile, flags = spec.overlay !== null && !state.hidden;
    if (state.contours && flags && v.z[state.map])
      drawContours(ctx, nv, v.base, tile, v.z[state.map], { on: state.on, colors, dpr, kept: v.contours, name: state.map });
    if (selected && flags) drawRing(ctx, nv, tile, selected.centre, Math.max(4, 1.6 * selected.radius), dpr);
    for (const spot of spots) drawSpot(ctx, nv, tile, spot, dpr);
    const n = v.base.dimsRAS[3 - plane], here = Math.min(n - 1, Math.floor(tile.sliceFrac * n));
    const near = Math.abs(tile.sliceFrac - nv.scene.crosshairPos[2 - plane]) * n < 0.75;
    if (state.crosshair && near) drawHair(ctx, nv, tile, cross, dpr);
    drawRuler(ctx, v, tile, dpr);
    if (v.tiles.swipe) drawSwipe(ctx, tile, v.tiles.swipe.share, ["scan", "expected"], dpr);
    drawLetters(ctx, tile, state.radiological, dpr);
    drawTitle(ctx, tile, spec.title, `${here + 1}/${n}`, dpr);
  }
}
