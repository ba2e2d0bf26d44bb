// The region table follows the selection: its list is scrolled until the row chosen elsewhere is in sight.
//
// Python sends `table` (the table's key), `row` (or null), `rows`, `rowHeight` and `headHeight` in pixels. The
// list alone is scrolled, never the page, and nothing takes the focus. A row that stays chosen is left where the
// reader scrolled it.

export default lasting("fontanelleRow", mount);

const TRY_MS = 50, TRIES = 60; // a table that is drawn anew takes its time

function mount() {
  let done = "", timer;

  function show({ table, row, rowHeight, headHeight }, tries) {
    const list = document.querySelector(`.st-key-${table} .dvn-scroller`);
    const high = list ? list.scrollHeight - list.clientHeight : 0, top = row * rowHeight;
    const room = list ? list.clientHeight - headHeight : 0; // of rows
    if (!list || room < rowHeight || (top + rowHeight > room && high <= 0)) {
      if (tries > 0) timer = setTimeout(show, TRY_MS, { table, row, rowHeight, headHeight }, tries - 1);
      return;
    }
    if (top < list.scrollTop || top + rowHeight > list.scrollTop + room)
      list.scrollTop = Math.min(high, Math.max(0, top - (room - rowHeight) / 2));
  }

  return {
    update({ data }) {
      const now = `${data.table} ${data.row} ${data.rows}`;
      if (now === done) return;
      done = now;
      clearTimeout(timer);
      if (data.row !== null) show(data, TRIES);
    },
    destroy() { clearTimeout(timer); },
  };
}
