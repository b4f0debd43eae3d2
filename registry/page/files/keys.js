// The keyboard: what each key does, and the list of them.

import { h } from "./dom.js";
import * as places from "./places.js";

const list = [
	["/", "search"],
	["↓ ↑ or j k", "next and previous row"],
	["Enter", "open"],
	["← → ↑ ↓", "walk over the map of layers"],
	["Esc", "back out of a search, a choice, or this list"],
	["g m", "models"],
	["g s", "storage"],
	["g n", "nodes"],
	["t", "light or dark"],
	["?", "this list"],
];

let dialog;

/** help shows the list of keys. */
export function help() {
	if (!dialog) {
		dialog = h("dialog", { class: "keys", "aria-label": "Keys" },
			h("h2", {}, "Keys"),
			h("dl", {}, list.map(([key, what]) => [h("dt", {}, key.split(" ").map((k) => k === "or" ? " or " : h("kbd", {}, k))), h("dd", {}, what)])),
			h("form", { method: "dialog" }, h("button", {}, "Close")));
		dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
		document.body.append(dialog);
	}
	if (!dialog.open) dialog.showModal();
}

/** listen begins to act on keys; actions are those of the page as a whole. */
export function listen({ go, turn }) {
	let before = ""; // "g" was pressed just now
	const actions = {
		"/": () => search(),
		"?": help,
		t: turn,
		j: () => step(1), ArrowDown: () => step(1),
		k: () => step(-1), ArrowUp: () => step(-1),
		gm: () => go(places.home()), gs: () => go(places.storage()), gn: () => go(places.nodes()),
	};
	document.addEventListener("keydown", (e) => {
		if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || dialog?.open) return;
		const typing = e.target.closest?.("input, textarea, select");
		if (e.key === "Escape") return leave(e.target);
		if (typing && !(typing.type === "search" && (e.key === "ArrowDown" || e.key === "ArrowUp"))) return;
		const key = before + e.key;
		before = !typing && e.key === "g" && before === "" ? "g" : "";
		const act = actions[key] ?? (key.length === 2 ? actions[e.key] : undefined);
		if (!act) return;
		if (act() !== false) e.preventDefault();
	});
}

/** Puts the cursor in the search field, of this view or of the list of models. */
function search() {
	const field = document.querySelector("main input[type=search]");
	if (!field) return false;
	field.focus();
	field.select();
	return true;
}

/** Moves between rows: the links that a view has marked. */
function step(by) {
	const rows = [...document.querySelectorAll("main [data-row]")].filter((a) => a.getClientRects().length > 0);
	if (rows.length === 0) return false;
	const at = rows.indexOf(document.activeElement);
	const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
	rows[next].focus();
	rows[next].scrollIntoView({ block: "nearest" });
	return true;
}

/** Empties a search, then leaves it; tells views to drop what was chosen. */
function leave(target) {
	if (target.type === "search" && target.value !== "") {
		target.value = "";
		target.dispatchEvent(new Event("input", { bubbles: true }));
	} else target.blur?.();
	document.querySelector("main")?.dispatchEvent(new CustomEvent("leave"));
}
