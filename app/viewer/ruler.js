// A distance on a slice: a line between two points of one plane, with its length in mm of the scanner's space.
//
// `v.line` is { plane, slice, from, to, mm }, its ends in fractions of the scan: zoom and pan change nothing. It is
// drawn on its own slice only, lives in the browser until the reader ends it, and nobody hears of it.

const lengthOf = (nv, from, to) => { const [a, b] = [from, to].map((frac) => toMM(nv, frac)); return Math.hypot(...a.map((value, i) => value - b[i])); };

// Index of the slice that a tile shows.
function sliceOf(v, tile) {
  const n = v.base.dimsRAS[3 - tile.axCorSag];
  return Math.min(n - 1, Math.floor(tile.sliceFrac * n));
}

// The tile's point that is closest to a place on the canvas; null beyond the scan.
function fracWithin(nv, tile, [x, y]) {
  const [left, top, width, height] = tile.leftTopWidthHeight, within = (at, low, size) => Math.min(low + size - 1, Math.max(low + 1, at));
  const frac = nv.canvasPos2frac([within(x, left, width), within(y, top, height)]);
  return frac[0] >= 0 ? [...frac] : null;
}

const lineFrom = (v, tile, from) => ({ plane: tile.axCorSag, slice: sliceOf(v, tile), from });

// `line`, up to `to`, in place of the last one.
function drawLine(v, line, to) {
  v.line = Object.assign(line, { to, mm: lengthOf(v.nv, line.from, to) });
  v.ui.box.dataset.length = v.line.mm.toFixed(2);
}

// The line where `tile` shows its slice: ends as bars across it, the length beside its middle.
function drawRuler(ctx, v, tile, dpr) {
  const { nv, line } = v;
  if (!line || tile.axCorSag !== line.plane || sliceOf(v, tile) !== line.slice) return;
  const [left, top, width, height] = tile.leftTopWidthHeight, [a, b] = [line.from, line.to].map((frac) => projectFrac(nv, tile, frac));
  const long = Math.hypot(b.x - a.x, b.y - a.y) || 1, across = [-(b.y - a.y) / long, (b.x - a.x) / long].map((one) => one * 5 * dpr);
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  for (const [color, wide] of [["rgb(0 0 0 / 85%)", 4], [RULER, 1.5]]) {
    ctx.strokeStyle = color;
    ctx.lineWidth = wide * dpr;
    ctx.beginPath();
    ctx.moveTo(a.x, a.y); ctx.lineTo(b.x, b.y);
    for (const end of [a, b]) { ctx.moveTo(end.x - across[0], end.y - across[1]); ctx.lineTo(end.x + across[0], end.y + across[1]); }
    ctx.stroke();
  }
  const words = `${line.mm.toFixed(1)} mm`, gap = 9 * dpr;
  ctx.font = `700 ${13 * dpr}px system-ui, "DejaVu Sans", sans-serif`;
  const wide = ctx.measureText(words).width, middle = [(a.x + b.x) / 2, (a.y + b.y) / 2];
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  // Right of a steep line, above a flat one; never over the tile's edge.
  const steep = Math.abs(b.y - a.y) > Math.abs(b.x - a.x), x = steep ? middle[0] + gap : middle[0] - wide / 2, y = steep ? middle[1] : middle[1] - 1.6 * gap;
  outlined(ctx, words, Math.min(left + width - wide - gap, Math.max(left + gap, x)), Math.min(top + height - gap, Math.max(top + gap, y)), RULER, dpr);
  ctx.restore();
}
