// All models: what they take, and a list to search.

import { h, put } from "../dom.js";
import { fresh, get } from "../api.js";
import * as places from "../places.js";
import { tag } from "../parts.js";
import { savings } from "../savings.js";
import { ago, bytes, count, many, moment, short } from "../words.js";

const orders = {
	name: ["name", (a, b) => a.name < b.name ? -1 : 1],
	updated: ["last changed", (a, b) => (b.updated ?? "") < (a.updated ?? "") ? -1 : 1],
	size: ["size", (a, b) => b.bytes_total - a.bytes_total],
};

export async function home({ namespace, signal, query }) {
	const first = await get(`v1/summary?limit=1000${namespace ? `&namespace=${encodeURIComponent(namespace)}` : ""}`);
	const models = [...first.models];
	const list = h("ul", { class: "models" });
	const found = h("p", { class: "found soft", role: "status" });
	const field = h("input", {
		type: "search", placeholder: "Search models", "aria-label": "Search models", value: query.get("q") ?? "",
		autocomplete: "off", spellcheck: "false", oninput: () => show(),
	});
	const order = h("select", { "aria-label": "Order", onchange: () => show() },
		Object.entries(orders).map(([key, [text]]) => h("option", { value: key, selected: key === "updated" }, text)));
	let shown = 200; // rows that are drawn; more when one scrolls there
	const more = h("button", { class: "more", onclick: () => { shown += 1000; show(true); } });

	function show(on = false) {
		if (!on) shown = 200;
		const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
		const hits = models.filter((m) => words.every((w) => m.name.toLowerCase().includes(w) || m.latest_tags?.some((t) => t.toLowerCase().includes(w))));
		hits.sort(orders[order.value][1]);
		put(list, hits.slice(0, shown).map(row));
		more.hidden = hits.length <= shown;
		put(more, `Show ${count(hits.length - shown)} more`);
		put(found, words.length ? `${count(hits.length)} of ${many(models.length, "model")}` : many(first.totals.models, "model"));
	}
	show();
	rest(first.next, namespace, models, signal, show);

	if (models.length === 0) return empty(namespace);
	const totals = h("div");
	total(totals, first, namespace, signal);
	return h("div", { class: "home" },
		h("h1", { class: namespace ? "" : "unseen" }, namespace ?? "Models"),
		totals,
		h("div", { class: "bar" }, field, h("label", { class: "soft" }, "by ", order), found),
		list, more);
}

/** Reads the pages behind the first, if there are any. */
async function rest(next, namespace, models, signal, show) {
	while (next && !signal.aborted) {
		const page = await get(`v1/summary?limit=1000${namespace ? `&namespace=${encodeURIComponent(namespace)}` : ""}&after=${encodeURIComponent(next)}`).catch(() => null);
		if (!page || signal.aborted) return;
		models.push(...page.models);
		next = page.next;
		show(true);
	}
}

/** Draws what everything takes, as soon as the registry has reckoned it. */
async function total(into, first, namespace, signal) {
	let answer = first;
	for (let tries = 0; !answer.weighed && tries < 30; tries++) {
		put(into, h("p", { class: "soft" }, `${bytes(first.totals.bytes_total)} in ${many(first.totals.versions, "version")}. What they take is being reckoned …`));
		await new Promise((r) => setTimeout(r, 2000));
		if (signal.aborted) return;
		answer = await fresh(`v1/summary?limit=1${namespace ? `&namespace=${encodeURIComponent(namespace)}` : ""}`).catch(() => first);
	}
	if (answer.weighed) put(into, savings(answer.weighed, first.totals));
}

function row(m) {
	const [ns, name] = m.name.split("/");
	return h("li", {}, h("a", { href: places.model(m.name), "data-row": true },
		h("span", { class: "model" }, h("span", { class: "soft" }, `${ns}/`), h("b", {}, name)),
		h("span", { class: "tags" }, (m.latest_tags ?? []).slice(0, 3).map((t) => tag(t)),
			m.latest && !m.latest_tags?.length ? h("code", { class: "soft" }, short(m.latest)) : null),
		h("span", { class: "n" }, many(m.versions, "version")),
		h("span", { class: "n" }, m.bytes_latest === undefined ? "" : bytes(m.bytes_latest)),
		h("span", { class: "when soft", title: m.updated ? moment(m.updated) : "" }, m.updated ? ago(m.updated) : "no versions")));
}

function empty(namespace) {
	return h("section", { class: "failed" },
		h("h1", {}, namespace ? `Nothing in ${namespace}` : "No models yet"),
		h("p", {}, "Push one, a folder of files:"),
		h("pre", {}, h("code", {}, `ingot push ./model ${namespace ?? "acme"}/model --registry ${places.root.href.replace(/\/$/, "")}`)));
}
