// What the store holds, by namespace and by model.

import { h } from "../dom.js";
import { get } from "../api.js";
import * as places from "../places.js";
import { savings } from "../savings.js";
import { ago, bytes, count, many, percent } from "../words.js";

export async function storage() {
	const [summary, stats] = await Promise.all([
		get("v1/summary?limit=1000"),
		get("v1/stats").catch((e) => e.status === 401 ? Promise.reject(e) : null), // not everybody may count everything
	]);
	const w = summary.weighed;
	const largest = [...summary.models].sort((a, b) => b.bytes_total - a.bytes_total).slice(0, 20);
	const top = largest[0]?.bytes_total || 1;
	return h("div", { class: "storage" },
		h("h1", {}, "Storage"),
		w ? savings(w, summary.totals) : h("p", { class: "soft" }, "What is saved is being reckoned. Look again in a moment."),
		w ? h("p", { class: "soft" }, `As of ${ago(w.at)}.`) : null,
		stats ? facts(stats) : null,
		stats?.namespaces.length ? spaces(stats.namespaces) : null,
		largest.length ? h("section", {}, h("h2", {}, "Largest models"),
			h("ul", { class: "bars" }, largest.map((m) => h("li", {}, h("a", { href: places.model(m.name), "data-row": true }, m.name),
				h("span", { class: "meter wide" }, h("i", { style: { width: `${100 * m.bytes_total / top}%` } })),
				h("span", { class: "n" }, bytes(m.bytes_total)), h("span", { class: "n soft" }, many(m.versions, "version")))))) : null);
}

function facts(s) {
	const fact = (value, text) => h("div", {}, h("dd", {}, value), h("dt", {}, text));
	return h("dl", { class: "facts" },
		fact(count(s.repos), "models"), fact(count(s.versions), "versions"), fact(count(s.tags), "tags"),
		fact(bytes(s.bytes_unique), "distinct plain bytes"), fact(bytes(s.bytes_stored), "in the store, garbage included"), fact(count(s.blobs), "objects"));
}

function spaces(list) {
	const rows = [...list].sort((a, b) => b.bytes_stored - a.bytes_stored).map((n) => {
		const whole = n.bytes_total || 1;
		return h("tr", {}, h("th", { scope: "row" }, h("a", { href: places.namespace(n.namespace), "data-row": true }, n.namespace)),
			h("td", { class: "n" }, count(n.repos)), h("td", { class: "n" }, count(n.versions)),
			h("td", { class: "n" }, bytes(n.bytes_total)), h("td", { class: "n" }, bytes(n.bytes_unique)), h("td", { class: "n" }, bytes(n.bytes_stored)),
			h("td", {}, h("span", { class: "strip", role: "img", "aria-label": `${percent(n.bytes_stored, whole)} stored` },
				h("i", { class: "stored", style: { "flex-grow": String(n.bytes_stored / whole) } }),
				h("i", { class: "compression", style: { "flex-grow": String(Math.max(0, n.bytes_unique - n.bytes_stored) / whole) } }),
				h("i", { class: "dedup", style: { "flex-grow": String(Math.max(0, whole - n.bytes_unique) / whole) } }))));
	});
	return h("section", {}, h("h2", {}, "Namespaces"), h("div", { class: "wide" }, h("table", { class: "spaces" },
		h("thead", {}, h("tr", {}, [["Namespace"], ["Models", "n"], ["Versions", "n"], ["As files", "n"], ["Distinct", "n"], ["Stored", "n"], [""]].map(([t, c]) => h("th", { scope: "col", class: c ?? null }, t)))),
		h("tbody", {}, rows))));
}
