// The name that was given in demo mode, for a reload of this tab: the tab's own storage, which goes with the tab.
// Nothing of it stands in an address or a cookie. The form that asks for a name shows once none is kept.

const KEPT = "fontanelle.reader";

export default function ({ data, setTriggerValue }) {
  if (data.name) { sessionStorage.setItem(KEPT, data.name); return; }
  if (data.forgotten) sessionStorage.removeItem(KEPT);
  const kept = sessionStorage.getItem(KEPT);
  if (kept) setTriggerValue("name", kept);
  else document.documentElement.dataset.fontanelleReader = "asked";
}
