// The view at twice its size as a picture, with everything that a reader of it needs burned in.

const PICTURE_SIZE = 12; // of its letters, in CSS pixels
const pictureFont = (ctx, unit, weight = 400) => {
  ctx.font = `${weight} ${PICTURE_SIZE * unit}px ${TITLE_FONT}`;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillStyle = "#f2f6f7";
};

// Lines of `words` no wider than `room`.
function broken(ctx, words, room) {
  const lines = [""];
  for (const word of words.split(" ")) {
    const longer = lines.at(-1) === "" ? word : `${lines.at(-1)} ${word}`;
    if (ctx.measureText(longer).width > room && lines.at(-1) !== "") lines.push(word); else lines[lines.length - 1] = longer;
  }
  return lines;
}

// What stands above and below the panes, in words.
function words(v) {
  const { state, data, ui } = v, names = modelsOf(v);
  const top = [`${data.case}${data.synthetic ? "   SYNTHETIC DATA" : ""}`, `${layoutLabel(v)} · ${data.mapNames[data.map]}: ${data.mapTitles[data.map]} · ${conventionText(state.radiological)}`];
  const under = {
    consensus: `Voxels that k of ${names.length} models flag at |z| ≥ ${state.threshold.toFixed(2)} SD${state.least > 1 ? `, k ≥ ${state.least}` : ""}: ${names.join(", ")}`,
    difference: `z of ${state.pair[0]} less z of ${state.pair[1]}, each cut at ±${Z_LIMIT} SD`,
  }[state.layout] ?? `Models: ${[...new Set(panesOf(v).filter((pane) => pane.model).map((pane) => pane.model))].join(", ")}`;
  return { top, bottom: [under, `voxel ${ui.values.voxel.textContent} of the file · ${ui.values.mm.textContent} mm (RAS+) · Fontanelle ${data.version} · ${DISCLAIMER}`] };
}

function picture(v) {
  const unit = 2, rows = v.state.layout === "consensus" && !v.state.hidden ? COUNT_SIDES.length : 1, width = Math.round(v.ui.stage.clientWidth * unit), body = Math.round(v.ui.stage.clientHeight * unit), line = 20 * unit;
  const canvas = document.createElement("canvas"), ctx = canvas.getContext("2d"), { top, bottom } = words(v);
  pictureFont(ctx, unit);
  const [above, below] = [top, bottom].map((texts) => texts.flatMap((one) => broken(ctx, one, width - 20 * unit)));
  Object.assign(canvas, { width, height: body + (above.length + below.length + rows + 1) * line });
  ctx.fillStyle = "#000";
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  const write = (one, y, weight) => { pictureFont(ctx, unit, weight); ctx.fillText(one, 10 * unit, y); };
  above.forEach((one, n) => write(one, (n + 0.6) * line, n === 0 ? 700 : 400));
  ctx.save();
  ctx.translate(0, (above.length + 0.3) * line);
  paint(v, ctx, arrange(v, width, body, unit));
  ctx.restore();
  let y = (above.length + 0.3) * line + body + 0.6 * line;
  for (let row = 0; row < rows; row++, y += line) legendInto(v, ctx, 10 * unit, y, unit, row);
  y -= line;
  for (const one of below) write(one, (y += line));
  return canvas;
}

// Row `row` of the legend: the consensus has one a side, all else one.
function legendInto({ state, data, ui }, ctx, x, y, unit, row) {
  const write = (label, indent = 0) => {
    pictureFont(ctx, unit);
    ctx.fillText(label, x + indent * unit, y);
    x += indent * unit + ctx.measureText(label).width + 10 * unit;
  };
  const swatch = (color, label) => {
    ctx.fillStyle = color;
    ctx.fillRect(x, y - 6 * unit, 12 * unit, 12 * unit);
    write(label, 16);
  };
  if (state.hidden) { write("overlay hidden"); return; }
  if (state.layout === "consensus") {
    const side = COUNT_SIDES[row];
    write(`${side} than expected, by`);
    [...ui.counts.querySelectorAll(".chip")].forEach((chip, i) => { if (i + 1 >= state.least) swatch(data.counts[side][i], chip.textContent); });
    write(`of ${data.models.length} models`);
    return;
  }
  write("darker");
  BANDS.forEach(([label], i) => {
    if (i === 3) write("brighter");
    if (state.on[i]) swatch(data.palettes[state.palette][i], `${label} SD`);
  });
  if (state.layout !== "difference") return;
  write(`difference −${data.differenceLimit}`);
  drawRamp(ctx, x, y - 5 * unit, 100 * unit, 10 * unit, data);
  x += 106 * unit;
  write(`+${data.differenceLimit} SD`);
}
