// The picture for slides and reports: the view as it is, with all that it needs to be read on its own burned in.
//
// `facts`: case, synthetic, model, map, convention, bands ([label, sign, color, on] each, or empty), window,
// threshold, version. The picture stands on three strips: who (above), legend and reading rules (below); a threshold
// that has no room beside the legend gets lines of its own.

const PNG_FONT = 'system-ui, "DejaVu Sans", sans-serif';
const STRIP = { head: 34, legend: 30, foot: 24 }; // heights at scale 1

const PNG_WIDTH = 1600; // least, in pixels: it fills a slide

// What `take` makes of the view drawn `factor` times as large: drawn anew, not stretched.
function enlarged(v, factor, take) {
  const { nv, ui: { canvas } } = v, { width, height } = canvas, dpr = nv.uiData.dpr || 1;
  const draw = (times) => {
    nv.uiData.dpr = times * dpr;
    [canvas.width, canvas.height] = [times * width, times * height];
    nv.gl.viewport(0, 0, canvas.width, canvas.height);
    nv.drawScene(); // WebGL keeps its picture until the browser shows it only
  };
  draw(factor);
  try { return take(factor * dpr); } finally { draw(1); }
}

// `text` in lines of at most `room` pixels in the font that is set.
function linesOf(ctx, text, room) {
  const lines = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const longer = lines.length > 0 ? `${lines.at(-1)} ${word}` : word;
    if (lines.length > 0 && ctx.measureText(longer).width <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

// How wide the legend's strip is before a threshold may follow.
function legendWidth(ctx, bands, scale) {
  const wide = (text) => ctx.measureText(text).width;
  if (bands.length === 0) return wide("No flags shown") + 20 * scale;
  const chips = bands.map(([label, , , on]) => Math.round(13 * scale) + 16 * scale + wide(on ? label : `${label} off`));
  return chips.reduce((sum, one) => sum + one, 28 * scale + wide("darker") + wide("brighter than expected, in SD"));
}

function pngPicture(canvases, facts, dpr) {
  const view = canvases[0], scale = Math.max(dpr, view.width / 1000), width = Math.max(view.width, Math.round(760 * scale));
  const heights = Object.fromEntries(Object.entries(STRIP).map(([name, height]) => [name, Math.round(height * scale)]));
  const measure = el("canvas").getContext("2d"), pad = 10 * scale;
  measure.font = `400 ${12 * scale}px ${PNG_FONT}`;
  const beside = measure.measureText(facts.threshold).width <= width - 2 * pad - legendWidth(measure, facts.bands, scale);
  const lines = beside ? [] : linesOf(measure, facts.threshold, width - 2 * pad);
  const below = heights.head + view.height + heights.legend + lines.length * heights.foot;
  const canvas = el("canvas", { width, height: below + 2 * heights.foot });
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = "#000";
  ctx.fillRect(0, 0, width, canvas.height);
  for (const layer of canvases) ctx.drawImage(layer, Math.round((width - view.width) / 2), heights.head);

  const strip = (top, height) => {
    ctx.fillStyle = "#12181b";
    ctx.fillRect(0, top, width, height);
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    return top + height / 2;
  };
  const font = (weight, size) => { ctx.font = `${weight} ${size * scale}px ${PNG_FONT}`; };
  const write = (text, x, y, color, room = width) => {
    ctx.fillStyle = color;
    ctx.fillText(text, x, y, Math.max(1, room));
    return x + Math.min(room, ctx.measureText(text).width);
  };

  let y = strip(0, heights.head), x = pad;
  font(700, 14);
  x = write(facts.case, x, y, "#fff") + pad;
  if (facts.synthetic) {
    font(700, 11);
    const wide = ctx.measureText("SYNTHETIC").width;
    ctx.strokeStyle = "#d9a83a";
    ctx.lineWidth = scale;
    ctx.strokeRect(x, y - 9 * scale, wide + 10 * scale, 18 * scale);
    x = write("SYNTHETIC", x + 5 * scale, y, "#f3c45c") + pad + 5 * scale;
  }
  font(400, 13);
  write([facts.model, facts.map].filter(Boolean).join("  ·  "), x, y, "#a9b6bc", width - x - pad);

  y = strip(heights.head + view.height, heights.legend);
  font(400, 12);
  x = pad;
  if (facts.bands.length > 0) {
    x = write("darker", x, y, "#a9b6bc") + 8 * scale;
    for (const [label, , color, on] of facts.bands) {
      const side = Math.round(13 * scale), [left, top] = [Math.round(x), Math.round(y - side / 2)];
      if (on) { ctx.fillStyle = color; ctx.fillRect(left, top, side, side); }
      else { ctx.strokeStyle = color; ctx.lineWidth = 2 * scale; ctx.strokeRect(left + scale, top + scale, side - 2 * scale, side - 2 * scale); }
      x = write(on ? label : `${label} off`, x + side + 5 * scale, y, on ? "#fff" : "#8c9aa1") + 11 * scale;
    }
    x = write("brighter than expected, in SD", x, y, "#a9b6bc") + pad;
  } else x = write("No flags shown", x, y, "#a9b6bc") + pad;
  ctx.textAlign = "right";
  if (beside) write(facts.threshold, width - pad, y, "#a9b6bc");
  for (const [i, line] of lines.entries()) write(line, pad, strip(heights.head + view.height + heights.legend + i * heights.foot, heights.foot), "#a9b6bc");

  y = strip(below, heights.foot);
  font(600, 12);
  x = write(facts.convention, pad, y, LETTER) + pad;
  font(400, 12);
  ctx.textAlign = "right";
  write(facts.window, width - pad, y, "#a9b6bc", width - pad - x);

  y = strip(below + heights.foot, heights.foot);
  x = write(DISCLAIMER, pad, y, "#d9e1e4") + pad;
  ctx.textAlign = "right";
  write(`Fontanelle ${facts.version}`, width - pad, y, "#a9b6bc", width - pad - x);
  return canvas;
}

function savePng(canvas, name) {
  canvas.toBlob((blob) => {
    const url = URL.createObjectURL(blob), link = el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }, "image/png");
}
