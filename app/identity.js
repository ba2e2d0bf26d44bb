// The name that was given in demo mode, for a reload of this tab: the tab's own storage, which goes with the tab.
// Nothing of it stands in an address or a cookie. The form that asks for a name shows once none is kept.

const KEPT = "fontanelle.reader";
const AGAIN_MS = 5000; // a word that is sent while the connection comes up may never be heard of
let again;

export default function ({ data, setTriggerValue }) {
  clearTimeout(again);
  if (data.name) { sessionStorage.setItem(KEPT, data.name); return; }
  if (data.forgotten) sessionStorage.removeItem(KEPT);
  const kept = sessionStorage.getItem(KEPT);
  if (kept) {
    setTriggerValue("name", kept);
    again = setTimeout(setTriggerValue, AGAIN_MS, "name", kept);
  }
  else document.documentElement.dataset.fontanelleReader = "asked";
}
