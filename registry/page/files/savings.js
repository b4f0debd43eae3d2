// The bar of what is saved: from the plain bytes of all versions down to what is stored.

import { h } from "./dom.js";
import { bytes, many, percent } from "./words.js";

const kinds = [
	["dedup", "shared between versions"],
	["delta", "stored as differences"],
	["compression", "compressed"],
];

/** savings draws weighed totals; a saving below zero, of a tiny store, is left out. */
export function savings(w, totals) {
	const saved = kinds.map(([kind, text]) => [kind, text, Math.max(0, w.saved[kind])]);
	const whole = Math.max(1, w.bytes_stored + saved.reduce((sum, [, , n]) => sum + n, 0));
	const part = (kind, n) => h("i", { class: kind, style: { "flex-grow": String(n / whole) }, title: `${bytes(n)}` });
	const times = w.bytes_stored > 0 ? w.bytes_total / w.bytes_stored : 1;
	return h("section", { class: "savings", "aria-label": "Storage" },
		h("div", { class: "figures" },
			h("p", { class: "big" }, h("b", {}, bytes(w.bytes_stored)), " hold ", h("b", {}, bytes(w.bytes_total))),
			h("p", { class: "soft" }, totals ? `${many(totals.models, "model")}, ${many(totals.versions, "version")}` : null,
				times >= 1.05 ? h("span", { class: "times" }, `${times >= 10 ? Math.round(times) : times.toFixed(1)} × less`) : null)),
		h("div", { class: "strip tall", role: "img", "aria-label": `${percent(w.bytes_stored, w.bytes_total)} of the bytes are stored` },
			part("stored", w.bytes_stored), [...saved].reverse().map(([kind, , n]) => n > 0 ? part(kind, n) : null)),
		h("ul", { class: "key" },
			h("li", {}, h("i", { class: "swatch stored" }), h("b", {}, bytes(w.bytes_stored)), " stored"),
			[...saved].reverse().map(([kind, text, n]) => h("li", {}, h("i", { class: `swatch ${kind}` }), h("b", {}, bytes(n)), ` ${text}`))));
}
