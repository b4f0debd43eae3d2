// A model: its tags, and its versions as they were made from each other.

import { h, put } from "../dom.js";
import { get } from "../api.js";
import * as places from "../places.js";
import { chart, metrics, value } from "../chart.js";
import { lanes, picture, width } from "../lineage.js";
import { command, crumbs, tag } from "../parts.js";
import { ago, bytes, count, figure, many, moment, short } from "../words.js";

const tall = 38; // px of a row

export async function model({ name, signal }) {
	const path = `${places.repo(name)}/summary?limit=100`;
	const first = await get(path);
	const state = { versions: [...first.versions], next: first.next, metric: undefined, picked: [] };
	const pictures = h("div");
	const rows = h("div", { class: "versions" });
	const compare = h("p", { class: "compare", role: "status" });
	const more = h("div", { class: "buttons" });

	function draw() {
		const names = metrics(state.versions);
		state.metric ??= names[0];
		put(pictures, state.versions.length > 1 ? [
			h("div", { class: "bar" }, h("h2", {}, "What each version added"),
				names.length > 1 ? h("label", { class: "soft" }, "with ", select(names)) : names.length ? h("span", { class: "soft" }, "with ", h("i", { class: "swatch line" }), state.metric) : null),
			chart(state.versions, state.metric, (v) => light(rows, v)),
		] : null);
		put(rows, list(name, state, pick));
		put(more, state.next ? [
			h("button", { onclick: (e) => older(e.target, 100) }, "Show older"),
			h("button", { onclick: (e) => older(e.target, Infinity) }, `Show all ${count(first.count)}`)] : null);
	}
	const select = (names) => h("select", { "aria-label": "Metric", onchange: (e) => { state.metric = e.target.value; draw(); } },
		names.map((n) => h("option", { value: n, selected: n === state.metric }, n)));
	async function older(button, want) {
		button.disabled = true;
		for (let got = 0; state.next && got < want && !signal.aborted;) {
			const limit = want > 100 ? 1000 : 100;
			const page = await get(`${places.repo(name)}/summary?limit=${limit}&after=${encodeURIComponent(state.next)}`);
			state.versions.push(...page.versions);
			state.next = page.next;
			got += page.versions.length;
		}
		draw();
	}
	function pick(v, on) {
		state.picked = state.picked.filter((p) => p !== v);
		if (on) state.picked.push(v);
		const [a, b] = [...state.picked].slice(-2).sort((x, y) => x.at < y.at ? -1 : 1);
		put(compare, !a ? null : !b ? h("span", { class: "soft" }, "Choose another version to compare with.")
			: h("a", { class: "button", href: places.diff(`${name}@${a.digest}`, `${name}@${b.digest}`) }, `Compare ${word(a)} with ${word(b)}`));
	}
	draw();
	return h("div", { class: "model" },
		crumbs(name),
		h("h1", {}, name.split("/")[1]),
		h("p", { class: "soft" }, `${many(first.count, "version")}, ${bytes(first.bytes_total)} as plain files`),
		tags(name, first), command(`ingot pull ${name}`), pictures,
		h("div", { class: "bar" }, h("h2", {}, "Versions"), compare), rows, more);
}

const word = (v) => v.tags[0] ?? (v.step !== undefined ? `step ${v.step}` : short(v.digest));

function tags(name, first) {
	if (first.tags.length === 0) return null;
	const item = (t) => h("li", {}, h("a", { href: places.version(name, t.name), title: `${moment(t.updated)}, ${t.by}` }, tag(t.name), h("code", {}, short(t.digest)), h("span", { class: "soft" }, ago(t.updated))));
	return h("section", { "aria-label": "Tags" }, h("ul", { class: "taglist" }, first.tags.slice(0, 24).map(item),
		first.tags.length > 24 ? h("li", {}, h("details", {}, h("summary", {}, `${count(first.tags.length - 24)}${first.tags_more ? "+" : ""} more tags`), h("ul", { class: "taglist" }, first.tags.slice(24).map(item)))) : null));
}

/** list draws the versions with the lines between them. */
function list(name, state, pick) {
	const rows = lanes(state.versions);
	const wide = width(rows);
	const known = new Set(state.versions.map((v) => v.digest));
	const added = state.versions.filter((v) => v.parent && known.has(v.parent)).map((v) => v.bytes_added);
	const top = Math.max(1, ...(added.length ? added : state.versions.map((v) => v.bytes_added)));
	return state.versions.map((v, i) => {
		const m = state.metric ? value(v, state.metric) : NaN;
		return h("div", { class: "version", "data-digest": v.digest },
			picture(rows[i], wide, tall, v.tags.length > 0),
			h("a", { href: places.version(name, v.tags[0] ?? v.digest), "data-row": true },
				v.tags.length ? v.tags.slice(0, 4).map((t) => tag(t)) : null,
				h("code", { class: v.tags.length ? "soft" : "" }, short(v.digest))),
			h("span", { class: "step" }, v.step !== undefined ? [h("span", { class: "soft" }, "step "), v.step] : ""),
			h("span", { class: "figure" }, Number.isFinite(m) ? figure(String(m)) : ""),
			h("span", { class: "adds", title: `${count(v.chunks_new)} of ${many(v.chunks, "chunk")} new, ${count(v.chunks_delta)} stored as differences` },
				h("span", { class: "meter" }, h("i", { style: { width: `${Math.min(100, 100 * v.bytes_added / top)}%` } })), `+ ${bytes(v.bytes_added)}`),
			h("span", { class: "when soft", title: `${moment(v.at)}, ${v.by}` }, ago(v.at)),
			h("input", { type: "checkbox", "aria-label": `Compare ${word(v)}`, title: "Compare", checked: state.picked.includes(v), onchange: (e) => pick(v, e.target.checked) }));
	});
}

/** light marks the row of the version that the chart is pointed at. */
function light(rows, v) {
	for (const row of rows.querySelectorAll(".lit")) row.classList.remove("lit");
	if (v) rows.querySelector(`[data-digest="${CSS.escape(v.digest)}"]`)?.classList.add("lit");
}
